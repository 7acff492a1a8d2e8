// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

const (
	socat   = "socat"
	ncat    = "ncat"
	stunnel = "stunnel"
)

var (
	socatProbe   = sync.OnceValue(func() *probe { return lookForLine("version", "socat", "-V") })
	ncatProbe    = sync.OnceValue(func() *probe { return lookForLine("Version", "ncat", "--version") })
	stunnelProbe = sync.OnceValue(probeStunnel)
)

// lookForLine finds a program whose version is on the first line that has a word.
func lookForLine(word, name string, args ...string) *probe {
	p := lookFor(name, args...)
	for line := range strings.Lines(p.said) {
		if strings.Contains(line, word) {
			p.version = strings.TrimSpace(line)
			break
		}
	}
	return p
}

// probeStunnel prefers Debian's name of the program to that of a script beside it.
func probeStunnel() *probe {
	p := lookForLine("stunnel", "stunnel4", "-version")
	if p.missing != "" {
		p = lookForLine("stunnel", "stunnel", "-version")
	}
	return p
}

// withAddress is what rows are called whose client was given an IPv6 address for a name.
// RFC 6066, Section 3 allows no address in server_name, and these programs send it there.
const withAddress = "IPv6 target"

// TestSocat talks to socat, which knows one group and sends the address in brackets.
func TestSocat(t *testing.T) {
	t.Parallel()
	socatProbe().require(t, socat)
	relayCells(t, socat, tls.CurveP256, []authentication{x509Server, x509Mutual}, func(t *testing.T, c cell) {
		if c.role == asServer {
			arg := fmt.Sprintf("pf=ip6,bind=[%s],reuseaddr,%s", loopback6, c.socatArgs(t))
			p, conn := startServerOn(t, loopback6, socatProbe().path, func(port string) []string {
				return []string{"-t30", "OPENSSL-LISTEN:" + port + "," + arg, "STDIO"}
			})
			tryRelay(t, c, conn, p)
			return
		}
		p, conn := startClientOn(t, loopback6, socatProbe().path, func(port string) []string {
			return []string{"-t30", fmt.Sprintf("OPENSSL:[%s]:%s,%s", loopback6, port, c.socatArgs(t)), "STDIO"}
		})
		tryRelay(t, c, conn, p)
	})
}

func (c cell) socatArgs(t *testing.T) string {
	_, them := c.identities(t)
	args := []string{"cafile=" + keys.caFile}
	if c.role == asServer || c.auth.client != nothing {
		args = append(args, "cert="+them.certFile, "key="+them.keyFile)
	}
	if c.role == asServer && c.auth.client == nothing {
		args = append(args, "verify=0")
	} else if c.role == asServer {
		args = append(args, "commonname="+serverName)
	}
	return strings.Join(args, ",")
}

// TestNcat talks to ncat. It compares an address with no address of a certificate, so that
// it verifies the certificates of servers which it was given a name for.
func TestNcat(t *testing.T) {
	t.Parallel()
	ncatProbe().require(t, ncat)
	matrix.add(cell{peer: ncat, role: asServer, auth: x509Mutual, key: ecdsaP256}, "skipped: an ncat that listens asks for no certificate")
	relayCells(t, ncat, tls.X25519, []authentication{x509Server}, tryNcat)
	for _, auth := range []authentication{x509Server, x509Mutual} {
		c := cell{peer: ncat, role: asClient, suite: suites[1], group: tls.X25519, auth: auth, key: ecdsaP256, with: "verified by name"}
		c.run(t, tryNcat)
	}
}

func tryNcat(t *testing.T, c cell) {
	_, them := c.identities(t)
	var args []string
	if c.role == asServer || c.auth.client != nothing {
		args = append(args, "--ssl-cert", them.certFile, "--ssl-key", them.keyFile)
	}
	if c.with != withAddress {
		args = append(args, "--ssl-verify", "--ssl-trustfile", keys.caFile, "--ssl-servername", serverName)
	}
	args = append(args, "--ssl", loopback6)
	if c.role == asServer {
		p, conn := startServerOn(t, loopback6, ncatProbe().path, func(port string) []string {
			return append(append([]string{"--listen"}, args...), port)
		})
		tryRelay(t, c, conn, p)
		return
	}
	p, conn := startClientOn(t, loopback6, ncatProbe().path, func(port string) []string { return append(args, port) })
	tryRelay(t, c, conn, p)
}

