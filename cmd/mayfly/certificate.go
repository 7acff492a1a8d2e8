// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
)

// loadCertificate reads an X.509 chain, the leaf first, and the leaf's private key. Its key
// file is held to what an identity's is: what tls.LoadX509KeyPair takes, others may read,
// and of one that is encrypted it says only that it cannot be parsed.
func loadCertificate(certFile, keyFile string) (tls.Certificate, error) {
	id, err := mayfly.LoadIdentity(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	text, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(text) // the key may be in the same file
	cert := tls.Certificate{PrivateKey: id}
	for block, rest := pem.Decode(keyfile.TrimMark(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		} else {
			clear(block.Bytes)
		}
	}
	if len(cert.Certificate) == 0 {
		return tls.Certificate{}, fmt.Errorf("%s holds no certificate in PEM", certFile)
	}
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", certFile, err)
	}
	if key, ok := cert.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(id.Public()) {
		return tls.Certificate{}, fmt.Errorf("the key in %s does not match the first certificate in %s", keyFile, certFile)
	}
	return cert, nil
}
