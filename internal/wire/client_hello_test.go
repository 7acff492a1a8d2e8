// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// good marks what parses.
const good alert.Code = 0

// A bodyTest is a message and how it is judged.
type bodyTest struct {
	name string
	typ  MessageType
	body string
	code alert.Code
}

func testBodies(t *testing.T, tests []bodyTest) {
	t.Helper()
	for _, test := range tests {
		raw := message(test.typ, test.body)
		m, err := parse(raw)
		switch {
		case test.code == good && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.code != good && (err == nil || alert.Of(err) != test.code):
			t.Errorf("%s: %v, want %v", test.name, err, test.code)
		case test.code == good && string(m.Marshal()) != string(raw):
			t.Errorf("%s: marshalled to %x, want %x", test.name, m.Marshal(), raw)
		}
	}
}

// An extensionTest is the body of one extension and how it is judged.
type extensionTest struct {
	name string
	typ  ExtensionType
	body string
	code alert.Code
}

// testExtensions puts each body into a message; before is what stands in front of
// the message's extensions.
func testExtensions(t *testing.T, typ MessageType, before string, tests []extensionTest) {
	t.Helper()
	var bodies []bodyTest
	for _, test := range tests {
		bodies = append(bodies, bodyTest{test.typ.String() + ", " + test.name, typ, before + vec16(ext(test.typ, test.body)), test.code})
		// Data left over after an extension is a decode_error, Section 4.3.
		if test.code == good {
			bodies = append(bodies, bodyTest{test.typ.String() + ", " + test.name + " and a byte", typ,
				before + vec16(ext(test.typ, test.body+"\x00")), alert.DecodeError})
		}
	}
	testBodies(t, bodies)
}

// TestClientHello walks the fields before the extensions, and what concerns the
// extensions as a whole.
func TestClientHello(t *testing.T) {
	t.Parallel()
	hello := func(session, suites, compression, rest string) string {
		return "\x03\x03" + someRandom + session + suites + compression + rest
	}
	id, suites, null := vec8("id"), vec16("\x13\x01"), vec8("\x00")
	psk := ext(ExtPreSharedKey, offer([]string{"id"}, 32))
	var list strings.Builder
	for i := range 16000 {
		list.WriteString(ext(ExtensionType(1000+i), ""))
	}
	many := list.String()
	tests := []bodyTest{
		{"empty", 0, "", alert.DecodeError},
		{"session ID of 32", 0, hello(vec8(strings.Repeat("i", 32)), suites, null, vec16()), good},
		{"session ID of 33", 0, hello(vec8(strings.Repeat("i", 33)), suites, null, vec16()), alert.DecodeError},
		{"no suites", 0, hello(id, vec16(), null, vec16()), alert.DecodeError},
		{"half a suite", 0, hello(id, vec16("\x13\x01\x13"), null, vec16()), alert.DecodeError},
		{"a suite twice", 0, hello(id, vec16("\x13\x01\x13\x01"), null, vec16()), good},
		{"no compression methods", 0, hello(id, suites, vec8(), vec16()), alert.DecodeError},
		{"many compression methods", 0, hello(id, suites, vec8("\x01\x00"), vec16()), good},
		{"version 0x0301", 0, "\x03\x01" + hello(id, suites, null, "")[2:], good},
		{"half a vector", 0, hello(id, suites, null, "\x00"), alert.DecodeError},
		{"data behind the extensions", 0, hello(id, suites, null, vec16()+"\x00"), alert.DecodeError},
		{"half an extension", 0, hello(id, suites, null, vec16("\x00\x00\x00")), alert.DecodeError},
		{"an extension that is longer than the rest", 0, hello(id, suites, null, vec16("\x0a\x0a\x00\x01")), alert.DecodeError},
		{"a known extension twice", 0, helloFixed + vec16(ext(ExtCookie, vec16("a")), ext(ExtCookie, vec16("a"))), alert.IllegalParameter},
		{"an unknown extension twice", 0, helloFixed + vec16(ext(0x0a0a, ""), ext(ExtSCT, ""), ext(0x0a0a, "")), alert.IllegalParameter},
		{"malformed, and then twice", 0, helloFixed + vec16(ext(ExtCookie, ""), ext(ExtCookie, "")), alert.IllegalParameter},
		{"twice, and then malformed", 0, helloFixed + vec16(ext(0x0a0a, ""), ext(0x0a0a, ""), "\x00"), alert.DecodeError},
		{"GREASE of two kinds", 0, helloFixed + vec16(ext(0x0a0a, ""), ext(0x1a1a, "x")), good},
		{"16,000 extensions", 0, helloFixed + vec16(many), good},
		{"16,000 extensions and one of them again", 0, helloFixed + vec16(many, ext(1000, "")), alert.IllegalParameter},
		{"PSK last", 0, helloFixed + vec16(ext(ExtCookie, vec16("c")), psk), good},
		{"PSK not last", 0, helloFixed + vec16(psk, ext(ExtCookie, vec16("c"))), alert.IllegalParameter},
		{"PSK before GREASE", 0, helloFixed + vec16(psk, ext(0x0a0a, "")), alert.IllegalParameter},
	}
	for i := range tests {
		tests[i].typ = ClientHelloType
	}
	testBodies(t, tests)
}

