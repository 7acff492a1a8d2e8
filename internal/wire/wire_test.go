// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// roundTrip parses a message and marshals it again; nil where there is no parser.
func roundTrip(raw []byte) (again []byte, err error, known bool) {
	type message interface{ Marshal() []byte }
	var m message
	switch MessageType(raw[0]) {
	case ClientHelloType:
		m, err = ParseClientHello(raw)
	case ServerHelloType:
		m, err = ParseServerHello(raw)
	case NewSessionTicketType:
		m, err = ParseNewSessionTicket(raw)
	case EndOfEarlyDataType:
		m, err = ParseEndOfEarlyData(raw)
	case EncryptedExtensionsType:
		m, err = ParseEncryptedExtensions(raw)
	case CertificateType:
		m, err = ParseCertificate(raw)
	case CertificateRequestType:
		m, err = ParseCertificateRequest(raw)
	case CertificateVerifyType:
		m, err = ParseCertificateVerify(raw)
	case FinishedType:
		m, err = ParseFinished(raw)
	case KeyUpdateType:
		m, err = ParseKeyUpdate(raw)
	case CompressedCertificateType:
		m, err = ParseCompressedCertificate(raw)
	default:
		return nil, nil, false
	}
	if err != nil {
		return nil, err, true
	}
	return m.Marshal(), nil, true
}

// full returns one message of each type with everything in it that is known.
func full() map[string][]byte {
	one, zero, two := uint8(1), uint16(0), uint8(2)
	other := []Extension{{0x0a0a, nil}, {0x1234, []byte("kept")}}
	random := [32]byte{1, 2, 3}
	entry := CertificateEntry{Data: []byte("der"), OCSPResponse: []byte("ocsp"), SCTs: [][]byte{{1}, {2, 3}}, Other: other}
	return map[string][]byte{
		"client_hello": (&ClientHello{
			Random: random, SessionID: make([]byte, 32), CipherSuites: []uint16{0x1301, 0x0a0a},
			ServerName: "db.example", ALPN: []string{"h2", "x"}, SupportedGroups: []uint16{29},
			KeyShares: []KeyShare{{29, make([]byte, 32)}}, SignatureAlgorithms: []uint16{0x807},
			SignatureAlgorithmsCert: []uint16{0x401}, SupportedVersions: []uint16{0x304}, PSKModes: []uint8{1},
			PSK:       &PreSharedKeys{[]PSKIdentity{{[]byte("id"), 7}}, [][]byte{make([]byte, 32)}},
			EarlyData: true, Cookie: []byte("c"), ClientCertTypes: []uint8{2, 0}, ServerCertTypes: []uint8{2},
			CertificateAuthorities: [][]byte{{0x30, 0}}, RecordSizeLimit: 64, StatusRequest: true, SCT: true,
			CompressCertificate: []uint16{2}, TicketRequest: &TicketRequest{1, 2}, Other: other,
		}).Marshal(),
		"server_hello":            (&ServerHello{Random: random, SessionID: []byte{1}, CipherSuite: 0x1301, SupportedVersion: 0x304, KeyShare: &KeyShare{29, []byte{1}}, SelectedPSK: &zero, Other: other}).Marshal(),
		"hello_retry_request":     (&ServerHello{Random: RetryRandom, CipherSuite: 0x1301, SupportedVersion: 0x304, SelectedGroup: 23, Cookie: []byte("c")}).Marshal(),
		"encrypted_extensions":    (&EncryptedExtensions{ALPN: "h2", ServerName: true, SupportedGroups: []uint16{29}, EarlyData: true, RecordSizeLimit: 100, ClientCertType: &two, ServerCertType: &one, Other: other}).Marshal(),
		"certificate_request":     (&CertificateRequest{Context: []byte{1}, SignatureAlgorithms: []uint16{1}, SignatureAlgorithmsCert: []uint16{2}, CertificateAuthorities: [][]byte{{1}}, StatusRequest: true, SCT: true, CompressCertificate: []uint16{1}, Other: other}).Marshal(),
		"certificate":             (&Certificate{Context: []byte{1}, Entries: []CertificateEntry{entry, {Data: []byte{1}}}}).Marshal(),
		"an empty certificate":    (&Certificate{}).Marshal(),
		"compressed_certificate":  (&CompressedCertificate{2, 9, []byte("zip")}).Marshal(),
		"certificate_verify":      (&CertificateVerify{0x807, make([]byte, 64)}).Marshal(),
		"finished":                (&Finished{make([]byte, 32)}).Marshal(),
		"new_session_ticket":      (&NewSessionTicket{1, 2, []byte{3}, []byte("ticket"), 5, other, nil}).Marshal(),
		"key_update":              (&KeyUpdate{true}).Marshal(),
		"key_update, not request": (&KeyUpdate{}).Marshal(),
		"end_of_early_data":       (&EndOfEarlyData{}).Marshal(),
	}
}

