// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"bytes"
	"crypto/x509"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// check checks that each Field's parts cover it, each byte once and in order, and that
// what it says can be printed. It returns how many Fields there are.
func check(t *testing.T, f *Field) int {
	t.Helper()
	n, at := 1, f.Off
	for _, p := range f.Parts {
		if p.Off != at || p.Len < 0 {
			t.Errorf("%s in %s is %d bytes at %d: %d bytes are there", p.Name, f.Name, p.Len, p.Off, at)
		}
		at += p.Len
		n += check(t, p)
	}
	if len(f.Parts) > 0 && at != f.Off+f.Len {
		t.Errorf("the parts of %s end at %d: it ends at %d", f.Name, at, f.Off+f.Len)
	}
	if f.Name == "" || strings.ContainsFunc(f.Name+f.Value+f.Wrong+f.Ref, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q says %q, %q", f.Name, f.Value, f.Wrong)
	}
	return n
}

// faults are the Fields with something wrong.
func faults(f *Field) (all []*Field) {
	if f.Wrong != "" {
		all = append(all, f)
	}
	for _, p := range f.Parts {
		all = append(all, faults(p)...)
	}
	return all
}

// find returns the first Field of that name, nil if there is none.
func find(f *Field, name string) *Field {
	if f.Name == name {
		return f
	}
	for _, p := range f.Parts {
		if found := find(p, name); found != nil {
			return found
		}
	}
	return nil
}

// TestTraces dissects each message and record of the traces of RFC 8448.
func TestTraces(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../../testdata/rfc8448/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]int)
	messages, records, fields := 0, 0, 0
	for _, file := range files {
		if filepath.Base(file) == "rsa-key.txt" {
			continue
		}
		trace, err := testvec.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range trace.Steps {
			from := Client
			if step.Who == "server" {
				from = Server
			}
			for _, name := range step.Names() {
				b := step.Value(name)
				switch {
				case name == "complete_record":
					f := Record(b, nil)
					fields += check(t, f)
					records++
					if f.Len != len(b) || len(faults(f)) > 0 {
						t.Errorf("%s: %s: %v", trace.Name, step.What, faults(f))
					}
				case name == "payload" && step.What == "send handshake record":
					for len(b) >= 4 {
						n := min(4+(int(b[1])<<16|int(b[2])<<8|int(b[3])), len(b))
						f := Handshake(b[:n], from)
						fields += check(t, f)
						messages++
						kinds[f.Name]++
						if f.Len != n || len(faults(f)) > 0 {
							t.Errorf("%s: %s: %v", trace.Name, f.Name, faults(f))
						}
						b = b[n:]
					}
					if len(b) > 0 {
						t.Errorf("%s: %d bytes are left", trace.Name, len(b))
					}
				}
			}
		}
	}
	t.Logf("%d messages, %d records, %d fields: %v", messages, records, fields, kinds)
	for _, kind := range []string{"ClientHello", "ServerHello", "HelloRetryRequest", "EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify", "Finished", "NewSessionTicket", "EndOfEarlyData"} {
		if kinds[kind] == 0 {
			t.Errorf("no trace has a %s", kind)
		}
	}
	if messages < 40 || records < 40 {
		t.Errorf("only %d messages and %d records were looked at", messages, records)
	}
}

// TestValues looks at what is said of a ClientHello of RFC 8448.
func TestValues(t *testing.T) {
	t.Parallel()
	trace, err := testvec.Load("../../../../testdata/rfc8448/simple-1rtt.txt")
	if err != nil {
		t.Fatal(err)
	}
	hello := Handshake(trace.Find("client", "construct a ClientHello handshake message").Value("ClientHello"), Client)
	for name, want := range map[string]string{
		"host_name":          `"server"`,
		"cipher suite":       "TLS_AES_128_GCM_SHA256 (0x1301)",
		"key share":          "x25519 (0x001d)",
		"mode":               "psk_dhe_ke (0x01)",
		"renegotiation_info": "",
	} {
		if f := find(hello, name); f == nil || f.Value != want && name != "host_name" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := find(find(hello, "server_name_list"), "text"); f == nil || f.Len != len("server") {
		t.Errorf("the host's name: %+v", f)
	}
}

// TestDER looks at the certificate in a trace of RFC 8448, and holds what is said of it
// against crypto/x509.
func TestDER(t *testing.T) {
	t.Parallel()
	trace, err := testvec.Load("../../../../testdata/rfc8448/simple-1rtt.txt")
	if err != nil {
		t.Fatal(err)
	}
	msg := trace.Find("server", "construct a Certificate handshake message").Value("Certificate")
	f := Handshake(msg, Server)
	data := find(f, "cert_data")
	cert, err := x509.ParseCertificate(msg[data.Off+3 : data.Off+data.Len])
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) []byte {
		p := find(f, name)
		if p == nil {
			t.Fatalf("there is no %s", name)
		}
		return msg[p.Off : p.Off+p.Len]
	}
	for name, want := range map[string][]byte{
		"tbsCertificate": cert.RawTBSCertificate, "issuer": cert.RawIssuer, "subject": cert.RawSubject, "subjectPublicKeyInfo": cert.RawSubjectPublicKeyInfo,
	} {
		if !bytes.Equal(at(name), want) {
			t.Errorf("%s is %x", name, at(name))
		}
	}
	if s := at("signatureValue"); !bytes.HasSuffix(s, cert.Signature) {
		t.Errorf("the signature is %x", s)
	}
	if n := len(find(find(f, "Certificate"), "Extensions").Parts) - 1; n != len(cert.Extensions) {
		t.Errorf("%d extensions of %d", n, len(cert.Extensions))
	}
	if v := find(find(f, "subject"), "value"); v.Value != strconv.Quote(cert.Subject.CommonName) {
		t.Errorf("the subject is %s", v.Value)
	}
	if v := find(find(f, "subjectPublicKeyInfo"), "algorithm"); find(v.Parts[1], "algorithm").Value != "rsaEncryption (1.2.840.113549.1.1.1)" {
		t.Errorf("%+v", v.Parts[1])
	}
}

