// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vectors

import (
	"crypto/x509"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

// verify holds CertificateVerify's check against a file of signatures.
func verify(t *testing.T, name string, scheme credential.Scheme, least int) {
	t.Helper()
	each(t, name, least, func(t *testing.T, g *group, v *vector) {
		key, err := x509.ParsePKIXPublicKey(g.PublicKeyDER)
		if err != nil {
			t.Fatal(err)
		}
		peer := &credential.Peer{Type: credential.X509, SPKI: g.PublicKeyDER, Key: key}
		err = credential.Verify(peer, scheme, v.Msg, v.Sig)
		switch {
		case v.Result == "valid" && err != nil:
			t.Errorf("%s, %d (%s): %v", name, v.TcID, v.Comment, err)
		case v.Result == "invalid" && (err == nil || alert.Of(err) != alert.DecryptError):
			t.Errorf("%s, %d (%s): %v, want decrypt_error", name, v.TcID, v.Comment, err)
		}
	})
}

func TestEd25519(t *testing.T) { verify(t, "ed25519_test.json", credential.Ed25519, 150) }

func TestECDSAP256(t *testing.T) {
	verify(t, "ecdsa_secp256r1_sha256_test.json", credential.ECDSAP256SHA256, 480)
}

func TestECDSAP384(t *testing.T) {
	verify(t, "ecdsa_secp384r1_sha384_test.json", credential.ECDSAP384SHA384, 480)
}

func TestECDSAP521(t *testing.T) {
	verify(t, "ecdsa_secp521r1_sha512_test.json", credential.ECDSAP521SHA512, 480)
}

func TestRSAPSS2048SHA256(t *testing.T) {
	verify(t, "rsa_pss_2048_sha256_mgf1_32_test.json", credential.PSSRSAESHA256, 100)
}

func TestRSAPSS2048SHA384(t *testing.T) {
	verify(t, "rsa_pss_2048_sha384_mgf1_48_test.json", credential.PSSRSAESHA384, 50)
}

func TestRSAPSS3072SHA256(t *testing.T) {
	verify(t, "rsa_pss_3072_sha256_mgf1_32_test.json", credential.PSSRSAESHA256, 50)
}

func TestRSAPSS4096SHA384(t *testing.T) {
	verify(t, "rsa_pss_4096_sha384_mgf1_48_test.json", credential.PSSRSAESHA384, 50)
}

func TestRSAPSS4096SHA512(t *testing.T) {
	verify(t, "rsa_pss_4096_sha512_mgf1_64_test.json", credential.PSSRSAESHA512, 50)
}
