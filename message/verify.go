// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

// A Signature says who has signed a message. It has been verified with the key that
// it names; whose key that is, the pin says, or a chain that is yet to be verified.
type Signature struct {
	Pin mayfly.Pin
	Key crypto.PublicKey

	// Certificate is the signer's; an Identity has signed its own. Certificates are
	// others that came with the message, in no order. It omits those with RSA keys of
	// more than 8192 bits, which are costly, and those that the signer's
	// SigningCertificate attribute excludes from the chain. Open verifies none of them.
	Certificate  *x509.Certificate
	Certificates []*x509.Certificate

	// CertificateBound reports whether the signature covers Certificate: the signer named
	// it by a SHA-2 hash, in a SigningCertificateV2 attribute (RFC 5035, Section 3). Every
	// Signer of this package does. If it is false, only Key and Pin are sure. A party that
	// passes the message on, such as a recipient, can replace Certificate by another for
	// the same key, with another name. An attribute with SHA-1 (RFC 2634, Section 5.4) is
	// checked too, but does not count here, as SHA-1 is open to collisions.
	CertificateBound bool

	// Time is when the signer says to have signed; the zero Time if it does not.
	Time time.Time
}

// SignedBy returns a function for OpenOptions.Accept that takes the signatures of keys
// with one of these pins.
func SignedBy(pins ...mayfly.Pin) func(*Signature) error {
	pins = slices.Clone(pins)
	return func(s *Signature) error {
		found := 0
		for _, p := range pins {
			found |= subtle.ConstantTimeCompare(p[:], s.Pin[:])
		}
		if found == 0 {
			return because(ErrNotAuthentic, "it is signed, but by nobody who is accepted")
		}
		return nil
	}
}

// SignedUnder returns a function for OpenOptions.Accept that takes the signatures of
// certificates with a chain to roots that is valid at a time, for e-mail protection
// or for any purpose. Who the certificate names is for the caller to check. That name is
// the signer's own choice only if [Signature.CertificateBound] is true.
func SignedUnder(roots *x509.CertPool, at time.Time) func(*Signature) error {
	return func(s *Signature) error {
		pool := x509.NewCertPool()
		for _, c := range s.Certificates {
			pool.AddCert(c)
		}
		_, err := s.Certificate.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: pool, CurrentTime: at,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		})
		if err != nil { // its text is full of names that the signer chose
			return because(ErrNotAuthentic, "it is signed, but no accepted authority stands behind the signer's certificate")
		}
		return nil
	}
}

const (
	maxCertificates = 10   // in one message
	maxRSA          = 8192 // bits of a key that certificates are verified with
)

// verify reads a SignedData, verifies its signature, and returns a source of what is
// signed. The source must be one that does not change, or whose changes are errors.
func verify(src source, bare bool) (*Signature, source, error) {
	r, err := src()
	if err != nil {
		return nil, nil, unsigned(err, bare)
	}
	d := cms.NewDecoder(r)
	signed, c, err := cms.ReadSigned(d, bare)
	if err != nil {
		return nil, nil, unsigned(err, bare)
	}
	digests := make(map[crypto.Hash]hash.Hash)
	var all []io.Writer
	for _, a := range signed.Digests {
		if h := hashByID(a.ID); h != 0 && digests[h] == nil {
			digests[h] = h.New()
			all = append(all, digests[h])
		}
	}
	if _, err := io.CopyBuffer(io.MultiWriter(all...), c.Pass(d), make([]byte, 64<<10)); err != nil {
		return nil, nil, err
	}
	if err := signed.ReadTail(d, bare); err != nil {
		return nil, nil, err
	}
	s, err := verifySigner(signed, digests)
	if err != nil {
		return nil, nil, err
	}
	again := func() (io.Reader, error) {
		r, err := src.from(c.Offset)
		if err != nil {
			return nil, err
		}
		return c.Reader(r), nil
	}
	return s, again, nil
}

// unsigned is the error of something that should be a signed mail, and is none at all.
func unsigned(err error, bare bool) error {
	for _, e := range []error{ErrDamaged, ErrTruncated, ErrUnsupported, cms.ErrSyntax, cms.ErrTruncated, cms.ErrContentType} {
		if !bare && errors.Is(err, e) && err != errApart {
			return ErrNotSigned
		}
	}
	return err
}

// verifySigner is RFC 5652, Section 5.6. It wants signed attributes: without them, a
// signature of something else (of a TLS handshake, of attributes) could be passed off
// as one of a message.
func verifySigner(signed *cms.Signed, digests map[crypto.Hash]hash.Hash) (*Signature, error) {
	if len(signed.Signers) != 1 {
		return nil, because(ErrUnsupported, "it does not have one signer")
	}
	signer := &signed.Signers[0]
	if signer.Attrs == nil {
		return nil, because(ErrUnsupported, "its signature has no signed attributes")
	}
	attrs, ok := cms.ParseAttributes(signer.Attrs)
	if !ok {
		return nil, ErrDamaged
	}
	named := signingCertificates(attrs.SigningCertificates)
	if err := named.check(); err != nil {
		return nil, err
	}
	s, err := findSigner(signed, signer, named)
	if err != nil {
		return nil, err
	}
	digest := digests[hashByID(signer.Digest.ID)]
	if digest == nil {
		return nil, because(ErrUnsupported, "its signature is made with an unknown hash")
	}
	check := signatureCheck(s.Key, signer)
	if check == nil {
		return nil, because(ErrUnsupported, "its signature is made with an algorithm that is not supported")
	}
	if !attrs.ContentType.Equal(cms.OIDData) || subtle.ConstantTimeCompare(digest.Sum(nil), attrs.MessageDigest) != 1 ||
		!check(signer.Attrs, signer.Signature) {
		return nil, because(ErrNotAuthentic, "its signature is wrong")
	}
	s.Time = attrs.SigningTime
	return s, nil
}

