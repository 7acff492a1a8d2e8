// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/ecdh"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/wire"
)

// prefixed is the parts, one after the other, and their length before them.
func prefixed(size int, parts ...[]byte) []byte {
	b := slices.Concat(parts...)
	length := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	return append(length[4-size:], b...)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withExtension is a message in which one extension stands.
func withExtension(in place, kind uint16, data []byte) ([]byte, Sender) {
	list := prefixed(2, binary.BigEndian.AppendUint16(nil, kind), prefixed(2, data))
	random := make([]byte, 32)
	switch in {
	case inClientHello:
		return slices.Concat([]byte{1}, prefixed(3, []byte{3, 3}, random, []byte{0, 0, 2, 0x13, 1, 1, 0}, list)), Client
	case inRetry:
		random = wire.RetryRandom[:]
		fallthrough
	case inServerHello:
		return slices.Concat([]byte{2}, prefixed(3, []byte{3, 3}, random, []byte{0, 0x13, 1, 0}, list)), Server
	case inEncryptedExtensions:
		return slices.Concat([]byte{8}, prefixed(3, list)), Server
	case inCertificateRequest:
		return slices.Concat([]byte{13}, prefixed(3, []byte{0}, list)), Server
	case inCertificate:
		return slices.Concat([]byte{11}, prefixed(3, []byte{0}, prefixed(3, prefixed(3, []byte("?")), list))), Server
	}
	return slices.Concat([]byte{4}, prefixed(3, make([]byte, 8), []byte{0}, prefixed(2, []byte("?")), list)), Server
}

// TestExtensions says of an extension in a message what the code points of its RFC mean.
func TestExtensions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in         place
		kind       uint16
		data       string
		name       string // of the extension
		field, say string // one of its parts
	}{
		{inClientHello, 0, "0004 00 0001 61", "server_name", "name_type", "host_name (0x00)"},
		{inEncryptedExtensions, 0, "", "server_name", "", ""},
		{inClientHello, 1, "02", "max_fragment_length", "data", ""},
		{inClientHello, 5, "01 0000 0000", "status_request", "status_type", "ocsp (0x01)"},
		{inCertificateRequest, 5, "02 0000 0000", "status_request", "status_type", "unknown (0x02)"},
		{inCertificate, 5, "01 000003 300100", "status_request", "OCSP response", ""},
		{inClientHello, 10, "0006 1a1a 001e 0202", "supported_groups", "group", "GREASE, which means nothing (RFC 8701; 0x1a1a)"},
		{inClientHello, 11, "01 00", "ec_point_formats", "format", "0"},
		{inCertificateRequest, 13, "0002 0905", "signature_algorithms", "scheme", "mldsa65 (0x0905)"},
		{inCertificateRequest, 50, "0002 0807", "signature_algorithms_cert", "scheme", "ed25519 (0x0807)"},
		{inEncryptedExtensions, 16, "0003 02 6832", "application_layer_protocol_negotiation", "protocol", `"h2"`},
		{inCertificate, 18, "0005 0003 010203", "signed_certificate_timestamp", "timestamp", ""},
		{inClientHello, 19, "02 02 00", "client_certificate_type", "type", "RawPublicKey (0x02)"},
		{inEncryptedExtensions, 19, "02", "client_certificate_type", "certificate_type", "RawPublicKey (0x02)"},
		{inEncryptedExtensions, 20, "00", "server_certificate_type", "certificate_type", "X509 (0x00)"},
		{inClientHello, 21, "0000", "padding", "data", ""},
		{inClientHello, 22, "", "encrypt_then_mac", "", ""},
		{inClientHello, 23, "", "extended_master_secret", "", ""},
		{inClientHello, 27, "04 0001 0002", "compress_certificate", "algorithm", "zlib (0x0001)"},
		{inEncryptedExtensions, 28, "4001", "record_size_limit", "record_size_limit", "16385 bytes, the content type among them"},
		{inClientHello, 35, "", "session_ticket", "", ""},
		{inClientHello, 41, "0007 0001 61 00000102 0003 02 abcd", "pre_shared_key", "obfuscated_ticket_age", "0x00000102"},
		{inServerHello, 41, "0001", "pre_shared_key", "selected_identity", "1"},
		{inTicket, 42, "00004000", "early_data", "max_early_data_size", "16384 bytes"},
		{inClientHello, 43, "02 0304", "supported_versions", "version", "TLS 1.3 (0x0304)"},
		{inRetry, 43, "0304", "supported_versions", "selected_version", "TLS 1.3 (0x0304)"},
		{inRetry, 44, "0001 01", "cookie", "cookie", ""},
		{inClientHello, 45, "01 00", "psk_key_exchange_modes", "mode", "psk_ke (0x00)"},
		{inClientHello, 48, "0000", "oid_filters", "data", ""},
		{inClientHello, 49, "", "post_handshake_auth", "", ""},
		{inRetry, 51, "0018", "key_share", "selected_group", "secp384r1 (0x0018)"},
		{inServerHello, 51, "001d 0001 61", "key_share", "public value", ""},
		{inClientHello, 58, "02 01", "ticket_request", "new_session_count", "2"},
		{inEncryptedExtensions, 58, "03", "ticket_request", "expected_count", "3"},
		{inClientHello, 0xfe0d, "01", "encrypted_client_hello", "type", "inner (0x01)"},
		{inClientHello, 0xff01, "00", "renegotiation_info", "data", ""},
		{inClientHello, 0x2a2a, "00", "GREASE", "data", ""},
		{inClientHello, 0x1234, "00", "extension 4660", "data", ""},
	} {
		b, from := withExtension(test.in, test.kind, unhex(t, test.data))
		f := Handshake(b, from)
		check(t, f)
		if wrong := faults(f); len(wrong) > 0 {
			t.Errorf("%s: %+v", test.name, wrong[0])
		}
		e := find(find(f, "extensions"), test.name)
		if e == nil || e.Ref == "" || e.Len != 4+len(unhex(t, test.data)) {
			t.Errorf("%s: %+v", test.name, e)
			continue
		}
		if test.field != "" {
			if p := find(e.Parts[1], test.field); p == nil || p.Value != test.say {
				t.Errorf("%s: %s: %+v", test.name, test.field, p)
			}
		}
	}
}

