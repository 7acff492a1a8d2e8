// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// marshaler is what all messages have in common.
type marshaler interface{ Marshal() []byte }

// parse parses a message by its type, nil if the type is not one of ours.
func parse(raw []byte) (marshaler, error) {
	if len(raw) == 0 {
		return nil, errDecode(0)
	}
	parser := parsers[MessageType(raw[0])]
	if parser == nil {
		return nil, errDecode(0)
	}
	return parser(raw)
}

var parsers = map[MessageType]func([]byte) (marshaler, error){
	ClientHelloType:           general(ParseClientHello),
	ServerHelloType:           general(ParseServerHello),
	NewSessionTicketType:      general(ParseNewSessionTicket),
	EndOfEarlyDataType:        general(ParseEndOfEarlyData),
	EncryptedExtensionsType:   general(ParseEncryptedExtensions),
	CertificateType:           general(ParseCertificate),
	CertificateRequestType:    general(ParseCertificateRequest),
	CertificateVerifyType:     general(ParseCertificateVerify),
	FinishedType:              general(ParseFinished),
	KeyUpdateType:             general(ParseKeyUpdate),
	CompressedCertificateType: general(ParseCompressedCertificate),
}

func general[M marshaler](f func([]byte) (M, error)) func([]byte) (marshaler, error) {
	return func(raw []byte) (marshaler, error) {
		m, err := f(raw)
		if err != nil {
			return nil, err
		}
		return m, nil
	}
}

// message gives a body its header.
func message(t MessageType, body string) []byte {
	return marshal(t, func(b *builder) { b.AddBytes([]byte(body)) })
}

// vec8, vec16 and vec24 are vectors with a length of so many bits.
func vec8(s ...string) string  { return vec(1, s) }
func vec16(s ...string) string { return vec(2, s) }
func vec24(s ...string) string { return vec(3, s) }

func vec(n int, parts []string) string {
	s := strings.Join(parts, "")
	return string([]byte{byte(len(s) >> 16), byte(len(s) >> 8), byte(len(s))}[3-n:]) + s
}

// ext is one extension.
func ext(t ExtensionType, data string) string {
	return string([]byte{byte(t >> 8), byte(t)}) + vec16(data)
}

// fixed is the part of a ClientHello, and of a ServerHello, before the extensions.
var (
	someRandom  = strings.Repeat("r", 32)
	helloFixed  = "\x03\x03" + someRandom + vec8("session") + vec16("\x13\x01\x13\x02") + vec8("\x00")
	serverFixed = "\x03\x03" + someRandom + vec8("session") + "\x13\x01" + "\x00"
	retryFixed  = "\x03\x03" + string(RetryRandom[:]) + vec8("session") + "\x13\x01" + "\x00"
)

