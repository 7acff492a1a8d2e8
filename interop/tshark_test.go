// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const tshark = "tshark"

// TestTshark has Wireshark's dissector read a connection of ours by its key log.
func TestTshark(t *testing.T) {
	t.Parallel()
	p := tsharkProbe()
	if p.missing != "" {
		// Unlike the others it is no peer: nothing requires it.
		matrix.add(cell{peer: tshark, role: listening, key: ecdsaP256}, "skipped: "+p.missing)
		t.Skip(p.missing)
	}
	c := cell{peer: tshark, role: listening, group: groups[0], auth: x509Mutual, key: ecdsaP256, with: "key log, both sides' key updates"}
	for _, c.suite = range suites {
		c.run(t, tryTshark)
	}
}

// listening is the role of who takes no part in the connection.
const listening role = "listener"

func tryTshark(t *testing.T, c cell) {
	c.role = asServer // is crypto/tls
	here, there := loopback(t)
	wire := &recorder{Conn: here}
	keyLog := new(syncBuffer)
	cfg := c.ours(t)
	cfg.KeyLogWriter = keyLog
	rekeyOften(cfg, 10_000)
	rekeys := watchRekeys(cfg)

	theirs := startCryptoTLS(t, c, there)
	ours, tap := openWith(t, c, cfg, wire)
	peer := theirs(t)
	c.check(t, ours, tap)
	sent, returned := text(3, 40_000), text(4, 40_000)
	deadline := time.Now().Add(patience)
	ours.SetDeadline(deadline)
	peer.SetDeadline(deadline)
	all(t,
		func() error { return sendBits(ours, sent) },
		func() error { return receive("the peer", peer, sent) },
	)
	half := len(returned) / 2
	for _, part := range [][]byte{returned[:half], returned[half:]} {
		all(t,
			func() error { return send("the peer", peer, part) },
			func() error { return receive("us", ours, part) },
		)
		if err := ours.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, '1', '\n') // has the peer read what we ask for
		all(t,
			func() error { return send("us", ours, sent[len(sent)-2:]) },
			func() error { return receive("the peer", peer, sent[len(sent)-2:]) },
		)
	}
	if own, its := rekeys.of(mayfly.RekeyBytes), rekeys.of(mayfly.RekeyPeer); own < 3 || its < 1 {
		t.Errorf("we changed keys %d times, and the peer its own %d times among the data", own, its)
	}

	dir := t.TempDir()
	capture, secrets := filepath.Join(dir, "capture.pcap"), filepath.Join(dir, "keys")
	for name, content := range map[string][]byte{capture: wire.pcap(), secrets: keyLog.Bytes()} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := ask(tsharkProbe().path, "-q", "-r", capture, "-o", "tls.keylog_file:"+secrets, "-z", "follow,tls,raw,0")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	forth, back := parseFollow(out)
	if !bytes.Equal(forth, sent) || !bytes.Equal(back, returned) {
		t.Errorf("tshark decrypts %d of the %d bytes that we sent, and %d of %d that we got, or not what was sent",
			len(forth), len(sent), len(back), len(returned))
	}
}

// sendBits sends in pieces, as keys are changed between writes.
func sendBits(c *mayfly.Conn, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), 4000)
		if err := send("us", c, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// parseFollow reads what tshark says of a decrypted stream: who is node 0 and
// who node 1, and lines of hex, those of node 1 after a tab.
func parseFollow(out string) (forth, back []byte) {
	head, body, _ := strings.Cut(out, "Node 1:")
	for line := range strings.Lines(body) {
		b, err := hex.DecodeString(strings.TrimSpace(line))
		switch {
		case err != nil: // the frame around the data
		case strings.HasPrefix(line, "\t"):
			back = append(back, b...)
		default:
			forth = append(forth, b...)
		}
	}
	if strings.Contains(head, "Node 0: "+serverAddr) {
		return back, forth
	}
	return forth, back
}

// A recorder keeps all that crosses a connection, in order.
type recorder struct {
	net.Conn
	mu       sync.Mutex
	segments []segment
}

type segment struct {
	sent bool
	data []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.keep(segment{false, bytes.Clone(b[:n])})
	return n, err
}

func (r *recorder) Write(b []byte) (int, error) {
	r.keep(segment{true, bytes.Clone(b)})
	return r.Conn.Write(b)
}

func (r *recorder) keep(s segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.segments = append(r.segments, s)
}

// serverAddr is where a recorded connection seems to go.
const serverAddr = "127.0.0.2:443"

// pcap writes the connection as a capture file of raw IPv4 packets.
func (r *recorder) pcap() []byte {
	const rawIP, maxPacket = 101, 65535
	r.mu.Lock()
	defer r.mu.Unlock()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(le.AppendUint32(b, maxPacket), rawIP)
	next := map[bool]uint32{true: 1, false: 1}
	for i, s := range r.segments {
		for data := s.data; len(data) > 0; {
			n := min(len(data), 60_000)
			packet := ipPacket(s.sent, next[s.sent], next[!s.sent], data[:n])
			b = le.AppendUint32(le.AppendUint32(b, 0), uint32(i))
			b = le.AppendUint32(le.AppendUint32(b, uint32(len(packet))), uint32(len(packet)))
			b = append(b, packet...)
			next[s.sent] += uint32(n)
			data = data[n:]
		}
	}
	return b
}

// ipPacket is a TCP segment in an IPv4 packet, without checksums.
func ipPacket(sent bool, seq, ack uint32, data []byte) []byte {
	const headers, ttl, tcp, flags, window = 40, 64, 6, 0x18, 0xffff
	source, target := [3]uint16{40000, 0x7f00, 1}, [3]uint16{443, 0x7f00, 2} // port, address
	if !sent {
		source, target = target, source
	}
	be := binary.BigEndian
	b := be.AppendUint16([]byte{0x45, 0}, uint16(headers+len(data)))
	b = append(b, 0, 0, 0, 0, ttl, tcp, 0, 0)
	b = be.AppendUint16(be.AppendUint16(b, source[1]), source[2])
	b = be.AppendUint16(be.AppendUint16(b, target[1]), target[2])
	b = be.AppendUint16(be.AppendUint16(b, source[0]), target[0])
	b = be.AppendUint32(be.AppendUint32(b, seq), ack)
	b = be.AppendUint16(append(b, 0x50, flags), window)
	b = append(b, 0, 0, 0, 0)
	return append(b, data...)
}

// A syncBuffer is a buffer that many may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) Bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}