// foreign returns messages that others wrote: those of RFC 8448, and a ClientHello
// of crypto/tls.
func foreign(t testing.TB) [][]byte {
	t.Helper()
	var messages [][]byte
	files, err := filepath.Glob("../../testdata/rfc8448/*-*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal("no traces", err)
	}
	for _, file := range files {
		if filepath.Base(file) == "rsa-key.txt" {
			continue
		}
		trace, err := testvec.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := trace.Messages()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range theirs {
			messages = append(messages, m.Raw)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		_ = tls.Client(b, &tls.Config{ServerName: "db.example", NextProtos: []string{"h2"}}).Handshake()
	}()
	record := make([]byte, 4096)
	n, err := a.Read(record)
	if err != nil {
		t.Fatal(err)
	}
	return append(messages, record[5:n])
}

// TestForeign parses what others wrote, and marshals it back to the same bytes.
func TestForeign(t *testing.T) {
	messages := foreign(t)
	if len(messages) < 40 {
		t.Fatalf("only %d messages", len(messages))
	}
	for _, raw := range messages {
		again, err, known := roundTrip(raw)
		if err != nil || !known || !bytes.Equal(again, raw) {
			t.Errorf("%v: %v\n%x\n%x", MessageType(raw[0]), err, raw, again)
		}
	}
}

// TestFull parses each message with everything in it; no strict prefix of one
// parses, and nothing behind it is accepted.
func TestFull(t *testing.T) {
	for name, raw := range full() {
		again, err, _ := roundTrip(raw)
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%s: %v\n%x\n%x", name, err, raw, again)
		}
		for n := 4; n < len(raw); n++ {
			if _, err, _ := roundTrip(raw[:n]); alert.Of(err) != alert.DecodeError {
				t.Errorf("%s: its first %d bytes: %v", name, n, err)
			}
			// The same with a length that fits.
			cut := bytes.Clone(raw[:n])
			cut[1], cut[2], cut[3] = byte((n-4)>>16), byte((n-4)>>8), byte(n-4)
			again, err, _ := roundTrip(cut)
			if err == nil && !bytes.Equal(again, cut) {
				t.Errorf("%s: cut to %d it parses, and is not itself", name, n)
			}
		}
		if _, err, _ := roundTrip(append(bytes.Clone(raw), 0)); alert.Of(err) != alert.DecodeError {
			t.Errorf("%s: a byte behind it: %v", name, err)
		}
	}
}

// hello returns a ClientHello with the given extensions, each a type and a body.
func hello(extensions ...any) []byte {
	m := &ClientHello{CipherSuites: []uint16{0x1301}}
	for i := 0; i < len(extensions); i += 2 {
		m.Other = append(m.Other, Extension{extensions[i].(ExtensionType), []byte(extensions[i+1].(string))})
	}
	for _, e := range m.Other { // also those that are known
		m.Extensions = append(m.Extensions, 0xffff-e.Type)
	}
	for i := range m.Other {
		m.Other[i].Type = 0xffff - m.Other[i].Type
	}
	raw := m.Marshal()
	for _, e := range m.Other {
		i := bytes.Index(raw, append([]byte{byte(e.Type >> 8), byte(e.Type), byte(len(e.Data) >> 8), byte(len(e.Data))}, e.Data...))
		known := 0xffff - e.Type
		raw[i], raw[i+1] = byte(known>>8), byte(known)
	}
	return raw
}

