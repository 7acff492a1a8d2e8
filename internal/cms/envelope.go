// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import (
	"bytes"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// An Envelope is an AuthEnvelopedData (RFC 5083, Section 2.1), without its content.
type Envelope struct {
	Recipients  []KeyAgreement // those of other kinds are passed over
	ContentType asn1.ObjectIdentifier
	Cipher      Algorithm

	// What follows the content.
	AuthAttrs []byte // the DER of the SET OF, which is what is authenticated; nil if absent
	MAC       []byte
}

// A KeyAgreement is a KeyAgreeRecipientInfo whose originator sends a public key:
// RFC 5652, Section 6.2.2.
type KeyAgreement struct {
	Originator Algorithm
	PublicKey  []byte
	UKM        []byte // nil if absent
	Agreement  asn1.ObjectIdentifier
	Wrap       Algorithm
	Keys       []EncryptedKey
}

// An EncryptedKey is a RecipientEncryptedKey: for whom it is, and the wrapped key.
type EncryptedKey struct {
	Recipient
	Wrapped []byte
}

// A Recipient says whose a certificate or key is: by issuer and serial number, or by
// subject key identifier.
type Recipient struct {
	Issuer []byte // the DER of the Name; nil for a key identifier
	Serial []byte // the contents of the INTEGER
	KeyID  []byte
}

// Equal reports whether both are the same.
func (r Recipient) Equal(o Recipient) bool {
	return bytes.Equal(r.Issuer, o.Issuer) && bytes.Equal(r.Serial, o.Serial) && bytes.Equal(r.KeyID, o.KeyID)
}

// Frame returns what stands around a content of a length. If that is Indefinite, the
// Head does not depend on what follows the content.
func (e *Envelope) Frame(length int64) Frame {
	var recipients [][]byte
	for _, r := range e.Recipients {
		recipients = append(recipients, r.marshal())
	}
	slices.SortFunc(recipients, bytes.Compare) // a SET OF in DER
	attrs := bytes.Clone(e.AuthAttrs)
	if attrs != nil {
		attrs[0] = structured(1)
	}
	return enclose([]layer{
		{tag: tagSequence, before: marshalOID(OIDAuthEnvelopedData)},
		{tag: structured(0)},
		{tag: tagSequence, before: slices.Concat(marshalVersion(0), wrap(tagSet, recipients...)), after: slices.Concat(attrs, marshalOctets(e.MAC))},
		{tag: tagSequence, before: slices.Concat(marshalOID(e.ContentType), e.Cipher.Marshal())},
	}, primitive(0), length)
}

// ReadEnvelope reads from d up to the content.
func ReadEnvelope(d *Decoder) (*Envelope, Content, error) {
	e := new(Envelope)
	contentInfo(d, OIDAuthEnvelopedData)
	d.Enter(tagSequence)
	if version := d.Element(tagInteger); d.err == nil && !bytes.Equal(version, marshalVersion(0)) {
		d.fail(ErrSyntax)
	}
	if d.Peek() == structured(0) {
		d.Element(structured(0)) // originatorInfo: certificates of the sender's
	}
	d.Enter(tagSet)
	for d.Peek() != 0 {
		tag := d.Peek()
		info := newString(d.Element(tag))
		if tag != structured(1) || d.err != nil {
			continue
		}
		if r, ok := parseKeyAgreement(info); !ok {
			d.fail(ErrSyntax)
		} else if r != nil {
			e.Recipients = append(e.Recipients, *r)
		}
	}
	d.Leave()
	d.Enter(tagSequence)
	if !newString(d.Element(tagOID)).oid(&e.ContentType) || !newString(d.Element(tagSequence)).algorithm(&e.Cipher) {
		d.fail(ErrSyntax)
	}
	c := d.Content(primitive(0))
	return e, c, d.err
}

// ReadTail reads what follows the content, up to the end of the message.
func (e *Envelope) ReadTail(d *Decoder) error {
	d.Leave()
	if d.Peek() == structured(1) {
		if attrs := d.Element(structured(1)); d.err == nil {
			attrs[0] = tagSet // RFC 5083, Section 2.2
			e.AuthAttrs = attrs
		}
	}
	if mac := d.Element(tagOctetString); d.err == nil {
		newString(mac).read(tagOctetString, &e.MAC)
	}
	if d.Peek() == structured(2) {
		d.Element(structured(2)) // unauthAttrs
	}
	d.Leave()
	d.Leave()
	d.Leave()
	d.End()
	return d.err
}

// contentInfo enters a ContentInfo of a type: RFC 5652, Section 3.
func contentInfo(d *Decoder, want asn1.ObjectIdentifier) {
	var id asn1.ObjectIdentifier
	d.Enter(tagSequence)
	if b := d.Element(tagOID); d.err == nil && (!newString(b).oid(&id) || !id.Equal(want)) {
		switch {
		case id.Equal(OIDEnvelopedData):
			d.fail(ErrEnvelopedData)
		case id.Equal(OIDSignedData):
			d.fail(ErrSignedData)
		default:
			d.fail(ErrContentType)
		}
	}
	d.Enter(structured(0))
}

