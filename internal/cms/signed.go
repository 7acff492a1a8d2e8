// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Signed is a SignedData (RFC 5652, Section 5.1), without its content, which is of
// type id-data.
type Signed struct {
	Digests []Algorithm

	// What follows the content.
	Certificates [][]byte
	Signers      []Signer
}

// A Signer is a SignerInfo: RFC 5652, Section 5.3.
type Signer struct {
	Recipient // whose signature it is
	Digest    Algorithm
	Attrs     []byte // the DER of the SET OF, which is what is signed; nil if absent
	Scheme    Algorithm
	Signature []byte
}

// Frame returns what stands around a content of a length. If that is Indefinite, the
// Head does not depend on what follows the content.
func (s *Signed) Frame(length int64) Frame {
	var digests, signers []byte
	version := byte(1)
	for _, a := range s.Digests {
		digests = append(digests, a.Marshal()...)
	}
	for _, signer := range s.Signers {
		signers = append(signers, signer.marshal()...)
		if signer.KeyID != nil {
			version = 3
		}
	}
	var certificates []byte
	if len(s.Certificates) > 0 {
		set := slices.Clone(s.Certificates)
		slices.SortFunc(set, bytes.Compare)
		certificates = wrap(structured(0), set...)
	}
	return enclose([]layer{
		{tag: tagSequence, before: marshalOID(OIDSignedData)},
		{tag: structured(0)},
		{tag: tagSequence, before: slices.Concat(marshalVersion(version), wrap(tagSet, digests)), after: slices.Concat(certificates, wrap(tagSet, signers))},
		{tag: tagSequence, before: marshalOID(OIDData)},
		{tag: structured(0)},
	}, tagOctetString, length)
}

// ReadSigned reads from d up to the content. bare says that there is no ContentInfo,
// as there is none where an Envelope says that its content is signed data.
func ReadSigned(d *Decoder, bare bool) (*Signed, Content, error) {
	s := new(Signed)
	if !bare {
		contentInfo(d, OIDSignedData)
	}
	d.Enter(tagSequence)
	d.Element(tagInteger) // the version, which follows from the rest
	d.Enter(tagSet)
	for d.Peek() != 0 {
		var a Algorithm
		if !newString(d.Element(tagSequence)).algorithm(&a) {
			d.fail(ErrSyntax)
		}
		s.Digests = append(s.Digests, a)
	}
	d.Leave()
	var id asn1.ObjectIdentifier
	d.Enter(tagSequence)
	if b := d.Element(tagOID); d.err == nil && (!newString(b).oid(&id) || !id.Equal(OIDData)) {
		d.fail(ErrContentType)
	}
	d.Enter(structured(0))
	c := d.Content(tagOctetString)
	return s, c, d.err
}

// ReadTail reads what follows the content, up to the end of the stream.
func (s *Signed) ReadTail(d *Decoder, bare bool) error {
	d.Leave()
	d.Leave()
	if d.Peek() == structured(0) {
		d.Enter(structured(0))
		for tag := d.Peek(); tag != 0; tag = d.Peek() {
			if b := d.Element(tag); tag == tagSequence { // others are no X.509 certificates
				s.Certificates = append(s.Certificates, b)
			}
		}
		d.Leave()
	}
	if d.Peek() == structured(1) {
		d.Element(structured(1)) // crls
	}
	d.Enter(tagSet)
	for d.Peek() != 0 {
		var signer Signer
		if !signer.parse(newString(d.Element(tagSequence))) {
			d.fail(ErrSyntax)
		}
		s.Signers = append(s.Signers, signer)
	}
	d.Leave()
	d.Leave()
	if !bare {
		d.Leave()
		d.Leave()
	}
	d.End()
	return d.err
}

func (s *Signer) marshal() []byte {
	attrs := bytes.Clone(s.Attrs)
	if attrs != nil {
		attrs[0] = structured(0)
	}
	version, id := byte(1), s.Recipient.marshal()
	if s.KeyID != nil {
		version, id = 3, wrap(primitive(0), s.KeyID)
	}
	return wrap(tagSequence, marshalVersion(version), id, s.Digest.Marshal(), attrs,
		s.Scheme.Marshal(), marshalOctets(s.Signature))
}