// offer is an OfferedPsks with these identities and binders of these lengths.
func offer(identities []string, binders ...int) string {
	var ids, bs string
	for _, id := range identities {
		ids += vec16(id) + "\x00\x00\x00\x00"
	}
	for _, n := range binders {
		bs += vec8(strings.Repeat("b", n))
	}
	return vec16(ids) + vec16(bs)
}

// TestClientHelloExtensions walks the bounds of each extension's vectors.
func TestClientHelloExtensions(t *testing.T) {
	t.Parallel()
	tests := []extensionTest{
		{"empty", ExtALPN, "", alert.DecodeError},
		{"no protocol", ExtALPN, vec16(), alert.DecodeError},
		{"empty protocol", ExtALPN, vec16(vec8("h2"), vec8()), alert.DecodeError},
		{"half a protocol", ExtALPN, vec16("\x03h2"), alert.DecodeError},
		{"two protocols", ExtALPN, vec16(vec8("h2"), vec8("http/1.1")), good},
		{"a protocol of 255", ExtALPN, vec16(vec8(strings.Repeat("p", 255))), good},

		{"empty", ExtKeyShare, "", alert.DecodeError},
		{"no share", ExtKeyShare, vec16(), good},
		{"an empty share", ExtKeyShare, vec16("\x00\x1d", vec16()), alert.DecodeError},
		{"half a share", ExtKeyShare, vec16("\x00\x1d\x00"), alert.DecodeError},
		{"a share that is too long", ExtKeyShare, vec16("\x00\x1d\x00\x02x"), alert.DecodeError},
		{"a group twice", ExtKeyShare, vec16("\x00\x1d", vec16("x"), "\x00\x1d", vec16("x")), good}, // for others to judge

		{"empty", ExtCookie, "", alert.DecodeError},
		{"empty cookie", ExtCookie, vec16(), alert.DecodeError},
		{"cookie", ExtCookie, vec16("c"), good},

		{"empty", ExtEarlyData, "", good},
		{"empty", ExtSCT, "", good},

		{"empty", ExtSupportedVersions, "", alert.DecodeError},
		{"no versions", ExtSupportedVersions, vec8(), alert.DecodeError},
		{"half a version", ExtSupportedVersions, vec8("\x03\x04\x03"), alert.DecodeError},
		{"as in a ServerHello", ExtSupportedVersions, "\x03\x04", alert.DecodeError},
		{"254 bytes", ExtSupportedVersions, vec8(strings.Repeat("\x03\x04", 127)), good},

		{"no algorithms", ExtCompressCertificate, vec8(), alert.DecodeError},
		{"half an algorithm", ExtCompressCertificate, vec8("\x00"), alert.DecodeError},
		{"254 bytes", ExtCompressCertificate, vec8(strings.Repeat("\x00\x02", 127)), good},

		{"no modes", ExtPSKKeyExchangeModes, vec8(), alert.DecodeError},
		{"unknown modes", ExtPSKKeyExchangeModes, vec8(strings.Repeat("\xee", 255)), good},

		{"short", ExtRecordSizeLimit, "\x40", alert.DecodeError},
		{"63", ExtRecordSizeLimit, "\x00\x3f", alert.IllegalParameter},
		{"0", ExtRecordSizeLimit, "\x00\x00", alert.IllegalParameter},
		{"64", ExtRecordSizeLimit, "\x00\x40", good},
		{"65535", ExtRecordSizeLimit, "\xff\xff", good}, // RFC 8449: a server must not mind

		{"short", ExtTicketRequest, "\x01", alert.DecodeError},
		{"two counts", ExtTicketRequest, "\x01\x02", good},

		{"no names", ExtCertificateAuthorities, vec16(), alert.DecodeError},
		{"an empty name", ExtCertificateAuthorities, vec16(vec16("x"), vec16()), alert.DecodeError},
		{"two bytes", ExtCertificateAuthorities, vec16("\x00\x00"), alert.DecodeError},
		{"a name", ExtCertificateAuthorities, vec16(vec16("x")), good},

		{"empty", ExtStatusRequest, "", alert.DecodeError},
		{"plain", ExtStatusRequest, "\x01" + vec16() + vec16(), good},
		{"with responders", ExtStatusRequest, "\x01" + vec16(vec16("a"), vec16("b")) + vec16("x"), good},
		{"an empty responder", ExtStatusRequest, "\x01" + vec16(vec16()) + vec16(), alert.DecodeError},
		{"half a responder", ExtStatusRequest, "\x01" + vec16("\x00") + vec16(), alert.DecodeError},
		{"no extensions", ExtStatusRequest, "\x01" + vec16(), alert.DecodeError},
	}
	for _, typ := range []ExtensionType{ExtSupportedGroups, ExtSignatureAlgorithms, ExtSignatureAlgorithmsCert} {
		tests = append(tests, []extensionTest{
			{"empty", typ, "", alert.DecodeError},
			{"nothing listed", typ, vec16(), alert.DecodeError},
			{"half a number", typ, vec16("\x00\x1d\x00"), alert.DecodeError},
			{"longer than the extension", typ, "\x00\x04\x00\x1d", alert.DecodeError},
			{"unknown numbers", typ, vec16("\xee\xee\x0a\x0a"), good},
		}...)
	}
	for _, typ := range []ExtensionType{ExtClientCertificateType, ExtServerCertificateType} {
		tests = append(tests, []extensionTest{
			{"empty", typ, "", alert.DecodeError},
			{"no types", typ, vec8(), alert.DecodeError},
			{"unknown types", typ, vec8("\x02\xee\x00"), good},
		}...)
	}
	testExtensions(t, ClientHelloType, helloFixed, tests)
}

