// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// exampleContent is the example of RFC 9846, Section 4.5.2, as it stands there.
const exampleContent = "2020202020202020202020202020202020202020202020202020202020202020" +
	"2020202020202020202020202020202020202020202020202020202020202020" +
	"544c5320312e332c207365727665722043657274696669636174655665726966" +
	"79" +
	"00" +
	"0101010101010101010101010101010101010101010101010101010101010101"

func TestSignedContent(t *testing.T) {
	t.Parallel()
	hash := bytes.Repeat([]byte{1}, 32)
	if got := hex.EncodeToString(SignedContent(true, hash)); got != exampleContent {
		t.Errorf("got %s, want the RFC's %s", got, exampleContent)
	}
	if bytes.Equal(SignedContent(false, hash), SignedContent(true, hash)) {
		t.Error("both sides sign the same")
	}
}

// TestRFC8448 checks the CertificateVerify messages of RFC 8448: RSA and ECDSA, of
// a server and of a client.
func TestRFC8448(t *testing.T) {
	t.Parallel()
	checked := map[Scheme]int{}
	for _, file := range []string{"simple-1rtt", "hello-retry-request", "client-authentication", "compatibility-mode"} {
		trace, err := testvec.Load("../../testdata/rfc8448/" + file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		messages, err := trace.Messages()
		if err != nil {
			t.Fatal(err)
		}
		var transcript []byte
		certificates := map[string][]byte{}
		for _, m := range messages {
			body := m.Raw[4:]
			switch {
			case m.Raw[0] == 11:
				certificates[m.Who] = firstEntry(t, body)
			case m.Raw[0] == 15 && !isRetried(messages): // the rewritten transcript is not this package's
				checked[checkVerify(t, certificates[m.Who], m.Who == "server", transcript, body)]++
			}
			transcript = append(transcript, m.Raw...)
		}
	}
	if checked[PSSRSAESHA256] != 3 || checked[ECDSAP256SHA256] != 1 {
		t.Errorf("checked %v", checked)
	}
}

func isRetried(messages []testvec.Message) bool {
	return len(messages) > 2 && messages[2].Raw[0] == 1 // a second ClientHello
}

func firstEntry(t *testing.T, body []byte) []byte {
	var context, list, der cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint8LengthPrefixed(&context) || !s.ReadUint24LengthPrefixed(&list) || !list.ReadUint24LengthPrefixed(&der) {
		t.Fatal("not a Certificate")
	}
	return der
}

func checkVerify(t *testing.T, der []byte, server bool, transcript, body []byte) Scheme {
	t.Helper()
	var number uint16
	var signature cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint16(&number) || !s.ReadUint16LengthPrefixed(&signature) {
		t.Fatal("not a CertificateVerify")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	// The trace's RSA keys, of 1024 bits, are too small for ParsePeer.
	if _, err := ParsePeer(X509, [][]byte{der}); err != nil {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 1024 || alert.Of(err) != alert.UnsupportedCertificate {
			t.Fatal(err)
		}
	}
	p := &Peer{Type: X509, Key: cert.PublicKey, SPKI: cert.RawSubjectPublicKeyInfo}
	hash := sha256.Sum256(transcript)
	if err := Verify(p, Scheme(number), SignedContent(server, hash[:]), signature); err != nil {
		t.Error(err)
	}
	if err := Verify(p, Scheme(number), SignedContent(!server, hash[:]), signature); alert.Of(err) != alert.DecryptError {
		t.Errorf("as the other side's: %v", err)
	}
	return Scheme(number)
}

// TestOpenSSL checks keys, pins and signatures of OpenSSL 3.0.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	content, _ := hex.DecodeString(exampleContent)
	for _, test := range []struct {
		scheme               Scheme
		spki, pin, signature string
	}{
		{
			Ed25519, "MCowBQYDK2VwAyEAzZAyGH+P3tC+z2Am5p7k4o+Iekc5x5bqYoEhq/UVGIg=",
			"UYF7ZhN8G6FriZGzA/NnVVOooXjo9QSHW7ZAXdsZJc4=",
			"FEfluJx3NEVBfjN0ffwaiPLEP7U9xhQ1DSNP/bhIHyp61/qj7IMoQNjuV23+hMbbW7Pxpn7kyk+RfuHKkyUMAA==",
		},
		{
			ECDSAP256SHA256, "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEq5ACpvEm6Dxk5SX8BjBkpahbp3B/Wk/wlNN2hVMr1XmuHyrSoLlsVE70c9oiLzQPhVCnvF/YPHfqiCM5oG3xJw==",
			"eFs781hI5gfOfBqCgB+KZRgv6Vyp/4I7R9WrXxW5hsg=",
			"MEUCIG+k6YCUAbFFgm2CeuvJM2kdbiWZFDExjgcr0RoHqY9rAiEA/OEKDQc62IJoQnBaFjEYiKbFDxzGYFhjbLeizEAkm04=",
		},
	} {
		p, err := ParsePeer(RawPublicKey, [][]byte{unbase64(t, test.spki)})
		if err != nil {
			t.Fatal(err)
		}
		if pin := p.Pin(); base64.StdEncoding.EncodeToString(pin[:]) != test.pin {
			t.Errorf("%v: pin %x", test.scheme, pin)
		}
		signature := unbase64(t, test.signature)
		if err := Verify(p, test.scheme, content, signature); err != nil {
			t.Errorf("%v: %v", test.scheme, err)
		}
		for _, s := range Schemes() {
			if s != test.scheme && alert.Of(Verify(p, s, content, signature)) != alert.IllegalParameter {
				t.Errorf("%v passes for %v", test.scheme, s)
			}
		}
		for _, damaged := range [][]byte{nil, signature[1:], append(slices.Clone(signature), 0), flipped(signature)} {
			if err := Verify(p, test.scheme, content, damaged); alert.Of(err) != alert.DecryptError {
				t.Errorf("%v, damaged: %v", test.scheme, err)
			}
		}
	}
}

// TestPSSKeys checks leaves with the RSASSA-PSS OID, with and without parameters.
func TestPSSKeys(t *testing.T) {
	t.Parallel()
	content, _ := hex.DecodeString(exampleContent)
	for name, want := range map[string][]Scheme{
		"pss":    {PSSPSSSHA256, PSSPSSSHA384, PSSPSSSHA512},
		"pss384": {PSSPSSSHA384},
		"pss20":  {PSSPSSSHA256},
	} {
		p, err := ParsePeer(X509, [][]byte{readPEM(t, name+".pem")})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := p.schemes(); !slices.Equal(got, want) {
			t.Errorf("%s: schemes %v, want %v", name, got, want)
		}
		text, err := os.ReadFile("testdata/" + name + ".sig.base64")
		if err != nil {
			t.Fatal(err)
		}
		signature := unbase64(t, string(text))
		scheme := want[min(1, len(want)-1)]
		if err := Verify(p, scheme, content, signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := Verify(p, PSSRSAESHA384, content, signature); alert.Of(err) != alert.IllegalParameter {
			t.Errorf("%s, as one with the rsaEncryption OID: %v", name, err)
		}
		if name != "pss384" {
			continue
		}
		roots := x509.NewCertPool()
		root, err := x509.ParseCertificate(readPEM(t, "pss-authority.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(root)
		options := VerifyOptions{Roots: roots, Name: "pss.example", Now: p.Certificates[0].NotBefore.Add(time.Hour), Server: true}
		if _, err := VerifyChain(p, options); err != nil {
			t.Error(err)
		}
	}
}

// TestPSSKeysInFIPSMode runs TestPSSKeys in a process with GODEBUG=fips140=on: RSASSA-PSS is
// approved, though crypto/x509 does not parse such a key.
func TestPSSKeysInFIPSMode(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPSSKeys$", "-test.timeout=1m")
	child.Env = append(os.Environ(), "GODEBUG=fips140=on")
	out, err := child.CombinedOutput()
	if err != nil && (bytes.Contains(out, []byte("FIPS 140-3 mode is")) || bytes.Contains(out, []byte("fips140: "))) {
		t.Skipf("FIPS 140-3 mode is not available: %.200s", out)
	}
	if err != nil {
		t.Errorf("%v\n%.2000s", err, out)
	}
}

// TestPSSParameters damages the parameters that OpenSSL wrote.
func TestPSSParameters(t *testing.T) {
	t.Parallel()
	cert, err := x509.ParseCertificate(readPEM(t, "pss384.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const sha384, sha256, salt, mgf1 = "0609608648016503040202", "0609608648016503040201", "a203020130", "06092a864886f70d010108"
	whole := hex.EncodeToString(cert.RawSubjectPublicKeyInfo)
	first, last := strings.Index(whole, sha384), strings.LastIndex(whole, sha384)
	if first < 0 || last <= first {
		t.Fatal("this is not the key that was expected")
	}
	with := func(at int, old, new string) string {
		return whole[:at] + strings.Replace(whole[at:], old, new, 1)
	}
	for name, test := range map[string]struct {
		spki string
		good bool
	}{
		"as they are":           {whole, true},
		"a shorter salt":        {with(0, salt, "a203020120"), true},
		"a longer salt":         {with(0, salt, "a203020131"), false},
		"a negative salt":       {with(0, salt, "a2030201ff"), false},
		"another hash":          {with(0, sha384, sha256), false},
		"another hash for MGF1": {with(last, sha384, sha256), false},
		"no MGF1":               {with(0, mgf1, "06092a864886f70d010107"), false},
		"another algorithm":     {with(0, "06092a864886f70d01010a", "06092a864886f70d010109"), false},
	} {
		spki, err := hex.DecodeString(test.spki)
		if err != nil {
			t.Fatal(err)
		}
		key, schemes := parsePSSKey(spki)
		if (key != nil) != test.good || test.good && !slices.Equal(schemes, []Scheme{PSSPSSSHA384}) {
			t.Errorf("%s: %v", name, schemes)
		}
		if !test.good && test.spki == whole {
			t.Errorf("%s: nothing was changed", name)
		}
	}
}

// TestPSSDefaults walks which parameters may be absent, or stand there though they are the
// defaults (RFC 4055, Section 3.1).
func TestPSSDefaults(t *testing.T) {
	t.Parallel()
	tlv := func(tag byte, parts ...[]byte) []byte {
		content := slices.Concat(parts...)
		return slices.Concat([]byte{tag, byte(len(content))}, content)
	}
	cert, err := x509.ParseCertificate(readPEM(t, "pss20.pem"))
	if err != nil {
		t.Fatal(err)
	}
	spki := cert.RawSubjectPublicKeyInfo
	bits := spki[len(spki)-275:] // the BIT STRING
	oid := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	sha256 := tlv(0x30, oid("0609608648016503040201"))
	hash := tlv(0xa0, sha256)
	mgf := tlv(0xa1, tlv(0x30, oid("06092a864886f70d010108"), sha256))
	number := func(tag, n byte) []byte { return tlv(tag, []byte{2, 1, n}) }
	for name, test := range map[string]struct {
		parameters [][]byte
		good       bool
	}{
		"salt and trailer absent": {[][]byte{hash, mgf}, true},
		"the default salt":        {[][]byte{hash, mgf, number(0xa2, 20)}, true},
		"the default trailer":     {[][]byte{hash, mgf, number(0xa3, 1)}, true},
		"no salt":                 {[][]byte{hash, mgf, number(0xa2, 0), number(0xa3, 1)}, true},
		"another trailer":         {[][]byte{hash, mgf, number(0xa3, 2)}, false},
		"out of order":            {[][]byte{hash, mgf, number(0xa3, 1), number(0xa2, 32)}, false},
		"SHA-1":                   {nil, false},
		"MGF1 with SHA-1":         {[][]byte{hash}, false},
		"only MGF1":               {[][]byte{mgf}, false},
	} {
		info := slices.Concat(tlv(0x30, oid("06092a864886f70d01010a"), tlv(0x30, test.parameters...)), bits)
		key, schemes := parsePSSKey(slices.Concat([]byte{0x30, 0x82, byte(len(info) >> 8), byte(len(info))}, info))
		if (key != nil) != test.good || test.good && !slices.Equal(schemes, []Scheme{PSSPSSSHA256}) {
			t.Errorf("%s: %v", name, schemes)
		}
	}
}

// FuzzPSSKey looks for panics, and for keys that have no scheme.
func FuzzPSSKey(f *testing.F) {
	for _, name := range []string{"pss.pem", "pss384.pem", "pss20.pem"} {
		cert, err := x509.ParseCertificate(readPEM(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(cert.RawSubjectPublicKeyInfo)
	}
	f.Fuzz(func(t *testing.T, spki []byte) {
		key, schemes := parsePSSKey(spki)
		if (key == nil) != (len(schemes) == 0) {
			t.Errorf("key %v with schemes %v", key, schemes)
		}
	})
}

func readPEM(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM in " + name)
	}
	return block.Bytes
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
