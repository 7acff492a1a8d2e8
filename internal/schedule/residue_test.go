// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package schedule

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// childEnv makes the test binary the child whose memory TestNoResidue reads.
const childEnv = "MAYFLY_TEST_RESIDUE"

// window is the length of the pieces of secrets that are searched for.
const window = 12

// TestNoResidue lets a child process run through the life of a connection's
// secrets and wipe them all, and searches the child's memory for each.
func TestNoResidue(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	for _, g := range kex.All() {
		for _, id := range suite.All() {
			t.Run(fmt.Sprint(g, "/", id), func(t *testing.T) {
				t.Parallel()
				scanChild(t, g, id)
			})
		}
	}
}

// scanChild starts the child, and reads the secrets and then the child's memory.
func scanChild(t *testing.T, g kex.Group, id suite.ID) {
	child := exec.Command(os.Args[0], "-test.run=^TestNoResidue$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", childEnv, g, id))
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()

	patterns := map[[window]byte]string{}
	alive := readSecrets(t, bufio.NewReader(stdout), suite.ByID(id), patterns)
	if len(patterns) < 100 {
		t.Fatalf("only %d patterns", len(patterns))
	}
	found := scanMemory(t, child.Process.Pid, patterns)
	for name, n := range found {
		if name != alive {
			t.Errorf("%d copies of %s", n, name)
		}
	}
	if found[alive] == 0 {
		t.Error("the secret that was not wiped was not found: the scan does not work")
	}
}

// readSecrets reads what the child reports up to its end mark, and adds every form
// of each secret to patterns. It returns the form that must be found.
func readSecrets(t *testing.T, r io.Reader, s *suite.Suite, patterns map[[window]byte]string) string {
	for {
		var header [20]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimRight(string(header[:16]), "\x00")
		secret := make([]byte, binary.BigEndian.Uint32(header[16:]))
		if _, err := io.ReadFull(r, secret); err != nil {
			t.Fatal(err)
		}
		if name == "end" {
			return "alive raw"
		}
		addPatterns(patterns, name, secret, s)
		k := newKDF(s)
		k.setKey(secret)
		switch {
		case strings.HasPrefix(name, "stage"):
			addPatterns(patterns, name+" derived", k.deriveSecret("derived", k.empty).Bytes(), s)
			addPatterns(patterns, name+" binder", k.deriveSecret(string(ResumptionBinder), k.empty).Bytes(), s)
		case strings.HasPrefix(name, "traffic"):
			addPatterns(patterns, name+" finished", k.deriveSecret("finished", nil).Bytes(), s)
		}
		k.release()
	}
}

func addPatterns(patterns map[[window]byte]string, name string, secret []byte, s *suite.Suite) {
	for form, b := range forms(name, secret, s) {
		for ; len(b) >= window; b = b[window:] {
			patterns[[window]byte(b)] = name + " " + form
		}
	}
}

// forms returns the forms in which a secret may lie in memory.
func forms(name string, secret []byte, s *suite.Suite) map[string][]byte {
	m := map[string][]byte{"raw": secret}
	switch {
	case strings.HasPrefix(name, "random") && len(secret) == 32:
		clamped := bytes.Clone(secret)
		clamped[0] &= 248
		clamped[31] = clamped[31]&127 | 64
		m["clamped"] = clamped
	case strings.HasPrefix(name, "random") && len(secret) == mlkem.SeedSize:
		dk, err := mlkem.NewDecapsulationKey768(secret)
		if err != nil {
			panic(err)
		}
		_, circl := mlkem768.NewKeyFromSeed(secret)
		for implementation, s := range map[string]reflect.Value{
			"crypto/mlkem": reflect.ValueOf(dk).Elem().FieldByName("key").Elem().FieldByName("s"),
			"circl":        reflect.ValueOf(circl).Elem().FieldByName("sk").Elem().FieldByName("sh"),
		} {
			for i := range s.Len() {
				m[fmt.Sprint(implementation, " s", i)] = words(s.Index(i), 2)
			}
		}
	case strings.HasPrefix(name, "key") && s.ID != suite.ChaCha20Poly1305:
		block, err := aes.NewCipher(secret)
		if err != nil {
			panic(err)
		}
		v := reflect.ValueOf(block).Elem()
		n := (len(secret)/4 + 7) * 4
		m["enc"] = words(v.FieldByName("enc"), 4)[:n*4]
		m["dec"] = words(v.FieldByName("dec"), 4)[:n*4]
		h := make([]byte, 16)
		block.Encrypt(h, h)
		m["H"] = h
	case len(secret) <= s.HashLen:
		for form, x := range map[string]byte{"ipad": 0x36, "opad": 0x5c} {
			pad := bytes.Repeat([]byte{x}, s.NewHash().BlockSize())
			for i, b := range secret {
				pad[i] ^= b
			}
			m[form] = pad[:len(secret)]
			h := s.NewHash()
			h.Write(pad)
			state := reflect.ValueOf(h).Elem().FieldByName("h")
			m[form+" midstate"] = words(state, int(state.Type().Elem().Size()))
		}
	}
	return m
}

// words returns the bytes of an array of integers of that size, as they lie in the
// memory of a little-endian machine.
func words(v reflect.Value, size int) []byte {
	var b []byte
	for i := range v.Len() {
		x := v.Index(i)
		if x.CanInt() {
			b = append(b, binary.LittleEndian.AppendUint64(nil, uint64(x.Int()))[:size]...)
		} else {
			b = append(b, binary.LittleEndian.AppendUint64(nil, x.Uint())[:size]...)
		}
	}
	return b
}