// TestTornExtensions cuts each byte off an extension in turn, and adds one.
func TestTornExtensions(t *testing.T) {
	t.Parallel()
	whole := unhex(t, "0007 0001 61 00000102 0003 02 abcd")
	for n := 1; n < len(whole); n++ {
		b, from := withExtension(inClientHello, 41, whole[:n])
		f := Handshake(b, from)
		check(t, f)
		if len(faults(f)) == 0 && n != 9 { // where the second list would begin, which is seen as well
			t.Errorf("nothing is said of %d bytes of %d", n, len(whole))
		}
	}
	b, from := withExtension(inClientHello, 41, append(whole, 0))
	if wrong := faults(Handshake(b, from)); len(wrong) != 1 || wrong[0].Wrong != "nothing should follow here" {
		t.Errorf("%+v", wrong)
	}
}

// TestAuthorities names the authorities that a server asks for.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	name := pkix.Name{Organization: []string{"Example"}, CommonName: "Root"}
	raw, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	b, from := withExtension(inCertificateRequest, 47, prefixed(2, prefixed(2, raw)))
	f := Handshake(b, from)
	check(t, f)
	if p := find(f, "distinguished name"); p == nil || p.Value != `"CN=Root,O=Example"` {
		t.Errorf("%+v", p)
	}
	b, from = withExtension(inCertificateRequest, 47, prefixed(2, prefixed(2, raw[:len(raw)-1])))
	if p := find(Handshake(b, from), "distinguished name"); p == nil || p.Value != "" {
		t.Errorf("of a name that is cut off: %+v", p)
	}
}