// samples are one message of each kind, with each extension that is known.
func samples() map[string][]byte {
	psk := vec16(vec16("identity"), "\x00\x00\x00\x07", vec16("another"), "\x01\x02\x03\x04") +
		vec16(vec8(strings.Repeat("b", 32)), vec8(strings.Repeat("c", 48)))
	two := uint8(2)
	selected := uint16(1)
	return map[string][]byte{
		"ClientHello": message(ClientHelloType, helloFixed+vec16(
			ext(0x0a0a, ""), // GREASE, RFC 8701
			ext(ExtServerName, vec16("\x00", vec16("db.example"))),
			ext(ExtStatusRequest, plainStatusRequest),
			ext(ExtSupportedGroups, vec16("\x11\xec\x00\x1d")),
			ext(ExtSignatureAlgorithms, vec16("\x08\x07")),
			ext(ExtALPN, vec16(vec8("h2"), vec8("\x0a\x0a"))),
			ext(ExtSCT, ""),
			ext(ExtClientCertificateType, vec8("\x02\x00")),
			ext(ExtServerCertificateType, vec8("\x02")),
			ext(ExtPadding, "\x00\x00\x00"),
			ext(ExtCompressCertificate, vec8("\x00\x01\x00\x02")),
			ext(ExtRecordSizeLimit, "\x40\x01"),
			ext(ExtEarlyData, ""),
			ext(ExtSupportedVersions, vec8("\x1a\x1a\x03\x04")),
			ext(ExtCookie, vec16("cookie")),
			ext(ExtPSKKeyExchangeModes, vec8("\x01")),
			ext(ExtCertificateAuthorities, vec16(vec16("one"), vec16("two"))),
			ext(ExtPostHandshakeAuth, ""),
			ext(ExtSignatureAlgorithmsCert, vec16("\x04\x01\x08\x07")),
			ext(ExtKeyShare, vec16("\x2a\x2a", vec16("\x00"), "\x00\x1d", vec16(strings.Repeat("k", 32)))),
			ext(ExtTicketRequest, "\x02\x01"),
			ext(0xfafa, "\x00"),
			ext(ExtPreSharedKey, psk),
		)),
		"ClientHello with an unusual status_request": message(ClientHelloType, helloFixed+vec16(
			ext(ExtStatusRequest, "\x01"+vec16(vec16("responder"))+vec16("extensions")))),
		"ClientHello with an unknown status_request": message(ClientHelloType, helloFixed+vec16(ext(ExtStatusRequest, "\x02?"))),
		"ClientHello with no share":                  message(ClientHelloType, helloFixed+vec16(ext(ExtKeyShare, vec16()))),
		"ClientHello with an empty vector":           message(ClientHelloType, helloFixed+vec16()),
		"ClientHello of version 0":                   message(ClientHelloType, "\x00\x00"+helloFixed[2:]+vec16()),
		"ClientHello without extensions":             message(ClientHelloType, helloFixed),
		"ServerHello": message(ServerHelloType, serverFixed+vec16(
			ext(ExtPreSharedKey, "\x00\x01"),
			ext(ExtKeyShare, "\x00\x1d"+vec16("share")),
			ext(0x1a1a, "?"),
			ext(ExtSupportedVersions, "\x03\x04"),
		)),
		"ServerHello with an empty vector": message(ServerHelloType, serverFixed+vec16()),
		"ServerHello of version 0":         message(ServerHelloType, "\x00\x00"+serverFixed[2:]+vec16()),
		"ServerHello without extensions":   message(ServerHelloType, serverFixed),
		"HelloRetryRequest": message(ServerHelloType, retryFixed+vec16(
			ext(ExtCookie, vec16("cookie")),
			ext(ExtKeyShare, "\x00\x1d"),
			ext(ExtSupportedVersions, "\x03\x04"),
		)),
		"HelloRetryRequest for group 0": message(ServerHelloType, retryFixed+vec16(ext(ExtKeyShare, "\x00\x00"))),
		"EncryptedExtensions": message(EncryptedExtensionsType, vec16(
			ext(ExtRecordSizeLimit, "\x00\x40"),
			ext(ExtServerName, ""),
			ext(ExtSupportedGroups, vec16("\x00\x17")),
			ext(ExtALPN, vec16(vec8("h2"))),
			ext(ExtClientCertificateType, "\x02"),
			ext(ExtServerCertificateType, "\x00"),
			ext(ExtTicketRequest, "\x01"),
			ext(ExtEarlyData, ""),
		)),
		"EncryptedExtensions, empty": message(EncryptedExtensionsType, vec16()),
		"CertificateRequest": message(CertificateRequestType, vec8("context")+vec16(
			ext(ExtStatusRequest, ""),
			ext(ExtSCT, ""),
			ext(ExtOIDFilters, vec16()),
			ext(ExtSignatureAlgorithms, vec16("\x08\x07\x04\x03")),
			ext(0x3a3a, "grease"),
			ext(ExtCertificateAuthorities, vec16(vec16("x"))),
			ext(ExtSignatureAlgorithmsCert, vec16("\x04\x01")),
			ext(ExtCompressCertificate, vec8("\x00\x02")),
		)),
		"CertificateRequest without extensions": message(CertificateRequestType, vec8()+vec16()),
		"Certificate": message(CertificateType, vec8("context")+vec24(
			vec24("leaf"), vec16(
				ext(ExtSCT, vec16(vec16("one"), vec16("two"))),
				ext(0x4a4a, "grease"),
				ext(ExtStatusRequest, "\x01"+vec24("response")),
			),
			vec24("issuer"), vec16(),
		)),
		"Certificate, empty":              message(CertificateType, vec8()+vec24()),
		"CompressedCertificate":           (&CompressedCertificate{Algorithm: 2, UncompressedLength: 1<<24 - 1, Data: []byte("zip")}).Marshal(),
		"CertificateVerify":               (&CertificateVerify{Scheme: 0x0807, Signature: []byte("signature")}).Marshal(),
		"CertificateVerify, no signature": (&CertificateVerify{Scheme: 0x0807}).Marshal(),
		"Finished":                        (&Finished{VerifyData: []byte(strings.Repeat("f", 32))}).Marshal(),
		"NewSessionTicket": message(NewSessionTicketType, "\x00\x09\x3a\x80"+"\x01\x02\x03\x04"+vec8("nonce")+vec16("ticket")+vec16(
			ext(0x5a5a, "grease"),
			ext(ExtEarlyData, "\xff\xff\xff\xff"),
		)),
		"NewSessionTicket, no early data": message(NewSessionTicketType, "\x00\x00\x00\x00"+"\x00\x00\x00\x00"+vec8()+vec16("t")+vec16(
			ext(ExtEarlyData, "\x00\x00\x00\x00"))),
		"KeyUpdate":            (&KeyUpdate{}).Marshal(),
		"KeyUpdate, requested": (&KeyUpdate{Requested: true}).Marshal(),
		"EndOfEarlyData":       (&EndOfEarlyData{}).Marshal(),
		// As a server and a client make them, with no order set.
		"our ServerHello": (&ServerHello{CipherSuite: 0x1301, SupportedVersion: 0x0304, KeyShare: &KeyShare{0x1d, []byte("share")},
			SelectedPSK: &selected}).Marshal(),
		"our HelloRetryRequest":   (&ServerHello{Random: RetryRandom, SupportedVersion: 0x0304, SelectedGroup: 0x1d, Cookie: []byte("cookie")}).Marshal(),
		"our EncryptedExtensions": (&EncryptedExtensions{ALPN: "h2", ServerName: true, ClientCertType: &two, RecordSizeLimit: 64}).Marshal(),
	}
}

