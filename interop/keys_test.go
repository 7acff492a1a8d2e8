// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

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
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// serverName is the name in each certificate, beside the address ::1. No test resolves it.
const serverName = "localhost"

// A keyKind is a kind of signature key.
type keyKind string

const (
	ecdsaP256 keyKind = "ECDSA P-256"
	ecdsaP384 keyKind = "ECDSA P-384"
	ecdsaP521 keyKind = "ECDSA P-521"
	edwards   keyKind = "Ed25519"
	rsaPSS    keyKind = "RSA-PSS"
)

// An identity is a key in each of the forms in which some program wants it.
type identity struct {
	key  crypto.Signer
	cert tls.Certificate // issued by the run's one authority
	pin  string          // as curl and mayfly write it

	keyFile, certFile, spkiFile string // PEM
}

// A keyring makes the keys of a run and the one authority behind them, and
// keeps them in a folder of its own.
type keyring struct {
	dir    string
	key    *ecdsa.PrivateKey
	ca     *x509.Certificate
	caFile string
	pool   *x509.CertPool

	mu         sync.Mutex
	identities map[string]*identity
}

func newKeyring(dir string) (*keyring, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate("interop authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	k := &keyring{dir: dir, key: key, ca: ca, pool: x509.NewCertPool(), identities: make(map[string]*identity)}
	k.pool.AddCert(ca)
	k.caFile, err = k.write("ca.pem", "CERTIFICATE", der)
	return k, err
}

// identity is the key of one kind that name, a side of a connection, has.
func (k *keyring) identity(kind keyKind, name role) (*identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	file := fmt.Sprintf("%s %s", name, kind)
	if id, ok := k.identities[file]; ok {
		return id, nil
	}
	id, err := k.issue(kind, file)
	if err != nil {
		return nil, fmt.Errorf("make the %s's %s key: %w", name, kind, err)
	}
	k.identities[file] = id
	return id, nil
}

func (k *keyring) issue(kind keyKind, file string) (*identity, error) {
	key, err := generateKey(kind)
	if err != nil {
		return nil, err
	}
	template := newTemplate(serverName)
	template.DNSNames, template.IPAddresses = []string{serverName}, []net.IP{net.IPv6loopback}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca, key.Public(), k.key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := &identity{
		key:  key,
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pin:  pinOf(spki),
	}
	if id.keyFile, err = k.write(file+".key", "PRIVATE KEY", pkcs8); err != nil {
		return nil, err
	}
	if id.certFile, err = k.write(file+".pem", "CERTIFICATE", der); err != nil {
		return nil, err
	}
	id.spkiFile, err = k.write(file+".pub", "PUBLIC KEY", spki)
	return id, err
}

// staple is the authority's word that a certificate is good.
func (k *keyring) staple(t *testing.T, id *identity) []byte {
	t.Helper()
	leaf, err := x509.ParseCertificate(id.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	response, err := ocsp.CreateResponse(k.ca, k.ca, ocsp.Response{
		Status: ocsp.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour),
	}, k.key)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (k *keyring) write(name, blockType string, der []byte) (string, error) {
	path := filepath.Join(k.dir, name)
	return path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600)
}

func generateKey(kind keyKind) (crypto.Signer, error) {
	switch kind {
	case ecdsaP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ecdsaP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ecdsaP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case edwards:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case rsaPSS:
		return rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("no key of kind %q", kind)
	}
}

func newTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

// pinOf writes the SHA-256 of a SubjectPublicKeyInfo as curl --pinnedpubkey does.
func pinOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return "sha256//" + base64.StdEncoding.EncodeToString(sum[:])
}
