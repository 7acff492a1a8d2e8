// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/message"
)

// TestSigningCertificateForOpenSSL has OpenSSL check the SigningCertificateV2 attribute of
// what is signed.
func TestSigningCertificateForOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	to := []*message.Recipient{recipientIn(t, w.get("p256.pem"))}
	for name, s := range signers(t) {
		if name == "Ed25519" {
			continue // OpenSSL 3.0 has no Ed25519 in CMS
		}
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			plain := pattern(1000)
			sealed := seal(t, plain, to, &message.SealOptions{Signer: s})
			w.put("in", sealed)
			w.run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", "in", "-recip", "p256.pem", "-inkey", "p256.key", "-out", "signed")
			var cert []byte
			_, err := open(sealed, key(t, w.get("p256.key")), &message.OpenOptions{Accept: func(s *message.Signature) error {
				cert = s.Certificate.Raw
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			w.put("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
			w.run("cms", "-verify", "-cades", "-binary", "-purpose", "any", "-CAfile", "ca.pem", "-inform", "DER", "-in", "signed", "-out", "out")
			if !bytes.Equal(w.get("out"), plain) {
				t.Error("OpenSSL reads something else")
			}
		})
	}
}

// TestSigningCertificateOfOpenSSL opens what OpenSSL signs with the attribute and without.
func TestSigningCertificateOfOpenSSL(t *testing.T) {
	t.Parallel()
	w := openssl(t)
	k := key(t, w.get("p256.key"))
	// Another certificate of the same key, which a recipient puts in the first one's place.
	w.run("req", "-x509", "-new", "-key", "p256.key", "-subj", "/CN=p257", "-days", "30", "-out", "other.pem", "-set_serial", "0x"+serialOf(t, w, "p256.pem"))
	for name, more := range map[string][]string{
		"SHA-256": {"-cades", "-md", "sha256"}, "SHA-384": {"-cades", "-md", "sha384"}, "SHA-512": {"-cades", "-md", "sha512"},
		"keyid": {"-cades", "-keyid"}, "without": {"-md", "sha256"}, "keyid without": {"-keyid"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			plain := pattern(100)
			w.put("in", plain)
			w.run(append([]string{"cms", "-sign", "-binary", "-nodetach", "-in", "in", "-outform", "DER", "-signer", "p256.pem", "-inkey", "p256.key", "-out", "signed"}, more...)...)
			cades := more[0] == "-cades"
			bound, err := w.openSigned(k, w.get("signed"))
			if err != nil || bound != cades {
				t.Errorf("it is opened with %v; the certificate is bound: %v", err, bound)
			}
			attrs, ours := signingCertificatesIn(t, w.get("signed"))
			if cades && (len(ours) == 0 || !bytes.Contains(attrs, ours)) {
				t.Errorf("the attribute is encoded in another way: %x is not in %x", ours, attrs)
			}
			bound, err = w.openSigned(k, replaceCertificate(t, w, w.get("signed"), "p256.pem", "other.pem"))
			switch {
			case cades && !errors.Is(err, message.ErrNotAuthentic):
				t.Errorf("with another certificate: %v", err)
			case !cades && (err != nil || bound):
				t.Errorf("with another certificate, of which the signature says nothing: %v, bound: %v", err, bound)
			}
		})
	}
}

func serialOf(t *testing.T, w *workshop, file string) string {
	t.Helper()
	out, err := w.try("x509", "-in", file, "-noout", "-serial")
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace([]byte(out[len("serial="):])))
}

// replaceCertificate puts one certificate in the place of another of the same length, whose
// name differs in the last letter.
func replaceCertificate(t *testing.T, w *workshop, signed []byte, from, to string) []byte {
	t.Helper()
	old, _ := pem.Decode(w.get(from))
	other, _ := pem.Decode(w.get(to))
	s, content := parseSigned(t, signed)
	if len(s.Certificates) != 1 || !bytes.Equal(s.Certificates[0], old.Bytes) {
		t.Fatal("the certificate is not there")
	}
	s.Certificates[0] = other.Bytes
	s.Signers[0].Issuer = bytes.Replace(s.Signers[0].Issuer, []byte("p256"), []byte("p257"), 1)
	f := s.Frame(int64(len(content)))
	return bytes.Join([][]byte{f.Head, content, f.Tail}, nil)
}

// openSigned seals a SignedData as it is, and opens that.
func (w *workshop) openSigned(k *message.Key, signed []byte) (bound bool, err error) {
	w.t.Helper()
	head := "MIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\n"
	body := pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: signed})
	body = body[bytes.IndexByte(body, '\n')+1 : bytes.LastIndex(body, []byte("-----END"))]
	w.put("mail", append([]byte(head), body...))
	w.run("cms", "-encrypt", "-binary", "-aes-256-gcm", "-in", "mail", "-outform", "DER", "-out", "sealed", "p256.pem")
	_, err = open(w.get("sealed"), k, &message.OpenOptions{Accept: func(s *message.Signature) error {
		bound = s.CertificateBound
		return nil
	}})
	return bound, err
}

func parseSigned(t *testing.T, signed []byte) (*cms.Signed, []byte) {
	t.Helper()
	d := cms.NewDecoder(bytes.NewReader(signed))
	s, c, err := cms.ReadSigned(d, false)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(c.Pass(d))
	if err == nil {
		err = s.ReadTail(d, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, content
}

// signingCertificatesIn returns the signed attributes, and those of them that name the
// certificate in the encoding of mayfly.
func signingCertificatesIn(t *testing.T, signed []byte) (attrs, ours []byte) {
	t.Helper()
	s, _ := parseSigned(t, signed)
	parsed, ok := cms.ParseAttributes(s.Signers[0].Attrs)
	if !ok {
		t.Fatal("the attributes are malformed")
	}
	var set asn1.RawValue
	if _, err := asn1.Unmarshal(cms.Attributes{SigningCertificates: parsed.SigningCertificates}.Marshal(), &set); err != nil {
		t.Fatal(err)
	}
	return s.Signers[0].Attrs, set.Bytes
}
