// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Key opens messages. It is the encryption key of an Identity, or one for which
// there is a certificate. It prints as its pin. It may be used for many messages at
// the same time, until Wipe.
type Key struct{ held *heldKey }

// A heldKey is behind a pointer, which is all that fmt prints where it asks no method.
type heldKey struct {
	identity *mayfly.Identity // nil if there is none
	private  []*agreement
}

// An agreement is one private key, and what those who seal may know it by.
type agreement struct {
	key *ecdh.PrivateKey
	ids []cms.Recipient
}

// NewKey makes a new X25519 key for an Identity. MarshalPEM saves both.
func NewKey(id *mayfly.Identity) (*Key, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	if id == nil || id.Public() == nil {
		return nil, errors.New("message: a Key needs an Identity")
	}
	var key *ecdh.PrivateKey
	var err error
	volatile.Do(func() { key, err = ecdh.X25519().GenerateKey(rand.Reader) })
	if err != nil {
		return nil, fmt.Errorf("message: no key could be made: %w", err)
	}
	return &Key{&heldKey{identity: id, private: []*agreement{newAgreement(key)}}}, nil
}

// LoadKey reads the private keys in a PEM file, as ParseKey does. On Unix, a file
// that others than its owner may read or write is refused.
func LoadKey(path string) (*Key, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	text, err := keyfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("message: the key %w", err)
	}
	defer volatile.Wipe(text)
	k, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("message: the key %s %w", path, err)
	}
	return k, nil
}

// ParseKey reads what is in PEM: an Identity and its X25519 key, as `mayfly keygen` and
// MarshalPEM write them; or an X25519 or P-256 key (PKCS#8 or SEC 1) and the
// certificates for it, if there are any. Encrypted keys are refused.
func ParseKey(pemText []byte) (*Key, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	k, err := parseKey(pemText)
	if err != nil {
		return nil, fmt.Errorf("message: the key %w", err)
	}
	return k, nil
}

// Identity returns the Identity that the Key belongs to, nil if there is none.
func (k *Key) Identity() *mayfly.Identity { return k.get().identity }

// Recipient returns the public half of the Key: what others need to seal for it. It is
// an error where the Key has no Identity, or no X25519 key.
func (k *Key) Recipient() (*Recipient, error) {
	id, key := k.get().identity, k.x25519()
	if id == nil || key == nil {
		return nil, errors.New("message: the key has no identity, or no encryption key beside it: others seal for its certificate")
	}
	signature, err := signRaw(id, bindingText(key.PublicKey().Bytes()))
	if err != nil {
		return nil, fmt.Errorf("message: the identity did not sign its encryption key: %w", err)
	}
	return newRecipient(id.Public(), key.PublicKey(), signature)
}

// Certificates returns the Key's X25519 key in a certificate, which the Identity has
// signed, and the Identity's own, in DER, for those who seal with other programs.
// They do not expire.
func (k *Key) Certificates() (encryption, identity []byte, err error) {
	id, key := k.get().identity, k.x25519()
	if id == nil || key == nil {
		return nil, nil, errors.New("message: the key has no identity, or no encryption key beside it")
	}
	issuer, err := id.SelfSigned()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(rawID(key.PublicKey()).KeyID[:16]),
		Subject:      pkix.Name{CommonName: "mayfly encryption"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // never: RFC 5280, Section 4.1.2.5
		KeyUsage:     x509.KeyUsageKeyAgreement,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		SubjectKeyId: rawID(key.PublicKey()).KeyID,
	}
	if encryption, err = certify(template, issuer.Leaf, key.PublicKey(), id); err != nil {
		return nil, nil, fmt.Errorf("message: the certificate cannot be made: %w", err)
	}
	return encryption, issuer.Certificate[0], nil
}

// certify makes a certificate of an X25519 key, which x509.CreateCertificate refuses
// to. So it makes one of an Ed25519 key of the same bytes, puts the right key in its
// place, and signs that.
func certify(template, issuer *x509.Certificate, key *ecdh.PublicKey, signer crypto.Signer) ([]byte, error) {
	stand := ed25519.PublicKey(key.Bytes())
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, stand, signer)
	if err != nil {
		return nil, err
	}
	old, err := x509.MarshalPKIXPublicKey(stand)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var cert struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	cert.TBS.FullBytes = bytes.Replace(cert.TBS.FullBytes, old, spki, 1)
	signature, err := signRaw(signer, cert.TBS.FullBytes)
	if err != nil {
		return nil, err
	}
	cert.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(cert)
}

// MarshalPEM returns the private keys as PKCS#8 in PEM: the Identity's, if there is
// one, and the others. Write it to a file of mode 0600.
func (k *Key) MarshalPEM() ([]byte, error) {
	var parts [][]byte
	defer func() {
		for _, p := range parts {
			volatile.Wipe(p)
		}
	}()
	if id := k.get().identity; id != nil {
		text, err := id.MarshalPEM()
		if err != nil {
			return nil, err
		}
		parts = append(parts, text)
	}
	for _, a := range k.get().private {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("message: the private key cannot be encoded: %w", err)
		}
		parts = append(parts, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		volatile.Wipe(der)
	}
	return bytes.Join(parts, nil), nil
}

