// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// How many certificates a peer may show: where nothing else was said, and at most.
const (
	DefaultCertificates = 10
	MostCertificates    = 100
)

// What a peer's credential may cost, whatever it is.
const (
	maxCertificate = 64 << 10 // bytes in one of them
	maxExtension   = 32 << 10 // bytes in one extension of one of them
	maxChain       = 128 << 10
	minRSA, maxRSA = 2048, 8192 // bits of the modulus, RFC 9846, Appendix C.2
)

// A Peer is what the other side has shown. Whether it holds the private key is
// for Verify to say.
type Peer struct {
	Type Type
	SPKI []byte           // the DER SubjectPublicKeyInfo, of the leaf if it is X.509
	Key  crypto.PublicKey // what stands in it

	Entries [][]byte // as they were shown

	// Certificates are the leaf first, and those behind it that can be parsed. Nil for a
	// raw public key, and where the leaf itself cannot be parsed: see Flaw.
	Certificates []*x509.Certificate
	OCSPResponse []byte
	SCTs         [][]byte

	// Scheme is that of the signature by which the peer has proved its key, once it has.
	Scheme Scheme

	// PSKIdentity is the name of the external pre-shared key by which the peer is
	// known; nil for others. Nothing else is set then but PSKMark.
	PSKIdentity []byte

	// PSKMark tells that key from others that have had the same name.
	PSKMark [16]byte

	flaw error    // of the certificates; see Flaw
	pss  []Scheme // where the key has the RSASSA-PSS OID: the schemes that it allows
}

// errTooMany is about a chain that nobody said may be so long.
var errTooMany = alert.New(alert.BadCertificate, "the peer's chain has too many certificates")

// ParseShown is ParsePeer for a peer that may show so many certificates.
func ParseShown(t Type, entries [][]byte, most int) (*Peer, error) {
	if len(entries) > most {
		return nil, errTooMany
	}
	return ParsePeer(t, entries)
}

// ParsePeer reads the entries of a peer's Certificate message. It looks at what
// they would cost before it does anything costly. A peer whose certificates have a flaw
// is no error: for whom the key alone counts, see Flaw.
func ParsePeer(t Type, entries [][]byte) (*Peer, error) {
	total := 0
	for _, entry := range entries {
		total += len(entry)
	}
	switch {
	case len(entries) == 0:
		return nil, alert.New(alert.DecodeError, "the peer showed no credential")
	case len(entries) > MostCertificates:
		return nil, errTooMany
	case total > maxChain:
		return nil, alert.New(alert.BadCertificate, "the peer's chain is too large")
	}
	switch t {
	case RawPublicKey:
		return parseRawKey(entries)
	case X509:
		return parseChain(entries)
	}
	return nil, alert.New(alert.UnsupportedCertificate, "the peer's credential is of an unknown type")
}

// Flaw returns why a peer is refused by everything but a list of keys: a certificate that
// it showed cannot be parsed, or its leaf does not allow its key to sign (RFC 9846,
// Section 4.5.1.2). Nil if there is no reason.
func (p *Peer) Flaw() error {
	if p == nil {
		return nil
	}
	return p.flaw
}

// Pin returns the SHA-256 of the SubjectPublicKeyInfo.
func (p *Peer) Pin() [32]byte { return sha256.Sum256(p.SPKI) }

// parseRawKey reads a raw public key (RFC 7250). A key that cannot be parsed gets
// decode_error, as a certificate that cannot be parsed does: so do crypto/tls and
// BoringSSL. bad_certificate (RFC 9846, Section 6.2) is for one that can be read.
func parseRawKey(entries [][]byte) (*Peer, error) {
	if len(entries) > 1 {
		return nil, alert.New(alert.IllegalParameter, "the peer showed more than one raw public key")
	}
	spki := entries[0]
	key, err := parseKey(spki)
	if err != nil {
		return nil, alert.Wrap(alert.DecodeError, "the peer's raw public key was refused", veiled{"it cannot be parsed", err})
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if !canonical(spki, key) {
		return nil, alert.New(alert.DecodeError, "the peer's raw public key is not encoded in DER as it should be")
	}
	return &Peer{Type: RawPublicKey, Entries: entries, SPKI: spki, Key: key}, nil
}

// parseKey reads a SubjectPublicKeyInfo. That of Ed25519 has one encoding, which spares
// the parser.
func parseKey(spki []byte) (crypto.PublicKey, error) {
	if key, ok := bytes.CutPrefix(spki, []byte(ed25519Prefix)); ok && len(key) == ed25519.PublicKeySize {
		return ed25519.PublicKey(key), nil
	}
	return x509.ParsePKIXPublicKey(spki)
}

// What stands before the key in a SubjectPublicKeyInfo (RFC 8410, Section 4, and RFC
// 5480, Section 2).
const (
	ed25519Prefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"
	p256Prefix    = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
)

// canonical reports whether spki, in which key was found, is its one encoding in DER:
// a key that had others would have other pins.
func canonical(spki []byte, key crypto.PublicKey) bool {
	switch key := key.(type) {
	case ed25519.PublicKey:
		point, ok := bytes.CutPrefix(spki, []byte(ed25519Prefix))
		return ok && bytes.Equal(point, key)
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			break
		}
		encoded, err := key.Bytes()
		point, ok := bytes.CutPrefix(spki, []byte(p256Prefix))
		return err == nil && ok && bytes.Equal(point, encoded)
	}
	encoded, err := x509.MarshalPKIXPublicKey(key)
	return err == nil && bytes.Equal(spki, encoded)
}