// TestNames says code points as inspectors see them outside messages.
func TestNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Suite(0x1303): "TLS_CHACHA20_POLY1305_SHA256 (0x1303)", Suite(0x00ff): "TLS_EMPTY_RENEGOTIATION_INFO_SCSV (0x00ff)",
		Suite(0xfefe): "unknown (0xfefe)", Suite(0xaaaa): "GREASE, which means nothing (RFC 8701; 0xaaaa)",
		Group(0x11ec): "X25519MLKEM768 (0x11ec)", Scheme(0x0403): "ecdsa_secp256r1_sha256 (0x0403)", Version(0x0301): "TLS 1.0 (0x0301)",
		Quote("a\x1b"): `"a\x1b"`, Quote(strings.Repeat("a", 1000)): `"` + strings.Repeat("a", 256) + `" and more`,
	} {
		if got != want {
			t.Errorf("%s should be %s", got, want)
		}
	}
}

// stdlibHello is the ClientHello that crypto/tls sends.
func stdlibHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	_ = here.SetDeadline(time.Now().Add(10 * time.Second))
	ended := make(chan error, 1)
	go func() { ended <- tls.Client(there, config).Handshake() }()
	header := make([]byte, 5)
	if _, err := io.ReadFull(here, header); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(here, b); err != nil {
		t.Fatal(err)
	}
	_ = here.Close()
	if <-ended == nil {
		t.Fatal("a handshake without a server")
	}
	return b
}

// TestStdlibHello takes apart what crypto/tls sends, by each of its key exchanges, and
// with an encrypted ClientHello.
func TestStdlibHello(t *testing.T) {
	t.Parallel()
	key, err := ecdh.X25519().NewPublicKey(append(make([]byte, 31), 9))
	if err != nil {
		t.Fatal(err)
	}
	// ECHConfig of RFC 9849, Section 4: DHKEM(X25519), HKDF-SHA256 and AES-128-GCM.
	contents := slices.Concat([]byte{7}, []byte{0, 0x20}, prefixed(2, key.Bytes()), prefixed(2, []byte{0, 1, 0, 1}), []byte{0}, prefixed(1, []byte("public.example")), prefixed(2))
	ech := prefixed(2, []byte{0xfe, 0x0d}, prefixed(2, contents))
	for _, test := range []struct {
		group  tls.CurveID
		ech    []byte
		fields map[string]int // and their lengths
	}{
		{tls.X25519, nil, map[string]int{"public value": 32}},
		{tls.X25519MLKEM768, nil, map[string]int{"ML-KEM-768 encapsulation key": 1184, "X25519 public key": 32}},
		{tls.CurveP256, nil, map[string]int{"legacy_form": 1, "X": 32, "Y": 32}},
		{tls.CurveP384, nil, map[string]int{"X": 48, "Y": 48}},
		{tls.CurveP521, nil, map[string]int{"X": 66, "Y": 66}},
		{tls.X25519, ech, map[string]int{"kdf_id": 2, "aead_id": 2, "config_id": 1, "enc": 34}},
	} {
		b := stdlibHello(t, &tls.Config{
			ServerName: "secret.example", NextProtos: []string{"h2"}, CurvePreferences: []tls.CurveID{test.group},
			MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: test.ech,
		})
		f := Handshake(b, Client)
		check(t, f)
		if wrong := faults(f); len(wrong) > 0 {
			t.Errorf("%v: %+v", test.group, wrong[0])
		}
		for name, n := range test.fields {
			if p := find(f, name); p == nil || p.Len != n {
				t.Errorf("%v: %s: %+v", test.group, name, p)
			}
		}
		host := strings.Contains(string(b), "secret.example")
		if host != (test.ech == nil) {
			t.Errorf("the name is in the open: %t", host)
		}
		if id := find(f, "config_id"); test.ech != nil && id.Value != "7" {
			t.Errorf("the ECHConfig is %s", id.Value)
		}
	}
}