// AgeIdentity returns the X25519 private key as the age tool knows it,
// "AGE-SECRET-KEY-1…", and "" if there is none. It is a secret, and a string, which
// cannot be wiped.
func (k *Key) AgeIdentity() string {
	key := k.x25519()
	if key == nil {
		return ""
	}
	scalar := key.Bytes()
	defer volatile.Wipe(scalar)
	return strings.ToUpper(encodeBech32("age-secret-key-", scalar, bech32))
}

// Wipe destroys the encryption keys. The Identity lives on.
func (k *Key) Wipe() {
	if k == nil || k.held == nil {
		return
	}
	for _, a := range k.held.private {
		volatile.WipeObject(a.key)
	}
	k.held.private = nil
}

// String returns the pin of the Key's Identity, if there is one, and nothing of the
// Key. So do the other methods by which values are printed.
func (k Key) String() string {
	if id := k.get().identity; id != nil {
		return "message.Key(" + id.Pin().String() + ")"
	}
	return "message.Key"
}

// GoString is String.
func (k Key) GoString() string { return k.String() }

// Format writes String, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k *Key) get() *heldKey {
	if k == nil || k.held == nil {
		return new(heldKey)
	}
	return k.held
}

// x25519 is the Key's first X25519 key.
func (k *Key) x25519() *ecdh.PrivateKey {
	for _, a := range k.get().private {
		if a.key.Curve() == ecdh.X25519() {
			return a.key
		}
	}
	return nil
}

// newAgreement knows a key by the identifiers that can be computed from it.
func newAgreement(key *ecdh.PrivateKey) *agreement {
	short := sha1.Sum(key.PublicKey().Bytes()) // RFC 5280, Section 4.2.1.2; no signature hangs on it
	return &agreement{key: key, ids: []cms.Recipient{rawID(key.PublicKey()), {KeyID: short[:]}}}
}

// parseKey reads the blocks of PEM. The text of its errors follows "the key" or a path.
func parseKey(text []byte) (*Key, error) {
	held := new(heldKey)
	var certificates []*x509.Certificate
	all := keyfile.TrimMark(text)
	for text := all; ; {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		defer volatile.Wipe(block.Bytes)
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("is encrypted, and there is no way to give a passphrase: decrypt it first (openssl pkey -in … -out …)")
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, errors.New("stands beside a certificate that is damaged")
			}
			certificates = append(certificates, cert)
		case block.Type == "PRIVATE KEY" || block.Type == "EC PRIVATE KEY":
			if err := held.add(block); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range held.private {
		for _, cert := range certificates {
			if key, err := agreementKey(cert); err == nil && key.Equal(a.key.PublicKey()) {
				a.ids = append(a.ids, certificateID(cert))
				if len(cert.SubjectKeyId) > 0 {
					a.ids = append(a.ids, cms.Recipient{KeyID: cert.SubjectKeyId})
				}
			}
		}
	}
	if len(held.private) == 0 {
		if held.identity != nil {
			if _, isRSA := held.identity.Public().(*rsa.PublicKey); isRSA {
				return nil, errors.New(keyfile.IsRSA)
			}
		} else if says := keyfile.Foreign(all); says != "" {
			return nil, errors.New(says)
		}
		return nil, errors.New("has no encryption key: `mayfly keygen` makes one beside a new identity, and `mayfly keygen --add` beside one that is there")
	}
	return &Key{held}, nil
}

// add takes a private key: one that signs for the Identity, and X25519 and P-256 keys
// to open with.
func (h *heldKey) add(block *pem.Block) error {
	parse := x509.ParsePKCS8PrivateKey
	if block.Type == "EC PRIVATE KEY" {
		parse = func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) }
	}
	parsed, err := parse(block.Bytes)
	if err != nil {
		return errors.New("is damaged, or of an unknown kind") // err may quote what it has read
	}
	switch key := parsed.(type) {
	case *ecdh.PrivateKey:
		if key.Curve() != ecdh.X25519() {
			return errors.New("is neither X25519 nor on P-256")
		}
		h.private = append(h.private, newAgreement(key))
		return nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return errors.New("is neither X25519 nor on P-256")
		}
		agree, err := key.ECDH()
		if err != nil {
			return errors.New("is damaged, or of an unknown kind")
		}
		h.private = append(h.private, newAgreement(agree))
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return errors.New("is of an unknown kind")
	}
	if h.identity != nil {
		return errors.New("is one of several that sign")
	}
	if h.identity, err = mayfly.NewIdentity(signer); err != nil {
		return errors.New("is neither X25519, Ed25519 nor on P-256")
	}
	return nil
}