// TestStunnel talks to stunnel, whose clear side as a client is its standard input and
// output. As a server it runs cat, which returns what it gets.
func TestStunnel(t *testing.T) {
	t.Parallel()
	stunnelProbe().require(t, stunnel)
	relayCells(t, stunnel, tls.X25519, []authentication{x509Server, x509Mutual}, func(t *testing.T, c cell) {
		_, them := c.identities(t)
		config := filepath.Join(t.TempDir(), "stunnel.conf")
		write := func(port string) []string {
			t.Helper()
			text := "syslog = no\nCAfile = " + keys.caFile + "\n"
			if c.role == asServer || c.auth.client != nothing {
				text += "cert = " + them.certFile + "\nkey = " + them.keyFile + "\n"
			}
			if c.role == asServer {
				text = "foreground = yes\npid =\n" + text + "[service]\naccept = " + loopback6 + ":" + port + "\nexec = /bin/cat\nexecArgs = cat\n"
			} else {
				text += "client = yes\nconnect = " + loopback6 + ":" + port + "\ncheckIP = " + loopback6 + "\n"
			}
			if c.role == asClient || c.auth.client != nothing {
				text += "verifyChain = yes\n"
			}
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{config}
		}
		if c.role == asServer {
			_, conn := startServerOn(t, loopback6, stunnelProbe().path, write)
			ours, tap := openWith(t, c, c.toAddress(t), conn)
			c.checkRelay(t, ours, tap)
			exchangeEcho(t, ours)
			return
		}
		p, conn := startClientOn(t, loopback6, stunnelProbe().path, write)
		tryRelay(t, c, conn, p)
	})
}

// relayCells runs the cells of a program that is given an address.
func relayCells(t *testing.T, peer string, group tls.CurveID, auths []authentication, try func(*testing.T, cell)) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(loopback6, "0"))
	if err == nil {
		ln.Close()
	}
	for _, r := range []role{asClient, asServer} {
		for _, auth := range auths {
			c := cell{peer: peer, role: r, group: group, auth: auth, key: ecdsaP256, with: withAddress}
			if err != nil {
				matrix.add(c, "skipped: this machine has no IPv6")
				continue
			}
			for _, c.suite = range suites {
				c.run(t, try)
			}
		}
	}
}

// toAddress is our side's Config. A client of ours is given an address, too.
func (c cell) toAddress(t *testing.T) *mayfly.Config {
	cfg := c.ours(t)
	if c.role == asServer && c.with == withAddress {
		cfg.ServerName = loopback6
	}
	return cfg
}

// tryRelay exchanges data with a program that relays its standard input and output.
func tryRelay(t *testing.T, c cell, conn net.Conn, p *program) {
	t.Helper()
	ours, tap := openWith(t, c, c.toAddress(t), conn)
	c.checkRelay(t, ours, tap)
	if c.peer != ncat || c.role == asServer {
		exchange(t, ours, p, bulk, c.peer != ncat)
		return
	}
	// It reads 8 KiB of a record, and leaves the rest until more comes. It ends the
	// connection without close_notify.
	ours.SetDeadline(time.Now().Add(patience))
	all(t,
		func() error { return send("us", pieces{ours, 8 << 10}, fromUs()) },
		func() error { return send("the peer", p, fromThem()) },
		func() error { return receive("us", ours, fromThem()) },
		func() error { return receive("the peer", p, fromUs()) },
	)
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, mayfly.ErrTruncated) {
		t.Errorf("Read after the end = %d, %v; want ErrTruncated", n, err)
	}
	ours.Close()
	if err := p.Finish(); err != nil {
		t.Error(err)
	}
}

// checkRelay checks what was agreed on, and that an address in server_name, which a
// client of another program sends and ours does not, names no host.
func (c cell) checkRelay(t *testing.T, ours *mayfly.Conn, tap *wiretap) {
	t.Helper()
	c.check(t, ours, tap)
	if c.with != withAddress {
		return
	}
	if got := ours.ConnectionState().ServerName; c.role == asClient && got != "" {
		t.Errorf("the client named the host %q", got)
	}
	sent := tap.sentName(loopback6) || tap.sentName("["+loopback6+"]")
	if want := c.role == asClient; sent != want {
		t.Errorf("an address in server_name: %v, want %v", sent, want)
	}
}

// sentName says whether a server_name of the ClientHello is name.
func (w *wiretap) sentName(name string) bool {
	want := []byte{0, 0}                                               // the type of the extension
	for _, n := range []int{len(name) + 5, len(name) + 3, len(name)} { // of the extension, the list and the name
		if n == len(name) {
			want = append(want, 0) // host_name
		}
		want = binary.BigEndian.AppendUint16(want, uint16(n))
	}
	want = append(want, name...)
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.in.head, want) || bytes.Contains(w.out.head, want)
}
