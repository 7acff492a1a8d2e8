// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// zlibbed is the algorithm 1, of the standard library.
var zlibbed = Compression{Algorithm: 1, Compress: deflate, Decompress: func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }}

func deflate(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err := w.Write(b)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// prefixed is an algorithm that writes a byte before the message.
func prefixed(algorithm uint16, prefix byte) Compression {
	return Compression{
		Algorithm: algorithm,
		Compress:  func(b []byte) ([]byte, error) { return append([]byte{prefix}, b...), nil },
		Decompress: func(r io.Reader) (io.Reader, error) {
			var b [1]byte
			if _, err := io.ReadFull(r, b[:]); err != nil || b[0] != prefix {
				return nil, errors.New("not of this algorithm")
			}
			return r, nil
		},
	}
}

// compressing has both sides show certificates, and compress them.
func compressing(algorithms ...Compression) func(*Config) {
	return func(c *Config) {
		c.Credentials, c.PeerTypes, c.RequirePeer = []*credential.Credential{ids().x509P256}, []credential.Type{credential.X509}, true
		c.Compressions = algorithms
	}
}

// TestCompression runs handshakes in which both sides show certificates, and looks at
// how these went.
func TestCompression(t *testing.T) {
	t.Parallel()
	one, two := prefixed(0xff01, 1), prefixed(0xff02, 2)
	sendOnly, receiveOnly, declines := one, one, one
	sendOnly.Decompress, receiveOnly.Compress = nil, nil
	declines.Compress = func([]byte) ([]byte, error) { return nil, nil }
	for _, test := range []struct {
		name           string
		client, server []Compression
		byClient       uint16 // the algorithm of what the client sent; 0: none
		byServer       uint16
	}{
		{"none", nil, nil, 0, 0},
		{"of one side", []Compression{one}, nil, 0, 0},
		{"zlib", []Compression{zlibbed}, []Compression{zlibbed}, 1, 1},
		{"by the sender's preference", []Compression{one, two}, []Compression{two, one, zlibbed}, 0xff01, 0xff02},
		{"nothing in common", []Compression{one}, []Compression{two}, 0, 0},
		{"send only", []Compression{sendOnly}, []Compression{one}, 0xff01, 0},
		{"receive only", []Compression{receiveOnly}, []Compression{one}, 0, 0xff01},
		{"of no use", []Compression{one}, []Compression{declines, two}, 0xff01, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, clientConfig(compressing(test.client...)), serverConfig(compressing(test.server...)))
			sent := make(map[Role]uint16)
			p.tamper = func(from Role, raw []byte) [][]byte {
				if wire.MessageType(raw[0]) == wire.CompressedCertificateType {
					sent[from] = binary.BigEndian.Uint16(raw[4:])
				}
				return [][]byte{raw}
			}
			p.mustSucceed(t)
			if sent[Client] != test.byClient || sent[Server] != test.byServer {
				t.Errorf("the client sent %#x, the server %#x", sent[Client], sent[Server])
			}
			for _, e := range []*endpoint{p.client, p.server} {
				if peer := e.m.Summary().Peer; peer == nil || !bytes.Equal(peer.Certificates[0].Raw, ids().x509P256.Entries[0]) {
					t.Error("the certificate is not what was shown")
				}
			}
		})
	}
}

// TestCompressionOfRawKeys shows that raw keys go as they are, and that nothing is
// offered where nothing else may come.
func TestCompressionOfRawKeys(t *testing.T) {
	t.Parallel()
	for _, types := range [][]credential.Type{bothTypes, bothTypes[:1]} {
		raw := func(c *Config) {
			c.Credentials, c.PeerTypes, c.RequestPeer = []*credential.Credential{ids().rawP256}, types, true
			c.Compressions = []Compression{prefixed(7, 7)}
		}
		p := newPair(t, clientConfig(raw), serverConfig(raw))
		p.tamper = func(_ Role, raw []byte) [][]byte {
			switch wire.MessageType(raw[0]) {
			case wire.CompressedCertificateType:
				t.Error("a raw key was compressed")
			case wire.ClientHelloType:
				if hello, err := wire.ParseClientHello(raw); err != nil || (hello.CompressCertificate != nil) != (len(types) == 2) {
					t.Errorf("%v: the client offers %v, %v", types, hello.CompressCertificate, err)
				}
			case wire.CertificateRequestType:
				if request, err := wire.ParseCertificateRequest(raw); err != nil || request.CompressCertificate != nil {
					t.Errorf("%v: the server offers %v, %v", types, request.CompressCertificate, err)
				}
			}
			return [][]byte{raw}
		}
		p.mustSucceed(t)
	}
}