func (r *KeyAgreement) marshal() []byte {
	var keys [][]byte
	for _, k := range r.Keys {
		keys = append(keys, wrap(tagSequence, k.marshal(), marshalOctets(k.Wrapped)))
	}
	bits := append([]byte{0}, r.PublicKey...) // of the last byte, none is unused
	originator := wrap(structured(1), r.Originator.Marshal(), wrap(0x03, bits))
	var ukm []byte
	if r.UKM != nil {
		ukm = wrap(structured(1), marshalOctets(r.UKM))
	}
	return wrap(structured(1),
		marshalVersion(3),
		wrap(structured(0), originator),
		ukm,
		Algorithm{ID: r.Agreement, Parameters: r.Wrap.Marshal()}.Marshal(),
		wrap(tagSequence, keys...))
}

// marshal returns a KeyAgreeRecipientIdentifier.
func (r Recipient) marshal() []byte {
	if r.Issuer != nil {
		return wrap(tagSequence, r.Issuer, wrap(tagInteger, r.Serial))
	}
	return wrap(structured(0), marshalOctets(r.KeyID))
}

// parseKeyAgreement returns nil if the originator is not a public key.
func parseKeyAgreement(s *der) (*KeyAgreement, bool) {
	var info, field, keys der
	var version int
	if !s.enter(structured(1), &info) || !info.version(&version) || version != 3 ||
		!info.enter(structured(0), &field) {
		return nil, false
	}
	r := new(KeyAgreement)
	if !field.next(structured(1)) {
		return nil, true
	}
	var originator der
	var bits asn1.BitString
	if !field.enter(structured(1), &originator) || !field.Empty() ||
		!originator.algorithm(&r.Originator) || !originator.ReadASN1BitString(&bits) || !originator.Empty() || bits.BitLength%8 != 0 {
		return nil, false
	}
	r.PublicKey = bits.Bytes
	if info.next(structured(1)) {
		if !info.enter(structured(1), &field) || !field.read(tagOctetString, &r.UKM) || !field.Empty() {
			return nil, false
		}
	}
	var agreement Algorithm
	if !info.algorithm(&agreement) || !info.enter(tagSequence, &keys) || !info.Empty() {
		return nil, false
	}
	r.Agreement = agreement.ID
	r.Wrap, _ = ParseAlgorithm(agreement.Parameters) // if it is none, nobody knows it
	for !keys.Empty() {
		var key der
		var k EncryptedKey
		if !keys.enter(tagSequence, &key) || !key.recipient(&k.Recipient) || !key.read(tagOctetString, &k.Wrapped) || !key.Empty() {
			return nil, false
		}
		r.Keys = append(r.Keys, k)
	}
	return r, true
}

// recipient reads a KeyAgreeRecipientIdentifier.
func (s *der) recipient(r *Recipient) bool {
	if s.next(tagSequence) {
		return s.issuerAndSerial(r)
	}
	var id der
	return s.enter(structured(0), &id) && id.read(tagOctetString, &r.KeyID) // date and other may follow
}

func (s *der) issuerAndSerial(r *Recipient) bool {
	var id der
	return s.enter(tagSequence, &id) && id.raw(tagSequence, &r.Issuer) && id.read(tagInteger, &r.Serial) && id.Empty()
}

// GCMParameters returns the parameters of AES-GCM: RFC 5084, Section 3.2.
func GCMParameters(nonce []byte, tagLen int) []byte {
	return Sequence(marshalOctets(nonce), []byte{tagInteger, 1, byte(tagLen)})
}

// ParseGCMParameters reads what GCMParameters returns.
func ParseGCMParameters(b []byte) (nonce []byte, tagLen int, ok bool) {
	var inner der
	s := newString(b)
	tagLen = 12 // the default
	ok = s.enter(tagSequence, &inner) && s.Empty() && inner.read(tagOctetString, &nonce) &&
		(inner.Empty() || inner.ReadASN1Integer(&tagLen)) && inner.Empty()
	return nonce, tagLen, ok
}

// ParseOctets reads an OCTET STRING and nothing else.
func ParseOctets(b []byte) (value []byte, ok bool) {
	s := newString(b)
	return value, s.read(tagOctetString, &value) && s.Empty()
}

// SharedInfo returns the ECC-CMS-SharedInfo of RFC 5753, Section 7.2, for a key that
// encrypts keys, of keyLen bytes.
func SharedInfo(wrapping Algorithm, ukm []byte, keyLen int) []byte {
	keyInfo := wrapping.Raw
	if keyInfo == nil {
		keyInfo = wrapping.Marshal()
	}
	var entity []byte
	if ukm != nil {
		entity = wrap(structured(0), marshalOctets(ukm))
	}
	var bits cryptobyte.Builder
	bits.AddUint32(uint32(8 * keyLen))
	return wrap(tagSequence, keyInfo, entity, wrap(structured(2), marshalOctets(bits.BytesOrPanic())))
}