// TestDeepDER bounds how far DER is followed into itself.
func TestDeepDER(t *testing.T) {
	t.Parallel()
	b := []byte{5, 0}
	for range 60 {
		b = slices.Concat([]byte{0x30, byte(len(b))}, b)
	}
	root, c := begin("DER", "", b)
	der(c, nil, 0)
	if n := check(t, root); n > 3*deepest+10 || find(root, "NULL (0x05)") != nil {
		t.Errorf("%d fields", n)
	}
}

// TestInside shows what lies where in a protected record.
func TestInside(t *testing.T) {
	t.Parallel()
	record := slices.Concat([]byte{23, 3, 3, 0, 3 + 1 + 4 + 16}, make([]byte, 3+1+4+16))
	f := Record(record, &Inside{Type: 22, Content: 3})
	check(t, f)
	var got []int
	for _, p := range find(f, "encrypted_record").Parts {
		got = append(got, p.Len)
	}
	if want := []int{3, 1, 4, 16}; !slices.Equal(got, want) {
		t.Errorf("the parts are %v, not %v", got, want)
	}
}

// TestHostileText shows that what a peer says cannot act on a terminal.
func TestHostileText(t *testing.T) {
	t.Parallel()
	name := "\x1b[2J\u202e\n"
	msg := slices.Concat([]byte{8, 0, 0, byte(len(name) + 9), 0, byte(len(name) + 7), 0, 16, 0, byte(len(name) + 3), 0, byte(len(name) + 1), byte(len(name))}, []byte(name))
	f := Handshake(msg, Server)
	check(t, f)
	if p := find(f, "protocol"); p == nil || p.Value != `"\x1b[2J\u202e\n"` {
		t.Errorf("%+v", p)
	}
}

// TestLists bounds what becomes of a long list.
func TestLists(t *testing.T) {
	t.Parallel()
	suites := bytes.Repeat([]byte{0x13, 0x01}, 30000)
	body := slices.Concat([]byte{3, 3}, make([]byte, 32), []byte{0, byte(len(suites) >> 8), byte(len(suites) & math.MaxUint8)}, suites)
	f := Handshake(slices.Concat([]byte{1, 0, byte(len(body) >> 8), byte(len(body) & math.MaxUint8)}, body), Client)
	if n := check(t, f); n > most+50 {
		t.Errorf("%d fields", n)
	}
}

func FuzzDissect(f *testing.F) {
	files, err := filepath.Glob("../../../../testdata/rfc8448/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) == "rsa-key.txt" {
			continue
		}
		trace, err := testvec.Load(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, step := range trace.Steps {
			for _, name := range step.Names() {
				if name == "complete_record" || strings.HasSuffix(step.What, " handshake message") {
					f.Add(step.Value(name), uint8(3))
				}
			}
		}
	}
	f.Add([]byte{24, 0, 0, 1, 1}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, inside uint8) {
		before := bytes.Clone(b)
		for _, field := range []*Field{
			Handshake(b, Client), Handshake(b, Server), Record(b, nil),
			Record(b, &Inside{Type: inside, Content: int(inside)}), Alert(b), ChangeCipherSpec(b),
		} {
			if field.Len != len(b) {
				t.Errorf("%s is %d bytes of %d", field.Name, field.Len, len(b))
			}
			if n := check(t, field); n > 20+8*len(b) {
				t.Errorf("%d fields of %d bytes", n, len(b))
			}
		}
		if !bytes.Equal(b, before) {
			t.Error("the bytes were changed")
		}
	})
}