// TestCompressionRefused alters compressed Certificates on their way. Those of an
// honest sender that grow are a matter of the limit alone.
func TestCompressionRefused(t *testing.T) {
	t.Parallel()
	squeeze := func(n int, body []byte) string {
		data, err := deflate(body)
		must(err)
		raw := (&wire.CompressedCertificate{Algorithm: 1, UncompressedLength: uint32(n), Data: data}).Marshal()
		return string(raw)
	}
	zeros := make([]byte, 1<<20)
	valid := func(raw []byte) []byte { // the Certificate inside
		m, err := wire.ParseCompressedCertificate(raw)
		must(err)
		r, err := zlib.NewReader(bytes.NewReader(m.Data))
		must(err)
		body, err := io.ReadAll(r)
		must(err)
		return body
	}
	announce := func(change int) edit {
		return func(raw []byte) []byte { b := valid(raw); return []byte(squeeze(len(b)+change, b)) }
	}
	const empty = "\x00\x00\x00\x00"
	for _, from := range []Role{Client, Server} {
		emptyCode := map[Role]alert.Code{Client: alert.CertificateRequired, Server: alert.DecodeError}[from]
		for _, r := range []refusal{
			{name: "algorithm not offered", edit: at(4, 0, 2), code: alert.IllegalParameter},
			{name: "announced too short", edit: announce(-1), code: alert.BadCertificate},
			{name: "announced too long", edit: announce(1), code: alert.BadCertificate},
			{name: "announced empty", edit: at(6, 0, 0, 0), code: alert.BadCertificate},
			{name: "announced over the limit", edit: constant(squeeze(maxCertificate-3, zeros[:maxCertificate-3])), code: alert.BadCertificate},
			{name: "at the limit", edit: constant(squeeze(maxCertificate-4, zeros[:maxCertificate-4])), code: alert.DecodeError},
			{name: "a bomb", edit: constant(squeeze(1000, zeros)), code: alert.BadCertificate},
			{name: "an announced bomb", edit: constant(squeeze(1<<24-1, zeros)), code: alert.BadCertificate},
			{name: "not zlib", edit: func(raw []byte) []byte { raw[12] ^= 0xff; return raw }, code: alert.BadCertificate},
			{name: "wrong checksum", edit: last, code: alert.BadCertificate},
			{name: "cut", edit: func(raw []byte) []byte {
				m, err := wire.ParseCompressedCertificate(raw)
				must(err)
				m.Data = m.Data[:len(m.Data)-1]
				return m.Marshal()
			}, code: alert.BadCertificate},
			{name: "something follows", edit: func(raw []byte) []byte {
				m, err := wire.ParseCompressedCertificate(raw)
				must(err)
				m.Data = append(slices.Clone(m.Data), 0)
				return m.Marshal()
			}, code: alert.BadCertificate},
			{name: "nothing", edit: constant("\x19\x00\x00\x08\x00\x01\x00\x00\x04\x00\x00\x00"), code: alert.DecodeError},
			{name: "truncated", edit: shorter, code: alert.DecodeError},
			{name: "empty certificate", edit: constant(squeeze(len(empty), []byte(empty))), code: emptyCode},
			{name: "no message", edit: constant(squeeze(1, []byte("x"))), code: alert.DecodeError},
		} {
			r.message, r.from = wire.CompressedCertificateType, from
			r.client, r.server = compressing(zlibbed), compressing(zlibbed)
			t.Run(map[Role]string{Client: "client's ", Server: "server's "}[from]+r.name, r.run)
		}
		unasked := refusal{
			message: wire.CertificateType, from: from, client: compressing(), server: compressing(), code: alert.UnexpectedMessage,
			edit: func(raw []byte) []byte { return []byte(squeeze(len(raw)-4, raw[4:])) },
		}
		t.Run(map[Role]string{Client: "client's ", Server: "server's "}[from]+"unasked", unasked.run)
	}
}

// TestCompressionLists shows which lists of algorithms are refused.
func TestCompressionLists(t *testing.T) {
	t.Parallel()
	for _, r := range []refusal{
		{name: "the client's, one twice", from: Client, message: wire.ClientHelloType, edit: with(wire.ExtCompressCertificate, "\x04\x00\x01\x00\x01"), code: alert.IllegalParameter},
		{name: "the client's, empty", from: Client, message: wire.ClientHelloType, edit: with(wire.ExtCompressCertificate, "\x00"), code: alert.DecodeError},
		{name: "the client's, odd", from: Client, message: wire.ClientHelloType, edit: with(wire.ExtCompressCertificate, "\x03\x00\x01\x00"), code: alert.DecodeError},
		{name: "the server's, one twice", from: Server, message: wire.CertificateRequestType, edit: with(wire.ExtCompressCertificate, "\x04\x00\x01\x00\x01"), code: alert.IllegalParameter},
		{name: "the server's, empty", from: Server, message: wire.CertificateRequestType, edit: with(wire.ExtCompressCertificate, "\x00"), code: alert.DecodeError},
		{name: "an answer", from: Server, message: wire.EncryptedExtensionsType, edit: with(wire.ExtCompressCertificate, "\x02\x00\x01"), code: alert.IllegalParameter},
	} {
		r.client, r.server = compressing(zlibbed), compressing(zlibbed)
		t.Run(r.name, r.run)
	}
}

// TestCompressorFails shows that a handshake ends where our own algorithm fails.
func TestCompressorFails(t *testing.T) {
	t.Parallel()
	good := prefixed(9, 9)
	for name, compress := range map[string]func([]byte) ([]byte, error){
		"an error": func([]byte) ([]byte, error) { return nil, errors.New("out of order") },
		"too long": func([]byte) ([]byte, error) { return make([]byte, maxCertificate+1), nil },
	} {
		bad := good
		bad.Compress = compress
		newPair(t, clientConfig(compressing(good)), serverConfig(compressing(bad))).mustFail(t, Server, alert.InternalError)
		p := newPair(t, clientConfig(compressing(bad)), serverConfig(compressing(good)))
		p.mustFail(t, Client, alert.InternalError)
		if name == "an error" && !strings.Contains(p.client.err.Error(), "out of order") {
			t.Errorf("the cause is lost: %v", p.client.err)
		}
	}
	many := clientConfig(func(c *Config) { c.Compressions = make([]Compression, maxCompressions+1) })
	if _, err := NewClient(many); err == nil {
		t.Error("more algorithms than can be offered")
	}
}
