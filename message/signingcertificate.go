// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"

	"github.com/mayfly-tls/mayfly/internal/cms"
)

// signingCertificates are the signed attributes that name the signer's certificate: at
// most one of RFC 2634, Section 5.4, with SHA-1, and one of RFC 5035, Section 3. Each of
// them holds.
type signingCertificates []cms.SigningCertificate

// check refuses attributes that are malformed, occur twice, use an unknown hash, or name so
// many certificates that hashing them costs.
func (s signingCertificates) check() error {
	var seen [2]bool
	for _, attr := range s {
		version := 0
		if attr.V2 {
			version = 1
		}
		if attr.Certificates == nil || seen[version] {
			return because(ErrNotAuthentic, "what its signature says about the signer's certificate is malformed")
		}
		seen[version] = true
		if len(attr.Certificates) > maxCertificates {
			return because(ErrTooLarge, "its signature names more than ten certificates")
		}
		for _, c := range attr.Certificates {
			if attr.V2 && hashByID(c.Hash) == 0 {
				return because(ErrUnsupported, "its signature names the signer's certificate by an unknown hash")
			}
		}
	}
	return nil
}

// name reports whether every attribute names cert as the signer's.
func (s signingCertificates) name(cert *x509.Certificate) bool {
	for _, attr := range s {
		if !names(attr.Certificates[0], cert) {
			return false
		}
	}
	return true
}

// allow reports whether every attribute lets cert take part in the chain of the signer's.
// An attribute with one certificate lets any.
func (s signingCertificates) allow(cert *x509.Certificate) bool {
	for _, attr := range s {
		found := len(attr.Certificates) == 1
		for _, c := range attr.Certificates[1:] {
			found = found || names(c, cert)
		}
		if !found {
			return false
		}
	}
	return true
}

// bind reports whether an attribute names a certificate in a way that holds against
// collisions, which SHA-1 does not.
func (s signingCertificates) bind() bool {
	for _, attr := range s {
		if attr.V2 {
			return true
		}
	}
	return false
}

func names(c cms.CertificateHash, cert *x509.Certificate) bool {
	if c.ID.Issuer != nil && !c.ID.Equal(certificateID(cert)) {
		return false
	}
	return subtle.ConstantTimeCompare(c.Value, certificateHash(c.Hash, cert)) == 1
}

func certificateHash(id asn1.ObjectIdentifier, cert *x509.Certificate) []byte {
	if id.Equal(cms.OIDSHA1) {
		sum := sha1.Sum(cert.Raw)
		return sum[:]
	}
	return sum(hashByID(id), cert.Raw)
}

func sum(hash crypto.Hash, text []byte) []byte {
	h := hash.New()
	h.Write(text)
	return h.Sum(nil)
}

// byName reports whether the signer names cert by issuer and serial number, or by subject
// key identifier.
func byName(signer *cms.Signer, cert *x509.Certificate) bool {
	return len(signer.KeyID) > 0 && bytes.Equal(signer.KeyID, cert.SubjectKeyId) || signer.Recipient.Equal(certificateID(cert))
}