// TestOfferedPSKs walks the bounds of pre_shared_key.
func TestOfferedPSKs(t *testing.T) {
	t.Parallel()
	id := vec16("i") + "\x00\x00\x00\x00"
	binder := vec8(strings.Repeat("b", 32))
	testExtensions(t, ClientHelloType, helloFixed, []extensionTest{
		{"empty", ExtPreSharedKey, "", alert.DecodeError},
		{"as in a ServerHello", ExtPreSharedKey, "\x00\x00", alert.DecodeError},
		{"one", ExtPreSharedKey, offer([]string{"i"}, 32), good},
		{"binder of 255", ExtPreSharedKey, offer([]string{"i"}, 255), good},
		{"binder of 31", ExtPreSharedKey, offer([]string{"i"}, 31), alert.DecodeError},
		{"empty binder", ExtPreSharedKey, offer([]string{"i"}, 0), alert.DecodeError},
		{"binders that are too few", ExtPreSharedKey, offer([]string{"i", "j"}, 32), alert.IllegalParameter},
		{"binders that are too many", ExtPreSharedKey, offer([]string{"i"}, 32, 48), alert.IllegalParameter},
		{"no binders", ExtPreSharedKey, offer([]string{"i"}), alert.DecodeError},
		{"no identities", ExtPreSharedKey, offer(nil, 32), alert.DecodeError},
		{"neither", ExtPreSharedKey, offer(nil), alert.DecodeError},
		{"an empty identity", ExtPreSharedKey, offer([]string{""}, 32), alert.DecodeError},
		{"identity without an age", ExtPreSharedKey, vec16(vec16("identity")) + vec16(binder), alert.DecodeError},
		{"age in part", ExtPreSharedKey, vec16(id[:len(id)-1]) + vec16(binder), alert.DecodeError},
		{"half a binder", ExtPreSharedKey, vec16(id) + vec16(binder[:20]), alert.DecodeError},
		{"no vector of binders", ExtPreSharedKey, vec16(id), alert.DecodeError},
	})
}

// TestBinderPrefix shows what binders authenticate.
func TestBinderPrefix(t *testing.T) {
	t.Parallel()
	raw := message(ClientHelloType, helloFixed+vec16(ext(ExtPreSharedKey, offer([]string{"one", "two"}, 32, 48))))
	m, err := ParseClientHello(raw)
	if err != nil {
		t.Fatal(err)
	}
	binders := vec16(vec8(strings.Repeat("b", 32)), vec8(strings.Repeat("b", 48)))
	if got := string(m.BinderPrefix()) + binders; got != string(raw) {
		t.Errorf("%x, want %x", got, raw)
	}
	m.Raw = nil
	if m.BinderPrefix() != nil || new(ClientHello).BinderPrefix() != nil {
		t.Error("there is a prefix without a message or without a PSK")
	}
}