// TestRoundTrip shows that what parses is marshalled to the same bytes, and that
// what has forgotten its order holds the same in an order of our own.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	seen := make(map[MessageType]bool)
	for name, raw := range samples() {
		m, err := parse(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[MessageType(raw[0])] = true
		if got := m.Marshal(); !bytes.Equal(got, raw) {
			t.Errorf("%s: marshalled to\n%x, want\n%x", name, got, raw)
		}
		checkReordered(t, m)
	}
	for typ := range parsers {
		if !seen[typ] {
			t.Errorf("no sample of %s", typ)
		}
	}
}

// checkReordered forgets the order of m's extensions, marshals it in our own and
// parses the result. A ServerHello of ours always has supported_versions, and a
// ticket of ours early_data only for some: they are left out.
func checkReordered(t *testing.T, m marshaler) {
	t.Helper()
	original := m.Marshal()
	switch m := m.(type) {
	case *ClientHello:
		m.Extensions = nil
	case *EncryptedExtensions:
		m.Extensions = nil
	case *CertificateRequest:
		m.Extensions = nil
	}
	raw := m.Marshal()
	if _, err := parse(raw); err != nil || len(raw) != len(original) {
		t.Errorf("in our own order: %v\n%x, was\n%x", err, raw, original)
	}
}