// scanMemory counts the patterns in the writable memory of a process.
func scanMemory(t *testing.T, pid int, patterns map[[window]byte]string) map[string]int {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Skip("no /proc/PID/maps:", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skip("no /proc/PID/mem:", err)
	}
	defer mem.Close()
	var first [1 << 16]bool // quick filter on the first two bytes
	for p := range patterns {
		first[binary.BigEndian.Uint16(p[:])] = true
	}
	found := map[string]int{}
	for line := range strings.Lines(string(maps)) {
		var lo, hi int64
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &perms); err != nil || perms[:2] != "rw" || hi-lo > 1<<28 {
			continue
		}
		b := make([]byte, hi-lo)
		n, _ := mem.ReadAt(b, lo)
		b = b[:n]
		for i := 0; i+window <= len(b); i++ {
			if first[binary.BigEndian.Uint16(b[i:])] {
				if name, ok := patterns[[window]byte(b[i:])]; ok {
					found[name]++
				}
			}
		}
	}
	return found
}

// runChild is the child: it reports each secret straight from where it lies, wipes
// all of them but one, and waits.
func runChild() {
	var g kex.Group
	var id suite.ID
	fmt.Sscan(os.Getenv(childEnv), &g, &id)
	done := make(chan struct{})
	go func() {
		defer close(done)
		live(g, suite.ByID(id))
	}()
	<-done
	runtime.GC()
	report("end", nil)
	io.ReadAll(os.Stdin)
	runtime.KeepAlive(alive)
	os.Exit(0)
}

var alive = make([]byte, 32)

// live runs both sides of a connection.
func live(g kex.Group, s *suite.Suite) {
	rand.Read(alive)
	report("alive", alive)

	client, err := kex.Generate(g, reporter("random client"))
	check(err)
	serverShare, serverSecret, err := kex.Respond(g, reporter("random server"), client.Share())
	check(err)
	clientSecret, err := client.Agree(serverShare)
	check(err)
	client.Wipe()
	report("shared", clientSecret.Bytes())
	report("shared", serverSecret.Bytes())

	psk := make([]byte, 32)
	rand.Read(psk)
	report("psk", psk)
	th := s.NewHash().Sum(nil)

	c, d := NewEarly(s, psk), NewEarly(s, psk)
	clear(psk)
	report("stage early", c.secret.Bytes())
	if !bytes.Equal(c.Binder(ResumptionBinder, th), d.Binder(ResumptionBinder, th)) {
		panic("binders differ")
	}
	useTraffic(c.ClientTraffic(th), d.ClientTraffic(th), th)
	early := c.Exporter(th)
	report("e exporter", early.Secret())
	early.Wipe()

	ch, dh := c.Handshake(clientSecret), d.Handshake(serverSecret)
	report("stage hs", ch.secret.Bytes())
	useTraffic(ch.ClientTraffic(th), dh.ClientTraffic(th), th)
	useTraffic(ch.ServerTraffic(th), dh.ServerTraffic(th), th)

	cm, dm := ch.Main(), dh.Main()
	report("stage main", cm.secret.Bytes())
	useTraffic(cm.ClientTraffic(th), dm.ClientTraffic(th), th)
	useTraffic(cm.ServerTraffic(th), dm.ServerTraffic(th), th)
	x := cm.Exporter(th)
	report("exporter", x.Secret())
	out, err := x.Export("EXPORTER-test", nil, 100)
	check(err)
	report("exported", out)
	clear(out)
	x.Wipe()
	r := cm.Resumption(th)
	report("resumption", r.secret.Bytes())
	ticket := r.PSK([]byte{1})
	report("ticket", ticket.Bytes())
	ticket.Wipe()
	r.Wipe()
	cm.Wipe()
	dm.Wipe()
}

// useTraffic takes the two sides of one traffic secret through two generations.
func useTraffic(a, b *Traffic, th []byte) {
	for range 2 {
		report("traffic", a.Secret())
		if !hmac.Equal(a.Finished(th), b.Finished(th)) {
			panic("Finished differs")
		}
		seal, open := a.Keys(), b.Keys()
		report("iv", seal.IV[:])
		reportKey(seal)
		useKeys(seal, open)
		seal.Wipe()
		open.Wipe()
		a.Update()
		b.Update()
	}
	a.Wipe()
	b.Wipe()
}

func useKeys(seal, open *suite.Keys) {
	var nonce [suite.NonceLen]byte
	seal.Nonce(&nonce, 1)
	box := seal.AEAD.Seal(nil, nonce[:], []byte("attack at dawn"), nil)
	_, err := open.AEAD.Open(nil, nonce[:], box, nil)
	check(err)
	clear(nonce[:])
}

// reportKey reports the AEAD's key from inside of it.
func reportKey(k *suite.Keys) {
	v := reflect.ValueOf(k.AEAD).Elem()
	if k.Suite.ID == suite.ChaCha20Poly1305 {
		report("key", v.FieldByName("key").Bytes())
		return
	}
	enc := v.FieldByName("cipher").FieldByName("enc")
	key := make([]byte, 0, 32)
	for i := range k.Suite.KeyLen / 4 {
		key = binary.LittleEndian.AppendUint32(key, uint32(enc.Index(i).Uint()))
	}
	report("key", key)
	clear(key)
}

type reporter string

func (r reporter) Read(b []byte) (int, error) {
	n, err := rand.Read(b)
	report(string(r), b)
	return n, err
}

// report writes the secret to the parent without a copy.
func report(name string, secret []byte) {
	var header [20]byte
	copy(header[:16], name)
	binary.BigEndian.PutUint32(header[16:], uint32(len(secret)))
	os.Stdout.Write(header[:])
	os.Stdout.Write(secret)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