// TestMalformed holds malformed bodies of extensions against their alerts.
func TestMalformed(t *testing.T) {
	binder := "\x00\x21\x20" + string(make([]byte, 32))
	identity := "\x00\x07\x00\x01i\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		raw  []byte
		code alert.Code
	}{
		"an empty server_name":          {hello(ExtServerName, ""), alert.DecodeError},
		"an empty list of names":        {hello(ExtServerName, "\x00\x00"), alert.DecodeError},
		"an empty name":                 {hello(ExtServerName, "\x00\x03\x00\x00\x00"), alert.DecodeError},
		"two names":                     {hello(ExtServerName, "\x00\x08\x00\x00\x01a\x00\x00\x01b"), alert.DecodeError},
		"a name with a space":           {hello(ExtServerName, "\x00\x06\x00\x00\x03a b"), alert.DecodeError},
		"a name with a zero":            {hello(ExtServerName, "\x00\x06\x00\x00\x03a\x00b"), alert.DecodeError},
		"no protocols":                  {hello(ExtALPN, "\x00\x00"), alert.DecodeError},
		"an empty protocol":             {hello(ExtALPN, "\x00\x01\x00"), alert.DecodeError},
		"no groups":                     {hello(ExtSupportedGroups, "\x00\x00"), alert.DecodeError},
		"half a group":                  {hello(ExtSupportedGroups, "\x00\x03\x00\x1d\x00"), alert.DecodeError},
		"an empty key share":            {hello(ExtKeyShare, "\x00\x04\x00\x1d\x00\x00"), alert.DecodeError},
		"no versions":                   {hello(ExtSupportedVersions, "\x00"), alert.DecodeError},
		"no signature algorithms":       {hello(ExtSignatureAlgorithms, "\x00\x00"), alert.DecodeError},
		"no modes":                      {hello(ExtPSKKeyExchangeModes, "\x00"), alert.DecodeError},
		"an empty cookie":               {hello(ExtCookie, "\x00\x00"), alert.DecodeError},
		"early_data with a body":        {hello(ExtEarlyData, "x"), alert.DecodeError},
		"no certificate types":          {hello(ExtClientCertificateType, "\x00"), alert.DecodeError},
		"an empty authority":            {hello(ExtCertificateAuthorities, "\x00\x04\x00\x00\x00\x00"), alert.DecodeError},
		"record_size_limit of 63":       {hello(ExtRecordSizeLimit, "\x00\x3f"), alert.IllegalParameter},
		"record_size_limit of one byte": {hello(ExtRecordSizeLimit, "\x40"), alert.DecodeError},
		"an empty status_request":       {hello(ExtStatusRequest, ""), alert.DecodeError},
		"SCT with a body":               {hello(ExtSCT, "x"), alert.DecodeError},
		"no algorithms to compress":     {hello(ExtCompressCertificate, "\x00"), alert.DecodeError},
		"ticket_request of three":       {hello(ExtTicketRequest, "\x01\x02\x03"), alert.DecodeError},
		"a PSK without binders":         {hello(ExtPreSharedKey, identity+"\x00\x00"), alert.DecodeError},
		"a PSK without identities":      {hello(ExtPreSharedKey, "\x00\x00"+binder), alert.DecodeError},
		"a short binder":                {hello(ExtPreSharedKey, identity+"\x00\x02\x01x"), alert.DecodeError},
		"two identities, one binder":    {hello(ExtPreSharedKey, "\x00\x0e"+identity[2:]+identity[2:]+binder), alert.IllegalParameter},
		"a PSK that is not last":        {hello(ExtPreSharedKey, identity+binder, ExtSCT, ""), alert.IllegalParameter},
		"an extension twice":            {hello(ExtSCT, "", ExtSCT, ""), alert.IllegalParameter},
		"no suites":                     {[]byte("\x01\x00\x00\x27\x03\x03" + string(make([]byte, 37))), alert.DecodeError},
		"a session ID of 33":            {[]byte("\x01\x00\x00\x4b\x03\x03" + string(make([]byte, 32)) + "\x21" + string(make([]byte, 33)) + "\x00\x02\x13\x01\x01\x00"), alert.DecodeError},
		"KeyUpdate of 2":                {[]byte("\x18\x00\x00\x01\x02"), alert.IllegalParameter},
		"KeyUpdate of nothing":          {[]byte("\x18\x00\x00\x00"), alert.DecodeError},
		"EndOfEarlyData with a body":    {[]byte("\x05\x00\x00\x01\x00"), alert.DecodeError},
		"an empty certificate entry":    {[]byte("\x0b\x00\x00\x09\x00\x00\x00\x05\x00\x00\x00\x00\x00"), alert.DecodeError},
		"an empty ticket":               {[]byte("\x04\x00\x00\x0d" + string(make([]byte, 13))), alert.DecodeError},
		"two protocols chosen":          {[]byte("\x08\x00\x00\x0c\x00\x0a\x00\x10\x00\x06\x00\x04\x01a\x01b"), alert.DecodeError},
		"nothing to decompress":         {[]byte("\x19\x00\x00\x08\x00\x01\x00\x00\x01\x00\x00\x00"), alert.DecodeError},
	} {
		if _, err, _ := roundTrip(test.raw); err == nil || alert.Of(err) != test.code {
			t.Errorf("%s: %v, want %v", name, err, test.code)
		}
	}
	if _, err := ParseClientHello(hello(ExtSupportedVersions, "\x02\x03\x04")); err != nil {
		t.Errorf("the test's own hello: %v", err)
	}
}

