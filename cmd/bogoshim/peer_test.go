// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// A peer plays the part of the tests on one connection.
type peer func(net.Conn) error

// against runs the shim with args, and peers on the other end of its connections: the
// last of them again and again. It returns what the shim says.
func against(t *testing.T, peers []peer, args ...string) (code int, stderr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			var id [8]byte
			if _, err := io.ReadFull(conn, id[:]); err == nil {
				_ = peers[min(n, len(peers)-1)](conn) // what it could not do, the shim says
			}
			_ = conn.Close()
		}
	}()
	port := ln.Addr().(*net.TCPAddr).Port
	var out, errs bytes.Buffer
	code = run(append([]string{"-port", strconv.Itoa(port), "-shim-id", "7"}, args...), &out, &errs)
	_ = ln.Close()
	<-done
	return code, errs.String()
}

// talk says something, wants each of its bits turned around, and ends.
func talk(conn interface {
	net.Conn
	CloseWrite() error
}) error {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !bytes.Equal(answer, turned([]byte("hello"))) {
		return fmt.Errorf("the echo is %x", answer)
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	return err
}

// server is crypto/tls behind a shim that is a client.
func server(config *tls.Config) peer {
	return func(conn net.Conn) error { return talk(tls.Server(conn, config)) }
}

// client is crypto/tls before a shim that is a server.
func client(config *tls.Config) peer {
	config.MinVersion = tls.VersionTLS13
	config.InsecureSkipVerify = true
	return func(conn net.Conn) error { return talk(tls.Client(conn, config)) }
}

// ourServer is mayfly behind a shim that is a client.
func ourServer(config *mayfly.Config) peer {
	return func(conn net.Conn) error { return talk(mayfly.Server(conn, config)) }
}

// ourClient is mayfly before a shim that is a server. It sends early data where it can.
func ourClient(config *mayfly.Config) peer {
	return func(conn net.Conn) error {
		c := mayfly.Client(conn, config)
		if config.Sessions == nil {
			return talk(c)
		}
		early := []byte("early")
		accepted, err := c.HandshakeEarly(t0, early)
		if err != nil {
			return err
		}
		if accepted {
			if _, err := io.ReadFull(c, early); err != nil {
				return err
			}
		}
		return talk(c)
	}
}

// A certificate is a key with a certificate of its own, in memory and in files.
type certificate struct {
	tls.Certificate
	flags []string // by which the shim finds it
	file  string
}

func newCertificate(t *testing.T, name string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate{
		tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		[]string{"-cert-file", certFile, "-key-file", keyFile}, certFile,
	}
}

// earlyServer is ourServer, which reads early data too.
func earlyServer(config *mayfly.Config) peer {
	return func(conn net.Conn) error {
		c := mayfly.Server(conn, config)
		if config.MaxEarlyData > 0 {
			if _, err := io.Copy(io.Discard, readerFunc(c.ReadEarly)); err != nil {
				return err
			}
		}
		if err := c.Handshake(); err != nil {
			return err
		}
		if config.MaxEarlyData == 0 && c.ConnectionState().DidResume {
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil { // what was not sent early
				return err
			}
		}
		return talk(c)
	}
}

// credulous admits all early data: that of tickets, too, which are as old as their keys.
type credulous struct{}

func (credulous) Admit(context.Context, mayfly.EarlyUse) (bool, error) { return true, nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func mustLeaf(t *testing.T, c certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func mustPool(t *testing.T, c certificate) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(mustLeaf(t, c))
	return pool
}
