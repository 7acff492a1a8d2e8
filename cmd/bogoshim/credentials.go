// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/mayfly-tls/mayfly"
)

// A witness is a key that notes that it was used, which says which credential was
// chosen.
type witness struct {
	crypto.Signer
	number   int
	selected *atomic.Int32
}

func (w witness) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.selected.Store(int32(w.number))
	return w.Signer.Sign(random, digest, opts)
}

// install puts the credentials into a Config, the one that is not numbered last, and
// returns those of pre-shared keys.
func (c *connection) install(config *mayfly.Config) (psks []*mayfly.PresharedKey, err error) {
	for i := range c.flags.credentials {
		cred := &c.flags.credentials[i]
		if cred.kind == "psk" {
			key, err := cred.presharedKey(c.flags.server)
			if err != nil {
				return nil, err
			}
			psks = append(psks, key)
			c.pskNumbers[string(cred.pskIdentity)] = i
			continue
		}
		if err := c.installOne(config, cred, i); err != nil {
			return nil, err
		}
	}
	if f := c.flags; f.defaultCredential.keyFile != "" {
		return psks, c.installOne(config, &f.defaultCredential, -1)
	}
	return psks, nil
}

func (c *connection) installOne(config *mayfly.Config, cred *credential, number int) error {
	key, err := readKey(cred.keyFile)
	if err != nil {
		return err
	}
	signer := witness{key, number, &c.selected}
	var schemes []tls.SignatureScheme
	for _, scheme := range cred.signingPrefs {
		schemes = append(schemes, tls.SignatureScheme(scheme))
	}
	if cred.kind == "rpk" {
		identity, err := mayfly.NewIdentity(signer)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnimplemented, err)
		}
		config.Credentials = append(config.Credentials, mayfly.Credential{Identity: identity, SignatureSchemes: schemes})
		return nil
	}
	cert, err := cred.certificate(signer)
	if err != nil {
		return err
	}
	if f := c.flags; f.useOCSPCallback && f.setOCSPInCallback {
		stapled := *cert
		config.GetCertificate = func(context.Context, *mayfly.ClientHello) (*tls.Certificate, error) { return &stapled, nil }
		cert.OCSPStaple = nil
	} else if f.useOCSPCallback && f.declineOCSPCallback {
		cert.OCSPStaple = nil
	}
	issuers := mayfly.IgnoreIssuers
	if cred.mustMatchIssuer {
		issuers = mayfly.RequireIssuers
	}
	config.Credentials = append(config.Credentials, mayfly.Credential{Certificate: cert, SignatureSchemes: schemes, Issuers: issuers})
	return nil
}

// certificate reads a chain.
func (cred *credential) certificate(signer crypto.Signer) (*tls.Certificate, error) {
	chain, err := readPEM(cred.certFile, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: chain, PrivateKey: signer, OCSPStaple: cred.ocspResponse}
	if cred.scts != nil {
		cert.SignedCertificateTimestamps, err = splitSCTs(cred.scts)
	}
	return cert, err
}

// presharedKey imports a key.
func (cred *credential) presharedKey(server bool) (*mayfly.PresharedKey, error) {
	newKey := mayfly.NewImportedClientKey
	if server {
		newKey = mayfly.NewImportedServerKey
	}
	return newKey(string(cred.pskIdentity), cred.pskKey, cred.pskHash, cred.pskContext)
}

// readKey reads a private key.
func readKey(file string) (crypto.Signer, error) {
	blocks, err := readPEM(file, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	if len(blocks) != 1 {
		return nil, errors.New("bogoshim: a key's file must hold one key")
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a key that cannot sign", errUnimplemented)
	}
	return signer, nil
}
