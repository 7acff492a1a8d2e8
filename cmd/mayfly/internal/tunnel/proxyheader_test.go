// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mayfly-tls/mayfly"
)

// tlvsOf returns the TLVs of a header by their types.
func tlvsOf(t *testing.T, h *proxyproto.Header) (map[proxyproto.PP2Type]string, tlvparse.PP2SSL) {
	t.Helper()
	list, err := h.TLVs()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[proxyproto.PP2Type]string)
	for _, tlv := range list {
		values[tlv.Type] = string(tlv.Value)
	}
	ssl, ok := tlvparse.FindSSL(list)
	if !ok {
		t.Fatal("the header has no PP2_TYPE_SSL")
	}
	return values, ssl
}

// TestProxyHeaderComesFirst has the target read a header, with the address and the pin of
// the peer, before what the peer sends.
func TestProxyHeaderComesFirst(t *testing.T) {
	w := newWorld(t, func(server, _ *Config) { server.SendProxy = true })
	config := w.dials.Load()
	for _, resumed := range []bool{false, true} {
		if !resumed {
			config = config.Clone()
			config.Sessions = mayfly.NewSessionCache(0)
		}
		c, err := (&mayfly.Dialer{Config: config}).DialConn(context.Background(), "tcp", w.secure)
		if err != nil {
			t.Fatal(err)
		}
		bound(t, c)
		target := accept(t, w.target)
		r := bufio.NewReader(target)
		h, err := proxyproto.Read(r) // before the peer has sent anything
		if err != nil {
			t.Fatal(err)
		}
		if h.Version != 2 || h.SourceAddr.String() != c.LocalAddr().String() || h.DestinationAddr.String() != w.secure {
			t.Errorf("version %d, from %s to %s; want version 2, from %s to %s", h.Version, h.SourceAddr, h.DestinationAddr, c.LocalAddr(), w.secure)
		}
		values, ssl := tlvsOf(t, h)
		if got, want := values[TLVPin], config.Identity.Pin().String(); got != want {
			t.Errorf("the pin is %q, not %q", got, want)
		}
		version, _ := ssl.SSLVersion()
		if !ssl.Verified() || !ssl.ClientCertSess() || ssl.ClientCertConn() == resumed || version != "TLSv1.3" {
			t.Errorf("resumed %t: PP2_TYPE_SSL says %+v", resumed, ssl)
		}
		if c.Peer().Resumed != resumed {
			t.Errorf("resumed is %t, not %t", c.Peer().Resumed, resumed)
		}
		go func() {
			_, _ = io.WriteString(c, "request")
			_ = c.CloseWrite()
		}()
		if got, err := io.ReadAll(r); err != nil || string(got) != "request" {
			t.Errorf("after the header came %q, %v", got, err)
		}
		if _, err := io.WriteString(target, "answer"); err != nil {
			t.Error(err)
		}
		_ = target.Close()
		if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
			t.Errorf("the peer received %q, %v", got, err)
		}
	}
}

// TestNoProxyHeaderUnlessAskedFor has the target see nothing but what the peer sends.
func TestNoProxyHeaderUnlessAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	c := dial(t, w.plain)
	if _, err := io.WriteString(c, "request"); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(accept(t, w.target)); err != nil || string(got) != "request" {
		t.Errorf("the target received %q, %v", got, err)
	}
}

// TestProxyHeaderNamesOnlyWhatWasVerified takes no name from a certificate that no
// authority vouches for.
func TestProxyHeaderNamesOnlyWhatWasVerified(t *testing.T) {
	source, destination := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 7000}
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "app.test"}}
	pin := mayfly.Pin{1, 2, 3}
	state := tls.ConnectionState{CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "db.test"}
	for _, c := range []struct {
		name         string
		peer         mayfly.Peer
		verified     bool
		cn, pin, who string
	}{
		{"an authority vouches for it", mayfly.Peer{Pin: pin, Certificates: []*x509.Certificate{leaf}, Chains: [][]*x509.Certificate{{leaf}}}, true, "app.test", pin.String(), ""},
		{"its pin is listed, with a name", mayfly.Peer{Pin: pin, Name: "app", Certificates: []*x509.Certificate{leaf}}, true, "", pin.String(), "app"},
		{"it was not asked for a key", mayfly.Peer{}, false, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header, err := proxyHeader(source, destination, c.peer, state)
			if err != nil {
				t.Fatal(err)
			}
			h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(header)))
			if err != nil {
				t.Fatal(err)
			}
			values, ssl := tlvsOf(t, h)
			cn, _ := ssl.ClientCN()
			if ssl.Verified() != c.verified || ssl.ClientCertSess() != c.verified || cn != c.cn || values[TLVPin] != c.pin || values[TLVName] != c.who {
				t.Errorf("verified %t, CN %q, pin %q, name %q", ssl.Verified(), cn, values[TLVPin], values[TLVName])
			}
			if cipher, _ := ssl.SSLCipher(); cipher != "TLS_AES_128_GCM_SHA256" || values[proxyproto.PP2_TYPE_AUTHORITY] != "db.test" {
				t.Errorf("cipher %q, authority %q", cipher, values[proxyproto.PP2_TYPE_AUTHORITY])
			}
		})
	}
}

// TestProxyHeaderAddresses has a form for each kind of address that a tunnel listens on,
// and is an error for others: a header without an address would let a client pass for the
// tunnel server.
func TestProxyHeaderAddresses(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1000} }
	for _, c := range []struct {
		name        string
		source      net.Addr
		destination net.Addr
		family      proxyproto.AddressFamilyAndProtocol
		from        string
	}{
		{"IPv4", tcp("192.0.2.1"), tcp("192.0.2.2"), proxyproto.TCPv4, "192.0.2.1:1000"},
		{"IPv4 on a socket of IPv6", tcp("::ffff:192.0.2.1"), tcp("::ffff:192.0.2.2"), proxyproto.TCPv4, "192.0.2.1:1000"},
		{"IPv6", tcp("2001:db8::1"), tcp("2001:db8::2"), proxyproto.TCPv6, "[2001:db8::1]:1000"},
		{"a Unix socket without a name", &net.UnixAddr{Name: "@", Net: "unix"}, &net.UnixAddr{Name: "/run/x.sock", Net: "unix"}, proxyproto.UnixStream, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header, err := proxyHeader(c.source, c.destination, mayfly.Peer{}, tls.ConnectionState{})
			if err != nil {
				t.Fatal(err)
			}
			h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(header)))
			if err != nil || h.TransportProtocol != c.family || h.SourceAddr.String() != c.from {
				t.Errorf("%v, %v", h, err)
			}
		})
	}
	if _, err := proxyHeader(nil, nil, mayfly.Peer{}, tls.ConnectionState{}); err == nil {
		t.Error("a header without addresses was made")
	}
	long := mayfly.Peer{Name: strings.Repeat("a", maxProxyHeader)}
	if _, err := proxyHeader(tcp("192.0.2.1"), tcp("192.0.2.2"), long, tls.ConnectionState{}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a name of %d bytes: %v", len(long.Name), err)
	}
}