func (s *Signer) parse(b *der) bool {
	var info der
	var version int
	if !b.enter(tagSequence, &info) || !info.version(&version) {
		return false
	}
	if info.next(tagSequence) {
		if !info.issuerAndSerial(&s.Recipient) {
			return false
		}
	} else if !info.read(primitive(0), &s.KeyID) {
		return false
	}
	if !info.algorithm(&s.Digest) {
		return false
	}
	if info.next(structured(0)) {
		if !info.raw(structured(0), &s.Attrs) {
			return false
		}
		s.Attrs = bytes.Clone(s.Attrs)
		s.Attrs[0] = tagSet // RFC 5652, Section 5.4
	}
	return info.algorithm(&s.Scheme) && info.read(tagOctetString, &s.Signature) &&
		info.skip(structured(1)) && info.Empty()
}

// Attributes are the values of attributes that have one each.
type Attributes struct {
	ContentType   asn1.ObjectIdentifier
	MessageDigest []byte
	SigningTime   time.Time

	// SigningCertificates are the attributes that name the signer's certificate, in the
	// order in which they stand.
	SigningCertificates []SigningCertificate
}

// Marshal returns the SET OF those attributes that are set, in DER.
func (a Attributes) Marshal() []byte {
	var set [][]byte
	add := func(id asn1.ObjectIdentifier, value []byte) {
		set = append(set, Sequence(marshalOID(id), wrap(tagSet, value)))
	}
	if a.ContentType != nil {
		add(OIDContentType, marshalOID(a.ContentType))
	}
	if a.MessageDigest != nil {
		add(OIDMessageDigest, marshalOctets(a.MessageDigest))
	}
	if !a.SigningTime.IsZero() {
		var b cryptobyte.Builder
		if t := a.SigningTime.UTC(); t.Year() >= 1950 && t.Year() < 2050 { // RFC 5652, Section 11.3
			b.AddASN1UTCTime(t)
		} else {
			b.AddASN1GeneralizedTime(t)
		}
		if value, err := b.Bytes(); err == nil {
			add(OIDSigningTime, value)
		}
	}
	for _, s := range a.SigningCertificates {
		id := OIDSigningCertificate
		if s.V2 {
			id = OIDSigningCertificateV2
		}
		add(id, s.marshal())
	}
	slices.SortFunc(set, bytes.Compare)
	return wrap(tagSet, set...)
}

// ParseAttributes reads a SET OF Attribute. Attributes that it knows may stand in it
// once, with one value: RFC 5652, Section 11. A SigningCertificate that breaks this rule is
// returned, for the caller to refuse.
func ParseAttributes(b []byte) (a Attributes, ok bool) {
	var set der
	s := newString(b)
	if !s.enter(tagSet, &set) || !s.Empty() {
		return a, false
	}
	seen := make(map[string]bool)
	for !set.Empty() {
		var attr, values der
		var id asn1.ObjectIdentifier
		if !set.enter(tagSequence, &attr) || !attr.oid(&id) || !attr.enter(tagSet, &values) || !attr.Empty() {
			return a, false
		}
		if id.Equal(OIDSigningCertificate) || id.Equal(OIDSigningCertificateV2) {
			a.SigningCertificates = append(a.SigningCertificates, parseSigningCertificate(&values, id.Equal(OIDSigningCertificateV2)))
			continue
		}
		if seen[id.String()] {
			return a, false
		}
		seen[id.String()] = true
		switch {
		case id.Equal(OIDContentType):
			ok = values.oid(&a.ContentType)
		case id.Equal(OIDMessageDigest):
			ok = values.read(tagOctetString, &a.MessageDigest)
		case id.Equal(OIDSigningTime):
			ok = values.time(&a.SigningTime)
		default:
			continue
		}
		if !ok || !values.Empty() {
			return a, false
		}
	}
	return a, true
}

func (s *der) time(t *time.Time) bool {
	if s.next(byte(cryptobyteasn1.UTCTime)) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