// findSigner finds the certificate that the signer names, in the SignerInfo and in signed
// attributes, and checks its key.
func findSigner(signed *cms.Signed, signer *cms.Signer, named signingCertificates) (*Signature, error) {
	if len(signed.Certificates) > maxCertificates {
		return nil, because(ErrTooLarge, "it holds more than ten certificates")
	}
	s := &Signature{CertificateBound: named.bind()}
	replaced := false
	for _, der := range signed.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		isSigner := byName(signer, cert)
		if s.Certificate != nil || !isSigner || !named.name(cert) {
			replaced = replaced || isSigner
			if key, ok := cert.PublicKey.(*rsa.PublicKey); named.allow(cert) && (!ok || key.N.BitLen() <= maxRSA) {
				s.Certificates = append(s.Certificates, cert)
			}
			continue
		}
		peer, err := credential.ParsePeer(credential.X509, [][]byte{der})
		if err != nil || len(peer.Certificates) == 0 {
			return nil, because(ErrUnsupported, "the signer's key is of a kind or size that is not accepted")
		}
		s.Certificate, s.Key, s.Pin = cert, peer.Key, peer.Pin()
	}
	if s.Certificate == nil && replaced {
		return nil, because(ErrNotAuthentic, "its signature was made for another certificate of the signer than the one in it")
	}
	if s.Certificate == nil {
		return nil, because(ErrUnsupported, "it is signed, but the signer's certificate is not in it")
	}
	if u := s.Certificate.KeyUsage; u != 0 && u&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return nil, because(ErrNotAuthentic, "the signer's certificate does not allow its key to sign")
	}
	return s, nil
}

// signatureCheck returns the function that checks a signature with the algorithm that s
// names. It returns nil for an algorithm that is not supported, or does not fit the key or
// the hash.
func signatureCheck(key crypto.PublicKey, s *cms.Signer) func(text, signature []byte) bool {
	hash, id := hashByID(s.Digest.ID), s.Scheme.ID
	if hash == 0 {
		return nil
	}
	digest := func(text []byte) []byte { return sum(hash, text) }
	switch key := key.(type) {
	case ed25519.PublicKey: // RFC 8419, Section 3.1
		if id.Equal(cms.OIDEd25519) && s.Scheme.Parameters == nil && hash == crypto.SHA512 {
			return func(text, signature []byte) bool { return ed25519.Verify(key, text, signature) }
		}
	case *ecdsa.PublicKey: // RFC 5753, Section 2.1
		want := map[crypto.Hash]asn1.ObjectIdentifier{
			crypto.SHA256: cms.OIDECDSAWithSHA256, crypto.SHA384: cms.OIDECDSAWithSHA384, crypto.SHA512: cms.OIDECDSAWithSHA512,
		}[hash]
		if id.Equal(want) {
			return func(text, signature []byte) bool { return ecdsa.VerifyASN1(key, digest(text), signature) }
		}
	case *rsa.PublicKey:
		if isPKCS1v15(s, hash) {
			return func(text, signature []byte) bool {
				return rsa.VerifyPKCS1v15(key, hash, digest(text), signature) == nil
			}
		}
		if salt, ok := pssSalt(s, hash); ok {
			return func(text, signature []byte) bool {
				return rsa.VerifyPSS(key, hash, digest(text), signature, &rsa.PSSOptions{SaltLength: salt, Hash: hash}) == nil
			}
		}
	}
	return nil
}

// isPKCS1v15 reports whether s names RSASSA-PKCS1-v1_5 with hash: RFC 3370, Section 3.2,
// and RFC 5754, Section 3.2. The parameters are NULL, or absent.
func isPKCS1v15(s *cms.Signer, hash crypto.Hash) bool {
	if p := s.Scheme.Parameters; p != nil && !bytes.Equal(p, asn1.NullBytes) {
		return false
	}
	want := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: cms.OIDSHA256WithRSA, crypto.SHA384: cms.OIDSHA384WithRSA, crypto.SHA512: cms.OIDSHA512WithRSA,
	}[hash]
	return s.Scheme.ID.Equal(cms.OIDRSAEncryption) || s.Scheme.ID.Equal(want)
}

// pssSalt returns the length of the salt where s names RSASSA-PSS with hash, also as that
// of the mask: RFC 4056, Section 3.
func pssSalt(s *cms.Signer, hash crypto.Hash) (length int, ok bool) {
	var p pssParams
	rest, err := asn1.Unmarshal(s.Scheme.Parameters, &p)
	if !s.Scheme.ID.Equal(cms.OIDRSASSAPSS) || err != nil || len(rest) > 0 || p.Trailer != 1 || p.Salt < 0 ||
		hashByID(p.Hash.Algorithm) != hash || !p.MGF.Algorithm.Equal(cms.OIDMGF1) {
		return 0, false
	}
	mgf, ok := cms.ParseAlgorithm(p.MGF.Parameters.FullBytes)
	return p.Salt, ok && hashByID(mgf.ID) == hash
}

func hashByID(id asn1.ObjectIdentifier) crypto.Hash {
	switch {
	case id.Equal(cms.OIDSHA256):
		return crypto.SHA256
	case id.Equal(cms.OIDSHA384):
		return crypto.SHA384
	case id.Equal(cms.OIDSHA512):
		return crypto.SHA512
	}
	return 0
}
