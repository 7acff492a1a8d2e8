// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSASSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSHA256    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// parsePSSKey reads an RSA key with the RSASSA-PSS OID, which crypto/x509 leaves
// alone, and says in which schemes it may sign (RFC 4055, Section 1.2): in all
// where its parameters are absent, and otherwise in the one that they name. The
// key is nil if this is something else.
func parsePSSKey(spki []byte) (crypto.PublicKey, []Scheme) {
	var info, algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	var bits asn1.BitString
	input := cryptobyte.String(spki)
	if !input.ReadASN1(&info, cryptobyteasn1.SEQUENCE) || !input.Empty() ||
		!info.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidRSASSAPSS) ||
		!info.ReadASN1BitString(&bits) || !info.Empty() {
		return nil, nil
	}
	key, err := x509.ParsePKCS1PublicKey(bits.RightAlign())
	if err != nil {
		return nil, nil
	}
	schemes := pssSchemes(key, algorithm)
	if schemes == nil {
		return nil, nil
	}
	return key, schemes
}

func pssSchemes(key *rsa.PublicKey, parameters []byte) []Scheme {
	var schemes []Scheme
	for _, s := range []struct {
		rsae, pss Scheme
		hash      asn1.ObjectIdentifier
	}{
		{PSSRSAESHA256, PSSPSSSHA256, oidSHA256},
		{PSSRSAESHA384, PSSPSSSHA384, oidSHA384},
		{PSSRSAESHA512, PSSPSSSHA512, oidSHA512},
	} {
		allowed := len(parameters) == 0 || isPSSParameters(parameters, s.hash, s.pss.hash().Size())
		if allowed && slices.Contains(schemesOf(key), s.rsae) {
			schemes = append(schemes, s.pss)
		}
	}
	return schemes
}

// isPSSParameters reports whether parameters are the RSASSA-PSS-params (RFC 4055,
// Section 3.1) of one hash, for MGF1 too, and a salt of no more than its size: they say how
// long a salt is at least, and that of TLS is as long as the hash. The hashes' default,
// SHA-1, is none of TLS 1.3's.
func isPSSParameters(parameters cryptobyte.String, hash asn1.ObjectIdentifier, size int) bool {
	var sequence, field, mgf cryptobyte.String
	var oid asn1.ObjectIdentifier
	salt, trailer := 20, 1 // the defaults
	return parameters.ReadASN1(&sequence, cryptobyteasn1.SEQUENCE) && parameters.Empty() &&
		sequence.ReadASN1(&field, explicit(0)) && readHash(&field, hash) && field.Empty() &&
		sequence.ReadASN1(&field, explicit(1)) &&
		field.ReadASN1(&mgf, cryptobyteasn1.SEQUENCE) && field.Empty() &&
		mgf.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidMGF1) && readHash(&mgf, hash) && mgf.Empty() &&
		readOptionalInteger(&sequence, 2, &salt) && 0 <= salt && salt <= size &&
		readOptionalInteger(&sequence, 3, &trailer) && trailer == 1 &&
		sequence.Empty()
}

// readOptionalInteger reads the field n into value, which keeps its default where the
// field is absent.
func readOptionalInteger(sequence *cryptobyte.String, n uint8, value *int) bool {
	var field cryptobyte.String
	var present bool
	return sequence.ReadOptionalASN1(&field, &present, explicit(n)) &&
		(!present || field.ReadASN1Integer(value) && field.Empty())
}

func explicit(n uint8) cryptobyteasn1.Tag {
	return cryptobyteasn1.Tag(n).ContextSpecific().Constructed()
}

// readHash reads an AlgorithmIdentifier that must name one hash, with parameters
// that are absent or NULL.
func readHash(s *cryptobyte.String, hash asn1.ObjectIdentifier) bool {
	var algorithm, null cryptobyte.String
	var oid asn1.ObjectIdentifier
	return s.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&oid) && oid.Equal(hash) &&
		(algorithm.Empty() || algorithm.ReadASN1(&null, cryptobyteasn1.NULL) && null.Empty() && algorithm.Empty())
}
