// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import "encoding/asn1"

// A SigningCertificate is the value of an attribute of that name (RFC 2634, Section 5.4),
// or of SigningCertificateV2 (RFC 5035, Section 3). It names the certificate that the
// signer means by the hash, so that no other certificate of the same key can take its
// place.
type SigningCertificate struct {
	V2 bool

	// Certificates are the signer's first. If there are more, a chain may hold only
	// these. It is nil if the value is malformed or not the only one.
	Certificates []CertificateHash
}

// A CertificateHash is an ESSCertID, whose hash is always SHA-1, or an ESSCertIDv2.
type CertificateHash struct {
	Hash  asn1.ObjectIdentifier
	Value []byte
	ID    Recipient // issuer and serial number; zero if absent
}

// policyInformation would follow the certificates. It is advice to the recipient
// (RFC 2634, Section 5.4), and not read.
const policyInformation = tagSequence

// marshal returns the attribute's value. A V1 has no other hash than SHA-1.
func (s SigningCertificate) marshal() []byte {
	var list []byte
	for _, c := range s.Certificates {
		var hash, id []byte
		if s.V2 && !c.Hash.Equal(OIDSHA256) { // which is the default
			hash = Algorithm{ID: c.Hash}.Marshal()
		}
		if c.ID.Issuer != nil {
			directoryName := wrap(structured(4), c.ID.Issuer)
			id = Sequence(Sequence(directoryName), wrap(tagInteger, c.ID.Serial))
		}
		list = append(list, Sequence(hash, marshalOctets(c.Value), id)...)
	}
	return Sequence(Sequence(list))
}

// parseSigningCertificate reads the values of an attribute, of which there must be one.
func parseSigningCertificate(values *der, v2 bool) SigningCertificate {
	s := SigningCertificate{V2: v2}
	var value, list der
	if !values.enter(tagSequence, &value) || !values.Empty() ||
		!value.enter(tagSequence, &list) || !value.skip(policyInformation) || !value.Empty() {
		return s
	}
	var all []CertificateHash
	for !list.Empty() {
		var c CertificateHash
		if !list.certificateHash(&c, v2) {
			return s
		}
		all = append(all, c)
	}
	s.Certificates = all
	return s
}

func (s *der) certificateHash(c *CertificateHash, v2 bool) bool {
	var inner, id, names, name der
	if !s.enter(tagSequence, &inner) {
		return false
	}
	c.Hash = OIDSHA1
	if v2 {
		c.Hash = OIDSHA256
		if inner.next(tagSequence) {
			var a Algorithm
			if !inner.algorithm(&a) {
				return false
			}
			c.Hash = a.ID
		}
	}
	if !inner.read(tagOctetString, &c.Value) || inner.Empty() {
		return inner.Empty() && len(c.Value) > 0
	}
	return inner.enter(tagSequence, &id) && inner.Empty() &&
		id.enter(tagSequence, &names) && names.enter(structured(4), &name) && names.Empty() &&
		name.raw(tagSequence, &c.ID.Issuer) && name.Empty() &&
		id.read(tagInteger, &c.ID.Serial) && id.Empty()
}