// parseChain reads an X.509 chain. Of the certificates behind the leaf, which
// peers send in any order and with some that nobody needs (RFC 9846, Section
// 4.5.1), a key that is of no use is no error.
func parseChain(entries [][]byte) (*Peer, error) {
	p := &Peer{Type: X509, Entries: entries}
	for i, der := range entries {
		if len(der) > maxCertificate {
			return nil, alert.New(alert.BadCertificate, "a certificate of the peer's is too large")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			if p.flaw == nil {
				p.flaw = alert.Wrap(alert.DecodeError, "the peer's certificate was refused", veiled{"it, or one behind it, cannot be parsed", err})
			}
			continue
		}
		if err := checkCost(cert); err != nil {
			return nil, err
		}
		if i == 0 || len(p.Certificates) > 0 { // without the leaf, none is of use
			p.Certificates = append(p.Certificates, cert)
		}
	}
	if err := p.readLeaf(); err != nil {
		return nil, err
	}
	if p.flaw == nil {
		p.flaw = maySign(p.Certificates[0])
	}
	if err := checkKey(p.Key); err != nil {
		return nil, err
	}
	return p, nil
}

// checkCost refuses a certificate that it would cost too much to work with.
func checkCost(cert *x509.Certificate) error {
	for _, ext := range cert.Extensions {
		if len(ext.Value) > maxExtension {
			return alert.New(alert.BadCertificate, "a certificate of the peer's has too large an extension")
		}
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
		return alert.New(alert.UnsupportedCertificate, "a certificate of the peer's has too large an RSA key")
	}
	return nil
}

// readLeaf finds the peer's key, in a leaf that x509 cannot parse, too.
func (p *Peer) readLeaf() error {
	if len(p.Certificates) == 0 {
		var err error
		if p.SPKI = leafSPKI(p.Entries[0]); p.SPKI == nil {
			return p.flaw
		}
		if p.Key, p.pss = parsePSSKey(p.SPKI); p.Key != nil {
			return nil
		}
		if p.Key, err = parseKey(p.SPKI); err != nil {
			return p.flaw
		}
		return nil
	}
	leaf := p.Certificates[0]
	p.SPKI, p.Key = leaf.RawSubjectPublicKeyInfo, leaf.PublicKey
	if leaf.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm {
		p.Key, p.pss = parsePSSKey(p.SPKI)
	}
	return nil
}

// leafSPKI returns the SubjectPublicKeyInfo of a certificate (RFC 5280, Section 4.1), of
// which nothing else is looked at; nil if there is none.
func leafSPKI(der []byte) []byte {
	var cert, tbs, spki cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&cert, cryptobyteasn1.SEQUENCE) || !input.Empty() ||
		!cert.ReadASN1(&tbs, cryptobyteasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(explicit(0)) || // the version
		!tbs.SkipASN1(cryptobyteasn1.INTEGER) { // the serial number
		return nil
	}
	for range 4 { // the signature's algorithm, the issuer, the validity, the subject
		if !tbs.SkipASN1(cryptobyteasn1.SEQUENCE) {
			return nil
		}
	}
	if !tbs.ReadASN1Element(&spki, cryptobyteasn1.SEQUENCE) {
		return nil
	}
	return spki
}

// checkKey refuses keys of kinds and sizes that are not in use here, and those
// that anybody can sign for.
func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		if lowOrder(key) {
			return alert.New(alert.BadCertificate, "the peer's Ed25519 key is one for which everybody can sign")
		}
		return nil
	case *ecdsa.PublicKey:
		if schemesOf(key) != nil {
			return nil
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return alert.New(alert.UnsupportedCertificate, "the peer's RSA key does not have from 2048 to 8192 bits")
		}
		return nil
	}
	return alert.New(alert.UnsupportedCertificate, "the peer's key is of an unsupported kind")
}

// schemes are those in which the peer can sign a CertificateVerify.
func (p *Peer) schemes() []Scheme {
	if p.pss != nil {
		return p.pss
	}
	return schemesOf(p.Key)
}