// TestBeforeExtensions parses hellos that end before the extensions, as those of
// older versions may.
func TestBeforeExtensions(t *testing.T) {
	raw := []byte("\x01\x00\x00\x29\x03\x01" + string(make([]byte, 32)) + "\x00\x00\x02\x00\x2f\x01\x00")
	m, err := ParseClientHello(raw)
	if err != nil || m.Has(ExtSupportedVersions) || !bytes.Equal(m.Marshal(), raw) {
		t.Error(err)
	}
}

// TestAssembler hands messages out whole, however they were cut.
func TestAssembler(t *testing.T) {
	first, second := (&Finished{make([]byte, 32)}).Marshal(), (&KeyUpdate{}).Marshal()
	both := append(bytes.Clone(first), second...)
	for cut := range len(both) {
		a := new(Assembler)
		var got [][]byte
		for _, part := range [][]byte{both[:cut], both[cut:]} {
			if err := a.Write(part); err != nil {
				t.Fatal(err)
			}
			for {
				m, ok, err := a.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, m.Raw)
				token, aligned := a.Aligned()
				if aligned == a.Pending() || token.Valid() != aligned {
					t.Error("the token is wrong")
				}
			}
		}
		if len(got) != 2 || !bytes.Equal(got[0], first) || !bytes.Equal(got[1], second) || a.Pending() {
			t.Errorf("cut at %d: %x", cut, got)
		}
	}
	if (Aligned{}).Valid() {
		t.Error("a token that nobody made is valid")
	}
}

// TestAssemblerLimits refuses messages that are too long before they are there.
func TestAssemblerLimits(t *testing.T) {
	for header, ok := range map[string]bool{
		"\x14\x00\xff\xfc": true, "\x14\x00\xff\xfd": false, "\x0b\x01\xff\xfc": true, "\x0b\x01\xff\xfd": false, "\x19\x01\xff\xfc": true, "\x01\xff\xff\xff": false,
	} {
		a := new(Assembler)
		if err := a.Write([]byte(header)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Next(); (err == nil) != ok {
			t.Errorf("%x: %v", header, err)
		}
	}
	a := new(Assembler)
	for range 100 {
		if err := a.Write(make([]byte, 1<<14)); err != nil {
			return
		}
	}
	t.Error("the buffer grows without a bound")
}

func FuzzMessage(f *testing.F) {
	for _, raw := range full() {
		f.Add(raw)
	}
	for _, raw := range foreign(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 {
			return
		}
		again, err, known := roundTrip(raw)
		if !known || err != nil {
			return
		}
		if !bytes.Equal(again, raw) {
			t.Fatalf("%x\n%x", raw, again)
		}
		if _, err, _ := roundTrip(raw[:len(raw)-1]); len(raw) > 4 && err == nil {
			t.Fatal("a strict prefix parses")
		}
	})
}
