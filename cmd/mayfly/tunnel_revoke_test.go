// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// expectCut shows that a connection is cut: with a reset, and not with an end.
func expectCut(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if n, err := io.Copy(io.Discard, c); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v; want a reset", n, err)
	}
}

func dialEcho(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	echoes(t, c)
	return c
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTunnelCutsRevokedPeers takes one client of two off a server's list. The reload cuts
// the connections of that client, names it in the log and counts them. Those of the other
// client go on. Half of the connections have come from a process before.
func TestTunnelCutsRevokedPeers(t *testing.T) {
	t.Parallel()
	serverKey, serverPin := keygen(t)
	goodKey, goodPin := keygen(t)
	badKey, badPin := keygen(t)
	list := filepath.Join(t.TempDir(), "peers")
	rewrite(t, list, badPin+" bad\n"+goodPin+" good\n")
	server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peers", list, "--watch", "0", "--admin", "127.0.0.1:0")
	client := func(key string) *tunnelProcess {
		return startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", key, "--peer", serverPin, "--watch", "0")
	}
	good, bad := client(goodKey), client(badKey)
	var lives, cut []net.Conn
	const each = 10
	dial := func() {
		for range each {
			lives, cut = append(lives, dialEcho(t, good.addr)), append(cut, dialEcho(t, bad.addr))
		}
	}
	dial()
	if n := server.replace(); n != 2*each {
		t.Errorf("%d connections were taken over", n)
	}
	dial()
	rewrite(t, list, goodPin+" good\n")
	server.signal(syscall.SIGHUP)
	if entry := server.await("connection cut"); entry["pin"] != badPin || entry["peer"] != "bad" || !strings.Contains(fmt.Sprint(entry["error"]), "no longer accepted") {
		t.Errorf("the log says %v", entry)
	}
	if entry := server.await("connections were cut: their peers are no longer accepted"); entry["cut"] != 2.0*each {
		t.Errorf("the log says %v", entry)
	}
	for _, c := range cut {
		expectCut(t, c)
	}
	for _, c := range lives {
		echoes(t, c)
	}
	expectReset(t, bad.addr)
	expectEcho(t, good.addr)
	if text := get(t, server.admin, "/metrics"); !strings.Contains(text, fmt.Sprintf("connections_ended_total{how=\"revoked\"} %d\n", 2*each)) {
		t.Errorf("the metrics do not count the revoked connections:\n%s", text)
	}
}

// TestTunnelKeepRevoked lets the connection of a revoked client go on, as the option says.
func TestTunnelKeepRevoked(t *testing.T) {
	t.Parallel()
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	_, otherPin := keygen(t)
	list := filepath.Join(t.TempDir(), "peers")
	rewrite(t, list, clientPin+" client\n")
	server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peers", list, "--watch", "0", "--keep-revoked")
	client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--peer", serverPin)
	c := dialEcho(t, client.addr)
	rewrite(t, list, otherPin+" other\n")
	server.signal(syscall.SIGHUP)
	server.await("reloaded")
	expectReset(t, client.addr)
	echoes(t, c)
}

// TestTunnelClientCutsRevokedServer takes a server's pin out of a client's configuration.
func TestTunnelClientCutsRevokedServer(t *testing.T) {
	t.Parallel()
	serverKey, serverPin := keygen(t)
	clientKey, clientPin := keygen(t)
	_, otherPin := keygen(t)
	config := filepath.Join(t.TempDir(), "client.toml")
	rewrite(t, config, fmt.Sprintf("peer = [%q, %q]\n", otherPin, serverPin))
	server := startTunnel(t, "server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--peer", clientPin, "--watch", "0")
	client := startTunnel(t, "client", "--config", config, "--listen", "127.0.0.1:0", "--server", server.addr, "--key", clientKey, "--watch", "20ms")
	c := dialEcho(t, client.addr)
	rewrite(t, config, fmt.Sprintf("peer = [%q]\n", otherPin))
	client.await("connections were cut: their peers are no longer accepted")
	expectCut(t, c)
}

// TestTunnelCutsPeersOfRevokedAuthority replaces the file of --ca: connections of clients
// under the authority before are cut. A certificate that has expired since the handshake
// is cut with --cut-expired only.
func TestTunnelCutsPeersOfRevokedAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serverKey, serverPin := keygen(t)
	first, second := newAuthority(t, dir, "first"), newAuthority(t, dir, "second")
	const lifetime = 3 * time.Second
	brief := first.issue(t, dir, "brief", lifetime)
	long := first.issue(t, dir, "long", time.Hour)
	ca := filepath.Join(dir, "ca.pem")
	rewrite(t, ca, first.pem)
	start := func(flags ...string) *tunnelProcess {
		return startTunnel(t, append([]string{"server", "--listen", "127.0.0.1:0", "--target", echoTarget(t), "--key", serverKey, "--ca", ca, "--watch", "50ms"}, flags...)...)
	}
	keeps, cuts := start(), start("--cut-expired")
	dial := func(server *tunnelProcess, cert string) net.Conn {
		client := startTunnel(t, "client", "--listen", "127.0.0.1:0", "--server", server.addr, "--cert", cert+".pem", "--cert-key", cert+".key", "--peer", serverPin)
		return dialEcho(t, client.addr)
	}
	kept, expires, stays := dial(keeps, brief), dial(cuts, brief), dial(cuts, long)
	cuts.await("connections were cut: their peers are no longer accepted")
	expectCut(t, expires)
	echoes(t, stays)
	echoes(t, kept)
	keeps.signal(syscall.SIGHUP)
	keeps.await("reloaded")
	echoes(t, kept)
	rewrite(t, ca, second.pem)
	for _, p := range []*tunnelProcess{cuts, keeps} {
		p.await("connections were cut: their peers are no longer accepted")
	}
	expectCut(t, kept)
	expectCut(t, stays)
}

// An authority issues certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue writes NAME.pem and NAME.key, and returns the path without its ending.
func (a *authority) issue(t *testing.T, dir, name string, lifetime time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, name)
	rewrite(t, base+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	rewrite(t, base+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return base
}
