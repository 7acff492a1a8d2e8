// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Signer signs messages. It may be used for many at the same time.
type Signer struct {
	key          crypto.Signer
	certificates [][]byte
	id           cms.Recipient
	scheme       scheme
	certificate  cms.SigningCertificate
}

// NewSigner returns the Signer that an Identity is. Messages carry its public key in a
// certificate that it signs itself; others know it by its pin.
func NewSigner(id *mayfly.Identity) (*Signer, error) {
	if id == nil {
		return nil, errors.New("message: a Signer needs an Identity")
	}
	cert, err := id.SelfSigned()
	if err != nil {
		return nil, err
	}
	cert.PrivateKey = id
	return CertificateSigner(cert)
}

// CertificateSigner returns the Signer of a certificate and its private key: Ed25519,
// ECDSA, or RSA, which signs with RSASSA-PSS. Messages carry its whole chain. The
// signature covers the SHA-256 hash of the certificate (RFC 5035, Section 3).
func CertificateSigner(cert tls.Certificate) (*Signer, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok || len(cert.Certificate) == 0 {
		return nil, errors.New("message: a Signer needs a certificate and a private key that signs")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, errors.New("message: the Signer's certificate cannot be parsed")
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, errors.New("message: the Signer's certificate is for another key")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return nil, errors.New("message: the Signer's certificate does not allow its key to sign")
	}
	s, ok := schemeOf(key.Public())
	if !ok {
		return nil, errors.New("message: the Signer's key is neither Ed25519, ECDSA on P-256, P-384 or P-521, nor RSA of 2048 bits or more")
	}
	hash := sha256.Sum256(leaf.Raw)
	named := cms.CertificateHash{Hash: cms.OIDSHA256, Value: hash[:], ID: certificateID(leaf)}
	return &Signer{
		key: key, certificates: cert.Certificate, id: certificateID(leaf), scheme: s,
		certificate: cms.SigningCertificate{V2: true, Certificates: []cms.CertificateHash{named}},
	}, nil
}

// A scheme is how a kind of key signs a message: the digest of the content, the hash
// of what is signed (0: none), and the signature algorithm.
type scheme struct {
	digest   crypto.Hash
	digestID asn1.ObjectIdentifier
	hash     crypto.Hash
	options  crypto.SignerOpts
	id       cms.Algorithm
}

// schemeOf is RFC 8419, Section 3.1; RFC 5754, Section 3.3; RFC 4056, Section 3.
func schemeOf(key crypto.PublicKey) (scheme, bool) {
	ecdsaWith := func(hash crypto.Hash, hashID, id asn1.ObjectIdentifier) (scheme, bool) {
		return scheme{hash, hashID, hash, hash, cms.Algorithm{ID: id}}, true
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		return scheme{crypto.SHA512, cms.OIDSHA512, 0, crypto.Hash(0), cms.Algorithm{ID: cms.OIDEd25519}}, true
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return ecdsaWith(crypto.SHA256, cms.OIDSHA256, cms.OIDECDSAWithSHA256)
		case elliptic.P384():
			return ecdsaWith(crypto.SHA384, cms.OIDSHA384, cms.OIDECDSAWithSHA384)
		case elliptic.P521():
			return ecdsaWith(crypto.SHA512, cms.OIDSHA512, cms.OIDECDSAWithSHA512)
		}
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return scheme{}, false
		}
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		return scheme{crypto.SHA256, cms.OIDSHA256, crypto.SHA256, options, cms.Algorithm{ID: cms.OIDRSASSAPSS, Parameters: pssParameters()}}, true
	}
	return scheme{}, false
}

// A pssParams is RSASSA-PSS-params of RFC 4055, Section 3.1.
type pssParams struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	Salt    int                      `asn1:"explicit,tag:2"`
	Trailer int                      `asn1:"optional,explicit,tag:3,default:1"`
}

// pssParameters are those with SHA-256.
func pssParameters() []byte {
	hash := pkix.AlgorithmIdentifier{Algorithm: cms.OIDSHA256, Parameters: asn1.NullRawValue}
	der, err := asn1.Marshal(hash)
	if err != nil {
		panic(err) // It is a constant.
	}
	b, err := asn1.Marshal(pssParams{
		Hash:    hash,
		MGF:     pkix.AlgorithmIdentifier{Algorithm: cms.OIDMGF1, Parameters: asn1.RawValue{FullBytes: der}},
		Salt:    sha256.Size,
		Trailer: 1,
	})
	if err != nil {
		panic(err) // It is a constant.
	}
	return b
}

// A signing is the SignedData that is being written.
type signing struct {
	signer *Signer
	time   time.Time
	digest hash.Hash
	signed cms.Signed
}

// newSigning returns a writer that puts the signed content on w.
func newSigning(w io.WriteCloser, signer *Signer, at time.Time) *contentWriter {
	s := &signing{signer: signer, time: at, digest: signer.scheme.digest.New()}
	s.signed.Digests = []cms.Algorithm{{ID: signer.scheme.digestID}}
	return newContentWriter(w, s)
}

func (s *signing) seal(dst, part []byte) error {
	s.digest.Write(part)
	copy(dst, part)
	return nil
}

func (s *signing) head() []byte { return s.signed.Frame(cms.Indefinite).Head }

// finish is RFC 5652, Section 5.4 and 5.5, and RFC 8551, Section 2.5.
func (s *signing) finish(length int64) (cms.Frame, error) {
	attrs := cms.Attributes{
		ContentType: cms.OIDData, MessageDigest: s.digest.Sum(nil), SigningTime: s.time,
		SigningCertificates: []cms.SigningCertificate{s.signer.certificate},
	}.Marshal()
	signature, err := s.signer.scheme.sign(s.signer.key, attrs)
	if err != nil {
		return cms.Frame{}, fmt.Errorf("message: the signer's key did not sign: %w", err)
	}
	s.signed.Certificates = s.signer.certificates
	s.signed.Signers = []cms.Signer{{
		Recipient: s.signer.id,
		Digest:    s.signed.Digests[0],
		Attrs:     attrs,
		Scheme:    s.signer.scheme.id,
		Signature: signature,
	}}
	return s.signed.Frame(length), nil
}

func (s *signing) wipe() {}

func (s *scheme) sign(key crypto.Signer, text []byte) (signature []byte, err error) {
	digest := text
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(text)
		digest = h.Sum(nil)
	}
	sign := func() { signature, err = key.Sign(rand.Reader, digest, s.options) }
	switch key.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey, *rsa.PrivateKey:
		volatile.Do(sign)
	default:
		sign() // an Identity, which does the same, or a device's or an agent's
	}
	return signature, err
}

// signRaw signs text with the key of an Identity.
func signRaw(key crypto.Signer, text []byte) ([]byte, error) {
	s, ok := schemeOf(key.Public())
	if !ok {
		return nil, errors.New("message: the key cannot sign")
	}
	return s.sign(key, text)
}

// verifyRaw verifies what signRaw returns.
func verifyRaw(key crypto.PublicKey, text, signature []byte) bool {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, text, signature)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(text)
		return ecdsa.VerifyASN1(key, digest[:], signature)
	}
	return false
}