// TestOwnOrder shows that a message whose order is not set holds the same as one
// that is marshalled as it came.
func TestOwnOrder(t *testing.T) {
	t.Parallel()
	all := samples()
	for _, name := range []string{ // that are not as we make them
		"ClientHello of version 0", "ServerHello of version 0", "ServerHello with an empty vector", "HelloRetryRequest for group 0",
		"NewSessionTicket, no early data",
	} {
		delete(all, name)
	}
	for name, raw := range all {
		m, err := parse(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		forgetOrder(m)
		again, err := parse(m.Marshal())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		forgetOrder(again)
		if !reflect.DeepEqual(m, again) {
			t.Errorf("%s in our own order:\n%+v, was\n%+v", name, again, m)
		}
	}
}

// TestOwnHellos pins the bytes of what is not parsed but made: the versions, the
// null method, and pre_shared_key last.
func TestOwnHellos(t *testing.T) {
	t.Parallel()
	random, selected := [32]byte([]byte(someRandom)), uint16(1)
	for name, test := range map[string]struct {
		m    marshaler
		want []byte
	}{
		"ClientHello": {
			&ClientHello{Random: random, SessionID: []byte("session"), CipherSuites: []uint16{0x1301, 0x1302}, SupportedVersions: []uint16{0x0304},
				Cookie: []byte("c"), Other: []Extension{{0x0a0a, []byte("?")}},
				PSK: &PreSharedKeys{[]PSKIdentity{{[]byte("i"), 0}}, [][]byte{[]byte(strings.Repeat("b", 32))}}},
			message(ClientHelloType, helloFixed+vec16(ext(ExtSupportedVersions, vec8("\x03\x04")), ext(ExtCookie, vec16("c")), ext(0x0a0a, "?"),
				ext(ExtPreSharedKey, offer([]string{"i"}, 32)))),
		},
		"ServerHello": {
			&ServerHello{Random: random, SessionID: []byte("session"), CipherSuite: 0x1301, SupportedVersion: 0x0304, KeyShare: &KeyShare{0x1d, []byte("k")},
				SelectedPSK: &selected},
			message(ServerHelloType, serverFixed+vec16(ext(ExtSupportedVersions, "\x03\x04"), ext(ExtKeyShare, "\x00\x1d"+vec16("k")), ext(ExtPreSharedKey, "\x00\x01"))),
		},
	} {
		if got := test.m.Marshal(); !bytes.Equal(got, test.want) {
			t.Errorf("%s: marshalled to\n%x, want\n%x", name, got, test.want)
		}
	}
}

// forgetOrder makes m as if it had not been parsed.
func forgetOrder(m marshaler) {
	switch m := m.(type) {
	case *ClientHello:
		m.Raw, m.Extensions = nil, nil
	case *ServerHello:
		m.Raw, m.Extensions = nil, nil
	case *EncryptedExtensions:
		m.Extensions = nil
	case *CertificateRequest:
		m.Extensions = nil
	case *Certificate:
		for i := range m.Entries {
			m.Entries[i].Extensions = nil
		}
	case *NewSessionTicket:
		m.Extensions = nil
	}
}

// TestPrefixes shows that no strict prefix of a message parses, with the header
// that it had and with one that tells its new length.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	for name, raw := range samples() {
		checkPrefixes(t, name, raw)
		longer := append(bytes.Clone(raw), 0)
		if _, err := parse(longer); alert.Of(err) != alert.DecodeError {
			t.Errorf("%s with a byte behind it: %v", name, err)
		}
		longer[3]++ // no sample ends in 0xff
		_, err := parse(longer)
		if MessageType(raw[0]) != FinishedType && !beforeExtensions(raw) && alert.Of(err) != alert.DecodeError {
			t.Errorf("%s with a byte behind it that belongs to it: %v", name, err)
		}
	}
}

// beforeExtensions reports whether raw is a hello that ends before its extensions;
// a byte behind it is the start of them.
func beforeExtensions(raw []byte) bool {
	switch m, _ := parse(raw); m := m.(type) {
	case *ClientHello:
		return m.noExtensions
	case *ServerHello:
		return m.noExtensions
	}
	return false
}