// TestServerName walks what is a host name and what is not.
func TestServerName(t *testing.T) {
	t.Parallel()
	name := func(s string) string { return "\x00" + vec16(s) }
	label := strings.Repeat("l", 63)
	longest := strings.Repeat(label+".", 3) + label[:61]
	tests := []extensionTest{
		{"empty", ExtServerName, "", alert.DecodeError},
		{"no names", ExtServerName, vec16(), alert.DecodeError},
		{"empty name", ExtServerName, vec16(name("")), alert.DecodeError},
		{"half a name", ExtServerName, vec16(name("a")[:3]), alert.DecodeError},
		{"name of another type", ExtServerName, vec16("\x01" + vec16("a")), alert.DecodeError},
		{"two names", ExtServerName, vec16(name("a"), name("b")), alert.DecodeError},
		{"a name twice", ExtServerName, vec16(name("a"), name("a")), alert.DecodeError},
		{"two names, one malformed", ExtServerName, vec16(name("a"), name("")), alert.DecodeError},
	}
	for _, host := range []string{
		"a", "db.example", "DB-1.Example", "_x._tcp.example", "xn--bcher-kva.example", "azAZ09-_", longest, label + ".x",
	} {
		tests = append(tests, extensionTest{host, ExtServerName, vec16(name(host)), good})
	}
	testExtensions(t, ClientHelloType, helloFixed, tests)
}

// TestServerNameIsNoHostName reads a name that is no host name as absent.
func TestServerNameIsNoHostName(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("l", 63)
	for _, name := range []string{
		"127.0.0.1", "::1", "[::1]", "fe80::1%eth0", "db.example.", ".", ".db", "a..b", "a:1", "a b", "a\x00b", "*.example",
		"bücher.example", "a/b", "`", "{", "@", "[", "a\x7f", label + "l.x", strings.Repeat(label+".", 3) + label[:62],
		strings.Repeat("a.", 5000) + "a",
	} {
		raw := message(ClientHelloType, helloFixed+vec16(ext(ExtServerName, vec16("\x00"+vec16(name)))))
		m, err := ParseClientHello(raw)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if m.ServerName != "" || !m.Has(ExtServerName) {
			t.Errorf("%q: read as %q", name, m.ServerName)
		}
	}
}

// TestClientHelloFields shows that what was parsed is where it belongs.
func TestClientHelloFields(t *testing.T) {
	t.Parallel()
	m, err := ParseClientHello(samples()["ClientHello"])
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]bool{
		"Random":         string(m.Random[:]) == someRandom,
		"SessionID":      string(m.SessionID) == "session",
		"CipherSuites":   len(m.CipherSuites) == 2 && m.CipherSuites[1] == 0x1302,
		"ServerName":     m.ServerName == "db.example",
		"ALPN":           len(m.ALPN) == 2 && m.ALPN[1] == "\x0a\x0a",
		"Groups":         len(m.SupportedGroups) == 2 && m.SupportedGroups[0] == 0x11ec,
		"KeyShares":      len(m.KeyShares) == 2 && m.KeyShares[1].Group == 0x1d && len(m.KeyShares[1].Data) == 32,
		"Versions":       len(m.SupportedVersions) == 2 && m.SupportedVersions[1] == 0x0304,
		"PSK":            len(m.PSK.Identities) == 2 && m.PSK.Identities[1].ObfuscatedAge == 0x01020304 && len(m.PSK.Binders[1]) == 48,
		"Cookie":         string(m.Cookie) == "cookie",
		"Types":          string(m.ClientCertTypes) == "\x02\x00" && string(m.ServerCertTypes) == "\x02",
		"Authorities":    len(m.CertificateAuthorities) == 2 && string(m.CertificateAuthorities[1]) == "two",
		"Limit":          m.RecordSizeLimit == 0x4001,
		"Requests":       m.StatusRequest && m.SCT && m.EarlyData,
		"Compress":       len(m.CompressCertificate) == 2 && m.CompressCertificate[1] == 2,
		"TicketRequest":  m.TicketRequest.New == 2 && m.TicketRequest.Resumption == 1,
		"Other":          len(m.Other) == 4 && m.Other[3].Type == 0xfafa && string(m.Other[3].Data) == "\x00",
		"Extensions":     len(m.Extensions) == 23 && m.Extensions[0] == 0x0a0a && m.Extensions[22] == ExtPreSharedKey,
		"Has":            m.Has(ExtPadding) && !m.Has(ExtHeartbeat),
		"SchemesForCert": len(m.SignatureAlgorithmsCert) == 2 && len(m.SignatureAlgorithms) == 1 && m.SignatureAlgorithms[0] == 0x0807,
	}
	for name, ok := range checks {
		if !ok {
			t.Errorf("%s is wrong in %+v", name, m)
		}
	}
	for name, asks := range map[string]bool{"ClientHello with an unusual status_request": true, "ClientHello with an unknown status_request": false} {
		if m, err := ParseClientHello(samples()[name]); err != nil || m.StatusRequest != asks || len(m.Other) != 1 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}
