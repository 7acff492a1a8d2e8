// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// watched is ZlibCompression with a count of how often it was asked.
type watched struct{ compressed, decompressed atomic.Int32 }

func (w *watched) algorithm() mayfly.CertificateCompression {
	c, zlib := mayfly.ZlibCompression(), mayfly.ZlibCompression()
	c.Compress = func(b []byte) ([]byte, error) { w.compressed.Add(1); return zlib.Compress(b) }
	c.Decompress = func(r io.Reader) (io.Reader, error) { w.decompressed.Add(1); return zlib.Decompress(r) }
	return c
}

// TestCertificateCompression shows that chains are compressed in both directions, that
// raw keys are not, and that a listener compresses each of its chains once.
func TestCertificateCompression(t *testing.T) {
	t.Parallel()
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	cert.OCSPStaple = []byte(strings.Repeat("a staple that repeats itself ", 50))
	client, server := new(watched), new(watched)
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Certificates: []tls.Certificate{cert}, Peers: mayfly.AnyKey(), PeerKinds: []mayfly.PeerKind{mayfly.X509}, AllowSelf: true,
		CertificateCompression: []mayfly.CertificateCompression{server.algorithm()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for range 3 {
		for _, compressions := range [][]mayfly.CertificateCompression{{client.algorithm()}, nil} {
			dialer := &mayfly.Dialer{Confirm: true, Config: &mayfly.Config{
				Certificates: []tls.Certificate{cert}, AllowSelf: true, Peers: mayfly.InsecureAnyServer(), CertificateCompression: compressions,
			}}
			c, err := dialer.DialConn(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if got := c.ConnectionState(); string(got.OCSPResponse) != string(cert.OCSPStaple) || !got.PeerCertificates[0].Equal(cert.Leaf) {
				t.Error("the client got another certificate than was shown")
			}
			_ = c.Close()
		}
	}
	if n := server.compressed.Load(); n != 1 {
		t.Errorf("the listener compressed its chain %d times", n)
	}
	if n := client.decompressed.Load(); n != 3 {
		t.Errorf("clients decompressed %d times", n)
	}
	if n := server.decompressed.Load(); n != 3 {
		t.Errorf("the listener decompressed %d times", n)
	}
}

// TestCompressionOfRawKey shows that raw keys go as they are.
func TestCompressionOfRawKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := new(watched)
	r.client.CertificateCompression = []mayfly.CertificateCompression{w.algorithm()}
	r.server.CertificateCompression = r.client.CertificateCompression
	r.connect(t)
	if w.compressed.Load() != 0 || w.decompressed.Load() != 0 {
		t.Error("a raw key was compressed")
	}
}

// TestZlibCompression holds what it makes to what it says.
func TestZlibCompression(t *testing.T) {
	t.Parallel()
	zlib := mayfly.ZlibCompression()
	for _, message := range []string{strings.Repeat("certificate", 100), "short", ""} {
		data, err := zlib.Compress([]byte(message))
		if err != nil || len(data) > 0 && len(data) >= len(message) {
			t.Errorf("%d bytes made %d: %v", len(message), len(data), err)
		}
		if len(data) == 0 {
			continue
		}
		plain, err := zlib.Decompress(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(plain); string(got) != message || err != nil {
			t.Errorf("%q became %q: %v", message, got, err)
		}
	}
}

// TestCompressionConfig shows which lists are refused, with what sentence.
func TestCompressionConfig(t *testing.T) {
	t.Parallel()
	zlib := mayfly.ZlibCompression()
	for says, list := range map[string][]mayfly.CertificateCompression{
		"neither":  {{Algorithm: 1}},
		"twice":    {zlib, zlib},
		"more alg": make([]mayfly.CertificateCompression, 128),
	} {
		a, b := net.Pipe()
		err := mayfly.Client(a, &mayfly.Config{Peers: mayfly.InsecureAnyServer(), CertificateCompression: list}).Handshake()
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "CertificateCompression") {
			t.Errorf("%v, want a sentence with %q", err, says)
		}
		_, _ = a.Close(), b.Close()
	}
}
