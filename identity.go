// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An Identity is a program's own key: Ed25519, ECDSA or RSA. It prints as its pin,
// never as the key. It does not change and may be used by many Configs at the same
// time.
type Identity struct {
	// It is behind a pointer, as the pointer is all that fmt prints where it
	// asks no method: for a %p, say.
	key *identityKey
}

type identityKey struct {
	signer crypto.Signer
	spki   []byte
	pin    Pin
}

// GenerateIdentity makes a new Ed25519 key. MarshalPEM saves it.
func GenerateIdentity() (*Identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("mayfly: no key could be made: %w", err)
	}
	return NewIdentity(key)
}

// LoadIdentity reads the private key in a PEM file, as ParseIdentity does. On
// Unix, a file that others than its owner may read or write is refused. A file of root
// may be readable by its group where the process is not root, as a Kubernetes secret is.
func LoadIdentity(path string) (*Identity, error) {
	text, err := keyfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the identity %w", err)
	}
	defer volatile.Wipe(text)
	id, err := parseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the identity %s %w", path, err)
	}
	return id, nil
}

// ParseIdentity reads a private key, of the kinds of NewIdentity, in PEM: PKCS#8
// ("PRIVATE KEY", as `mayfly keygen`, MarshalPEM and openssl genpkey write it) or
// SEC 1 ("EC PRIVATE KEY"). Certificates and public keys beside it are passed
// over. Encrypted keys are refused.
func ParseIdentity(pemText []byte) (*Identity, error) {
	id, err := parseIdentity(pemText)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the identity %w", err)
	}
	return id, nil
}

// parseIdentity returns errors that go on a sentence about the identity.
func parseIdentity(text []byte) (*Identity, error) {
	signer, err := keyfile.ParseSigner(text)
	if err != nil {
		return nil, err
	}
	id, err := NewIdentity(signer)
	if err != nil {
		return nil, errors.New("holds a private key of an unknown kind or a size that is not in use: an Identity is Ed25519, ECDSA, or RSA from 2048 bits")
	}
	return id, nil
}

// NewIdentity makes an Identity of a private key, or of something that signs with
// one: a hardware module, an agent. Its key is Ed25519, ECDSA on P-256, P-384 or P-521,
// or RSA of 2048 to 8192 bits. Not every peer that knows raw public keys knows all of
// these: Ed25519 and P-256 are the ones to make.
func NewIdentity(signer crypto.Signer) (*Identity, error) {
	if signer == nil {
		return nil, errors.New("mayfly: NewIdentity needs a key")
	}
	switch key := signer.(type) {
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize {
			return nil, errors.New("mayfly: NewIdentity was given an Ed25519 key of the wrong length")
		}
	case *ecdsa.PrivateKey:
		if key == nil {
			return nil, errors.New("mayfly: NewIdentity needs a key")
		}
	}
	pub := signer.Public()
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return nil, errors.New("mayfly: NewIdentity was given an Ed25519 key of the wrong length")
		}
	case *ecdsa.PublicKey:
		if c := pub.Curve; c != elliptic.P256() && c != elliptic.P384() && c != elliptic.P521() {
			return nil, errors.New("mayfly: an ECDSA key of an Identity is on P-256, P-384 or P-521")
		}
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, errors.New("mayfly: an RSA key of an Identity has from 2048 to 8192 bits")
		}
	default:
		return nil, errors.New("mayfly: the key of an Identity is Ed25519, ECDSA or RSA")
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the public key cannot be encoded: %w", err)
	}
	return &Identity{&identityKey{signer: signer, spki: spki, pin: sha256.Sum256(spki)}}, nil
}

// The RSA keys that are in use, in bits.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Pin returns what others write down to know this Identity by.
func (id *Identity) Pin() Pin { return id.held().pin }

// Public returns the public key: an ed25519.PublicKey, an *ecdsa.PublicKey or an
// *rsa.PublicKey.
func (id *Identity) Public() crypto.PublicKey { return id.held().signer.Public() }

// Sign makes an Identity a crypto.Signer, which package message signs with: digest
// is the message itself for an Ed25519 key. A nil random is crypto/rand.
//
// A program that signs something of its own should begin it with what says so. What
// an Identity signs in TLS begins with 64 spaces.
func (id *Identity) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if random == nil {
		random = rand.Reader
	}
	sign := func() { signature, err = id.held().signer.Sign(random, digest, opts) }
	switch id.held().signer.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey, *rsa.PrivateKey:
		volatile.Do(sign) // the nonce of a signature gives away the key
	default:
		sign() // a device's or an agent's
	}
	return signature, err
}

// PublicPEM returns the public key as a SubjectPublicKeyInfo in PEM ("PUBLIC
// KEY").
func (id *Identity) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: id.held().spki})
}

// MarshalPEM returns the private key as PKCS#8 in PEM, as LoadIdentity reads it.
// Write it to a file of mode 0600. It is an error where the key is not in memory
// but in what NewIdentity was given.
func (id *Identity) MarshalPEM() ([]byte, error) {
	switch id.held().signer.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey, *rsa.PrivateKey:
	default:
		return nil, errors.New("mayfly: the private key is held elsewhere and cannot be written out")
	}
	der, err := x509.MarshalPKCS8PrivateKey(id.held().signer)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the private key cannot be encoded: %w", err)
	}
	defer volatile.Wipe(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// SelfSigned wraps the Identity's key in a certificate that it signs itself, for
// peers that know no raw public keys (crypto/tls, curl) and go by the pin, or have
// the certificate among their roots. names, host names and IP addresses, are those
// that it is for; there need not be any. It does not expire: whom its key stands
// for is for the pin's holder to say.
func (id *Identity) SelfSigned(names ...string) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          nil, // CreateCertificate draws one
		Subject:               pkix.Name{CommonName: "mayfly"},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // never: RFC 5280, Section 4.1.2.5
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if id.key == nil {
		return tls.Certificate{}, errNoKey
	}
	for _, name := range names {
		if name == "" {
			return tls.Certificate{}, errors.New("mayfly: SelfSigned was given an empty name")
		}
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, id.Public(), id.held().signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("mayfly: the certificate cannot be made: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("mayfly: the certificate cannot be made: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: id.held().signer, Leaf: leaf}, nil
}

// String returns the Identity's pin, and nothing of its key. So do the other
// methods by which values are printed.
func (id Identity) String() string { return "mayfly.Identity(" + id.held().pin.String() + ")" }

// GoString is String.
func (id Identity) GoString() string { return id.String() }

// Format writes String, whatever the verb.
func (id Identity) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, id.String()) }

// LogValue is String.
func (id Identity) LogValue() slog.Value { return slog.StringValue(id.String()) }

// credential is the Identity as a raw public key.
func (id *Identity) credential() *credential.Credential {
	return &credential.Credential{
		Type:    credential.RawPublicKey,
		Entries: [][]byte{id.held().spki},
		Signer:  id.held().signer,
	}
}

// held is the key. That of a zero Identity is one that nobody accepts.
func (id Identity) held() *identityKey {
	if id.key == nil {
		return &identityKey{signer: noKey{}}
	}
	return id.key
}

// noKey is the signer of a zero Identity.
type noKey struct{}

var errNoKey = errors.New("mayfly: a zero Identity has no key: GenerateIdentity, LoadIdentity and NewIdentity make one")

func (noKey) Public() crypto.PublicKey { return nil }

func (noKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errNoKey }
