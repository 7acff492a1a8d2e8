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
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestTunnelStunnel has stunnel at one end and mayfly at the other, both ways, by X.509
// certificates on both sides: one end of a stunnel can be replaced before the other.
func TestTunnelStunnel(t *testing.T) {
	t.Parallel()
	stunnel := peerProgram(t, "stunnel4")
	dir := t.TempDir()
	writeCertificates(t, dir, "server.test", "client.test")
	path := func(name string) string { return filepath.Join(dir, name) }
	flags := func(side, name string, more ...string) []string {
		return append([]string{side, "--listen", "127.0.0.1:0", "--cert", path(name + ".pem"), "--cert-key", path(name + ".key"), "--ca", path("ca.pem")}, more...)
	}

	server := startTunnel(t, flags("server", "server.test", "--target", echoTarget(t))...)
	accepts := startStunnel(t, stunnel, fmt.Sprintf("client = yes\nconnect = %s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\ncheckHost = server.test\n",
		server.addr, path("client.test.pem"), path("client.test.key"), path("ca.pem")))
	for range 3 { // the later ones resume
		expectEcho(t, accepts)
	}
	for range 3 {
		server.await("connection ended")
	}

	accepts = startStunnel(t, stunnel, fmt.Sprintf("connect = %s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\n",
		echoTarget(t), path("server.test.pem"), path("server.test.key"), path("ca.pem")))
	client := startTunnel(t, flags("client", "client.test", "--server", accepts, "--name", "server.test")...)
	for range 3 {
		expectEcho(t, client.addr)
	}
	for range 3 {
		client.await("connection ended")
	}
}

// startStunnel starts a service, which gets its socket as from systemd.
func startStunnel(t *testing.T, program, service string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	config := filepath.Join(t.TempDir(), "stunnel.conf")
	if err := os.WriteFile(config, []byte("foreground = yes\npid =\n[service]\naccept = 1\n"+service), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", program, config)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	startPeer(t, cmd, "configuration successful")
	return ln.Addr().String()
}

// writeCertificates writes an authority, ca.pem, and for each name a certificate and its
// key.
func writeCertificates(t *testing.T, dir string, names ...string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authority, authorityKey := template, newKey(t)
	write := func(name, kind string, der []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range append([]string{"ca"}, names...) {
		key := authorityKey
		if name != "ca" {
			key = newKey(t)
			template = &x509.Certificate{
				SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
				NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			}
		}
		cert, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", cert)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".key", "PRIVATE KEY", private)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
