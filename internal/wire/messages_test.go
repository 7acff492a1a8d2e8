// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// TestServerHello walks the syntax of ServerHello and HelloRetryRequest.
func TestServerHello(t *testing.T) {
	t.Parallel()
	testBodies(t, []bodyTest{
		{"empty", ServerHelloType, "", alert.DecodeError},
		{"session ID of 33", ServerHelloType, "\x03\x03" + someRandom + vec8(strings.Repeat("i", 33)) + "\x13\x01\x00" + vec16(), alert.DecodeError},
		{"half a vector", ServerHelloType, serverFixed + "\x00", alert.DecodeError},
		{"data behind the extensions", ServerHelloType, serverFixed + vec16() + "\x00", alert.DecodeError},
		{"extension twice", ServerHelloType, serverFixed + vec16(ext(ExtSupportedVersions, "\x03\x04"), ext(ExtSupportedVersions, "\x03\x04")), alert.IllegalParameter},
		{"another compression", ServerHelloType, serverFixed[:len(serverFixed)-1] + "\x01" + vec16(), good}, // for others to judge
		{"PSK first", ServerHelloType, serverFixed + vec16(ext(ExtPreSharedKey, "\x00\x00"), ext(ExtSupportedVersions, "\x03\x04")), good},
	})
	testExtensions(t, ServerHelloType, serverFixed, []extensionTest{
		{"short", ExtSupportedVersions, "\x03", alert.DecodeError},
		{"version", ExtSupportedVersions, "\x03\x04", good},
		{"as in a ClientHello", ExtSupportedVersions, vec8("\x03\x04"), alert.DecodeError},
		{"share", ExtKeyShare, "\x00\x1d" + vec16("x"), good},
		{"empty share", ExtKeyShare, "\x00\x1d" + vec16(), alert.DecodeError},
		{"as in a HelloRetryRequest", ExtKeyShare, "\x00\x1d", alert.DecodeError},
		{"index", ExtPreSharedKey, "\xff\xff", good},
		{"half an index", ExtPreSharedKey, "\x00", alert.DecodeError},
	})
	testExtensions(t, ServerHelloType, retryFixed, []extensionTest{
		{"group", ExtKeyShare, "\x00\x1d", good},
		{"as in a ServerHello", ExtKeyShare, "\x00\x1d" + vec16("x"), alert.DecodeError},
		{"empty", ExtKeyShare, "", alert.DecodeError},
		{"empty cookie", ExtCookie, vec16(), alert.DecodeError},
		{"cookie", ExtCookie, vec16(strings.Repeat("c", 60000)), good},
	})
	for name, retry := range map[string]bool{"ServerHello": false, "HelloRetryRequest": true} {
		m, err := ParseServerHello(samples()[name])
		if err != nil || m.IsHelloRetryRequest() != retry || (m.KeyShare == nil) != retry || (m.SelectedGroup == 0x1d) != retry || m.SupportedVersion != 0x0304 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// TestEncryptedExtensions walks the answers of a server.
func TestEncryptedExtensions(t *testing.T) {
	t.Parallel()
	tests := []extensionTest{
		{"acknowledged", ExtServerName, "", good},
		{"one protocol", ExtALPN, vec16(vec8("h2")), good},
		{"no protocol", ExtALPN, vec16(), alert.DecodeError},
		{"empty protocol", ExtALPN, vec16(vec8()), alert.DecodeError},
		{"two protocols", ExtALPN, vec16(vec8("h2"), vec8("h3")), alert.DecodeError},
		{"no groups", ExtSupportedGroups, vec16(), alert.DecodeError},
		{"groups", ExtSupportedGroups, vec16("\x00\x17"), good},
		{"accepted", ExtEarlyData, "", good},
		{"63", ExtRecordSizeLimit, "\x00\x3f", alert.IllegalParameter},
		{"64", ExtRecordSizeLimit, "\x00\x40", good},
		{"short", ExtRecordSizeLimit, "\x40", alert.DecodeError},
	}
	for _, typ := range []ExtensionType{ExtClientCertificateType, ExtServerCertificateType} {
		tests = append(tests, extensionTest{"a type", typ, "\x02", good}, extensionTest{"empty", typ, "", alert.DecodeError},
			extensionTest{"an unknown type", typ, "\xee", good})
	}
	testExtensions(t, EncryptedExtensionsType, "", tests)
	testBodies(t, []bodyTest{
		{"empty", EncryptedExtensionsType, "", alert.DecodeError},
		{"data behind the extensions", EncryptedExtensionsType, vec16() + "\x00", alert.DecodeError},
		{"extension twice", EncryptedExtensionsType, vec16(ext(ExtServerName, ""), ext(ExtServerName, "")), alert.IllegalParameter},
		{"unknown extensions", EncryptedExtensionsType, vec16(ext(ExtKeyShare, "?"), ext(0x0a0a, "")), good}, // for others to judge
	})
	m, err := ParseEncryptedExtensions(samples()["EncryptedExtensions"])
	if err != nil || m.ALPN != "h2" || !m.ServerName || !m.EarlyData || m.RecordSizeLimit != 64 || *m.ClientCertType != 2 || *m.ServerCertType != 0 ||
		len(m.SupportedGroups) != 1 || !m.Has(ExtTicketRequest) || len(m.Other) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestCertificateRequest walks its extensions.
func TestCertificateRequest(t *testing.T) {
	t.Parallel()
	testExtensions(t, CertificateRequestType, vec8(), []extensionTest{
		{"empty", ExtStatusRequest, "", good}, // Section 4.5.1.1
		{"empty", ExtSCT, "", good},
		{"no schemes", ExtSignatureAlgorithms, vec16(), alert.DecodeError},
		{"schemes", ExtSignatureAlgorithms, vec16("\x08\x07"), good},
		{"no schemes", ExtSignatureAlgorithmsCert, vec16(), alert.DecodeError},
		{"schemes", ExtSignatureAlgorithmsCert, vec16("\x08\x07"), good},
		{"an empty name", ExtCertificateAuthorities, vec16(vec16()), alert.DecodeError},
		{"a name", ExtCertificateAuthorities, vec16(vec16("x")), good},
		{"no algorithms", ExtCompressCertificate, vec8(), alert.DecodeError},
		{"algorithms", ExtCompressCertificate, vec8("\x00\x01"), good},
	})
	testBodies(t, []bodyTest{
		{"empty", CertificateRequestType, "", alert.DecodeError},
		{"no extensions", CertificateRequestType, vec8(), alert.DecodeError},
		{"data behind the extensions", CertificateRequestType, vec8() + vec16() + "\x00", alert.DecodeError},
		{"context of 255", CertificateRequestType, vec8(strings.Repeat("c", 255)) + vec16(), good},
		{"extension twice", CertificateRequestType, vec8() + vec16(ext(0x0a0a, ""), ext(0x0a0a, "")), alert.IllegalParameter},
	})
	m, err := ParseCertificateRequest(samples()["CertificateRequest"])
	if err != nil || string(m.Context) != "context" || !m.StatusRequest || !m.SCT || len(m.SignatureAlgorithms) != 2 || len(m.SignatureAlgorithmsCert) != 1 ||
		len(m.CertificateAuthorities) != 1 || len(m.CompressCertificate) != 1 || !m.Has(ExtOIDFilters) || len(m.Other) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestCertificate walks the entries of Certificate.
func TestCertificate(t *testing.T) {
	t.Parallel()
	entry := func(extensions ...string) string { return vec8() + vec24(vec24("der"), vec16(extensions...)) }
	testBodies(t, []bodyTest{
		{"empty", CertificateType, "", alert.DecodeError},
		{"no entries", CertificateType, vec8() + vec24(), good},
		{"data behind the entries", CertificateType, vec8() + vec24() + "\x00", alert.DecodeError},
		{"empty certificate", CertificateType, vec8() + vec24(vec24(), vec16()), alert.DecodeError},
		{"no extensions", CertificateType, vec8() + vec24(vec24("der")), alert.DecodeError},
		{"half an entry", CertificateType, vec8() + vec24(vec24("der"), vec16(), "\x00"), alert.DecodeError},
		{"extension twice", CertificateType, entry(ext(0x0a0a, ""), ext(0x0a0a, "")), alert.IllegalParameter},
		{"extension in two entries", CertificateType, vec8() + vec24(vec24("a"), vec16(ext(0x0a0a, "")), vec24("b"), vec16(ext(0x0a0a, ""))), good},
		{"response", CertificateType, entry(ext(ExtStatusRequest, "\x01"+vec24("r"))), good},
		{"empty response", CertificateType, entry(ext(ExtStatusRequest, "\x01"+vec24())), alert.DecodeError},
		{"response of another type", CertificateType, entry(ext(ExtStatusRequest, "\x02"+vec24("r"))), alert.DecodeError},
		{"response and more", CertificateType, entry(ext(ExtStatusRequest, "\x01"+vec24("r")+"\x00")), alert.DecodeError},
		{"SCTs", CertificateType, entry(ext(ExtSCT, vec16(vec16("a"), vec16("b")))), good},
		{"no SCTs", CertificateType, entry(ext(ExtSCT, vec16())), alert.DecodeError},
		{"empty SCT", CertificateType, entry(ext(ExtSCT, vec16(vec16()))), alert.DecodeError},
		{"SCTs and more", CertificateType, entry(ext(ExtSCT, vec16(vec16("a"))+"\x00")), alert.DecodeError},
	})
	m, err := ParseCertificate(samples()["Certificate"])
	if err != nil || string(m.Context) != "context" || len(m.Entries) != 2 || string(m.Entries[0].Data) != "leaf" ||
		string(m.Entries[0].OCSPResponse) != "response" || len(m.Entries[0].SCTs) != 2 || len(m.Entries[0].Other) != 1 || string(m.Entries[1].Data) != "issuer" {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestSmallMessages walks the messages without extensions, and NewSessionTicket.
func TestSmallMessages(t *testing.T) {
	t.Parallel()
	ticket := "\x00\x00\x00\x01\x00\x00\x00\x02"
	testBodies(t, []bodyTest{
		{"compressed, empty", CompressedCertificateType, "\x00\x02\x00\x00\x01" + vec24(), alert.DecodeError},
		{"compressed", CompressedCertificateType, "\x00\x02\x00\x00\x01" + vec24("z"), good},
		{"compressed, and more", CompressedCertificateType, "\x00\x02\x00\x00\x01" + vec24("z") + "\x00", alert.DecodeError},
		{"verify, empty", CertificateVerifyType, "", alert.DecodeError},
		{"verify, and more", CertificateVerifyType, "\x08\x07" + vec16("s") + "\x00", alert.DecodeError},
		{"finished, empty", FinishedType, "", good}, // the suite knows how long it must be
		{"end of early data, not empty", EndOfEarlyDataType, "\x00", alert.DecodeError},
		{"key update, empty", KeyUpdateType, "", alert.DecodeError},
		{"key update 0", KeyUpdateType, "\x00", good},
		{"key update 1", KeyUpdateType, "\x01", good},
		{"key update 2", KeyUpdateType, "\x02", alert.IllegalParameter},
		{"key update 255", KeyUpdateType, "\xff", alert.IllegalParameter},
		{"key update of two bytes", KeyUpdateType, "\x02\x00", alert.DecodeError},
		{"ticket, empty", NewSessionTicketType, ticket + vec8() + vec16() + vec16(), alert.DecodeError},
		{"ticket without extensions", NewSessionTicketType, ticket + vec8() + vec16("t"), alert.DecodeError},
		{"ticket with a nonce of 255", NewSessionTicketType, ticket + vec8(strings.Repeat("n", 255)) + vec16("t") + vec16(), good},
		{"ticket and more", NewSessionTicketType, ticket + vec8() + vec16("t") + vec16() + "\x00", alert.DecodeError},
		{"ticket, extension twice", NewSessionTicketType, ticket + vec8() + vec16("t") + vec16(ext(1, ""), ext(1, "")), alert.IllegalParameter},
	})
	testExtensions(t, NewSessionTicketType, ticket+vec8()+vec16("t"), []extensionTest{
		{"size", ExtEarlyData, "\x00\x00\x40\x00", good},
		{"empty", ExtEarlyData, "", alert.DecodeError},
	})
	m, err := ParseNewSessionTicket(samples()["NewSessionTicket"])
	if err != nil || m.Lifetime != 604800 || m.AgeAdd != 0x01020304 || string(m.Nonce) != "nonce" || string(m.Ticket) != "ticket" ||
		m.MaxEarlyData != 0xffffffff || !m.Has(ExtEarlyData) || len(m.Other) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}