func checkPrefixes(t *testing.T, name string, raw []byte) {
	t.Helper()
	for n := range raw {
		if m, err := parse(raw[:n]); alert.Of(err) != alert.DecodeError || m != nil {
			t.Errorf("%s: %d of %d bytes: %v", name, n, len(raw), err)
		}
		if n < headerLen {
			continue
		}
		short := bytes.Clone(raw[:n])
		body := n - headerLen
		short[1], short[2], short[3] = byte(body>>16), byte(body>>8), byte(body)
		m, err := parse(short)
		switch m := m.(type) {
		case nil:
			if code := alert.Of(err); code != alert.DecodeError {
				t.Errorf("%s, shortened to %d of %d bytes: %v", name, n, len(raw), err)
			}
		case *Finished: // how long it must be is known above
		case *ClientHello:
			if !m.noExtensions {
				t.Errorf("%s, shortened to %d of %d bytes, parses", name, n, len(raw))
			}
		case *ServerHello:
			if !m.noExtensions {
				t.Errorf("%s, shortened to %d of %d bytes, parses", name, n, len(raw))
			}
		default:
			t.Errorf("%s, shortened to %d of %d bytes, parses", name, n, len(raw))
		}
	}
}

// TestWrongType shows that a parser takes messages of its own type alone.
func TestWrongType(t *testing.T) {
	t.Parallel()
	for name, raw := range samples() {
		for typ, parser := range parsers {
			if typ == MessageType(raw[0]) {
				continue
			}
			if _, err := parser(raw); alert.Of(err) != alert.DecodeError {
				t.Errorf("%s parsed as %s: %v", name, typ, err)
			}
		}
	}
}

// TestAlerts shows that each error names its alert, and no bytes of the message.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const marker = "evil\x1b[31m"
	for _, raw := range [][]byte{
		message(ClientHelloType, marker),
		message(ClientHelloType, helloFixed+vec16(ext(ExtServerName, vec16("\x00", vec16(marker), "\x00")))),
		message(ClientHelloType, helloFixed+vec16(ext(0x6576, marker), ext(0x6576, marker))),
		message(KeyUpdateType, "\xee"),
	} {
		_, err := parse(raw)
		var a *alert.Error
		if !errors.As(err, &a) || strings.Contains(err.Error(), "evil") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestTooLong shows that what has no room in a message is not sent in part, and
// does not panic.
func TestTooLong(t *testing.T) {
	t.Parallel()
	long := make([]byte, 1<<16)
	for name, m := range map[string]marshaler{
		"cookie":      &ClientHello{CipherSuites: []uint16{1}, KeyShares: []KeyShare{{1, long[:1216]}}, Cookie: long[:1<<16-200]},
		"session ID":  &ClientHello{SessionID: long[:256]},
		"protocol":    &ClientHello{ALPN: []string{string(long[:256])}},
		"share":       &ServerHello{KeyShare: &KeyShare{Data: long}},
		"name":        &CertificateRequest{CertificateAuthorities: [][]byte{long}},
		"response":    &Certificate{Entries: []CertificateEntry{{Data: long, OCSPResponse: long}}},
		"certificate": &Certificate{Entries: []CertificateEntry{{Data: make([]byte, 1<<24)}}},
		"signature":   &CertificateVerify{Signature: long},
		"ticket":      &NewSessionTicket{Ticket: long},
		"selected":    &EncryptedExtensions{ALPN: string(long[:256])},
	} {
		if raw := m.Marshal(); raw != nil {
			t.Errorf("%s: %d bytes", name, len(raw))
		}
	}
}

// TestNames pins the words of the RFC.
func TestNames(t *testing.T) {
	t.Parallel()
	for typ := range parsers {
		if typ.String() == "" || strings.Contains(typ.String(), " ") {
			t.Errorf("%d has the name %q", uint8(typ), typ.String())
		}
	}
	for got, want := range map[string]string{
		EndOfEarlyDataType.String():                                "end_of_early_data",
		MessageHashType.String():                                   "message_hash",
		MessageType(6).String():                                    "handshake message 6",
		ExtKeyShare.String():                                       "extension 51",
		string((Message{Raw: []byte("\x14\x00\x00\x01x")}).Body()): "x",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
