// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package cms

import (
	"bytes"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A der is DER that is in memory, as Decoder.Element returns it, and read from its
// front. A read that fails leaves it of no use.
type der struct{ cryptobyte.String }

func newString(b []byte) *der { return &der{cryptobyte.String(b)} }

// read reads the value of an element.
func (s *der) read(tag byte, value *[]byte) bool {
	var v cryptobyte.String
	if !s.ReadASN1(&v, cryptobyteasn1.Tag(tag)) {
		return false
	}
	*value = v
	return true
}

// enter is read, of an element that has elements in it.
func (s *der) enter(tag byte, inner *der) bool {
	return s.ReadASN1(&inner.String, cryptobyteasn1.Tag(tag))
}

// raw reads an element with its tag and length.
func (s *der) raw(tag byte, element *[]byte) bool {
	var v cryptobyte.String
	if !s.ReadASN1Element(&v, cryptobyteasn1.Tag(tag)) {
		return false
	}
	*element = v
	return true
}

// skip passes over an element if it is there.
func (s *der) skip(tag byte) bool {
	return s.SkipOptionalASN1(cryptobyteasn1.Tag(tag))
}

func (s *der) next(tag byte) bool { return len(s.String) > 0 && s.String[0] == tag }

func (s *der) oid(id *asn1.ObjectIdentifier) bool { return s.ReadASN1ObjectIdentifier(id) }

// An Algorithm is an AlgorithmIdentifier.
type Algorithm struct {
	ID         asn1.ObjectIdentifier
	Parameters []byte // DER; nil if there are none
	Raw        []byte // the whole, as it was read
}

// Marshal returns the AlgorithmIdentifier in DER.
func (a Algorithm) Marshal() []byte { return wrap(tagSequence, marshalOID(a.ID), a.Parameters) }

// ParseAlgorithm reads an AlgorithmIdentifier and nothing else.
func ParseAlgorithm(b []byte) (a Algorithm, ok bool) {
	s := newString(b)
	ok = s.algorithm(&a) && s.Empty()
	return a, ok
}

func (s *der) algorithm(a *Algorithm) bool {
	var inner der
	if !s.raw(tagSequence, &a.Raw) || !newString(a.Raw).enter(tagSequence, &inner) || !inner.oid(&a.ID) {
		return false
	}
	a.Parameters = bytes.Clone(inner.String)
	if len(a.Parameters) == 0 {
		a.Parameters = nil
		return true
	}
	var one cryptobyte.String
	var tag cryptobyteasn1.Tag
	return inner.ReadAnyASN1Element(&one, &tag) && inner.Empty()
}

func marshalOID(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	if err != nil {
		panic(err) // They are constants, or were read.
	}
	return b
}

func marshalOctets(b []byte) []byte { return wrap(tagOctetString, b) }

func marshalVersion(n byte) []byte { return []byte{tagInteger, 1, n} }

// version reads a CMSVersion.
func (s *der) version(v *int) bool { return s.ReadASN1Integer(v) }

// Octets returns the OCTET STRING of b, in DER.
func Octets(b []byte) []byte { return marshalOctets(b) }

// Sequence returns the SEQUENCE of elements, in DER.
func Sequence(elements ...[]byte) []byte { return wrap(tagSequence, elements...) }
