// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keyfile

import (
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// ParseSigner returns the one private key that signs in a text of PEM. It passes over
// certificates and public keys. An error goes on a sentence about the key, and holds
// nothing of the text.
func ParseSigner(text []byte) (crypto.Signer, error) {
	var signer crypto.Signer
	others := ""
	text = TrimMark(text)
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		defer volatile.Wipe(block.Bytes)
		key, other, err := parseBlock(block)
		switch {
		case err != nil:
			return nil, err
		case other != "":
			others = other
		case key != nil && signer != nil:
			return nil, errors.New("holds more than one private key")
		case key != nil:
			signer = key
		}
	}
	switch {
	case signer != nil:
		return signer, nil
	case others != "":
		return nil, errors.New("holds " + others)
	}
	return nil, errors.New("holds no private key in PEM: `mayfly keygen` makes one")
}

// parseBlock reads one block of PEM: a private key, or something else that it
// names.
func parseBlock(block *pem.Block) (key crypto.Signer, other string, err error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" || block.Headers["DEK-Info"] != "" {
		return nil, "", errors.New("holds an encrypted private key, and there is no way to give a passphrase: decrypt it first (openssl pkey -in … -out …)")
	}
	var parsed any
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PARAMETERS":
		return nil, "", nil // openssl ecparam writes them in front
	case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
		return nil, "a certificate and no private key: certificates go into Config.Certificates", nil
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, "a public key and no private key", nil
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return nil, "a certificate request and no private key", nil
	case "OPENSSH PRIVATE KEY":
		return nil, "", errors.New("holds a key in OpenSSH's format, not PKCS#8: `mayfly keygen` makes one of its own")
	case "DSA PRIVATE KEY":
		return nil, "", errors.New("holds a DSA key: an Identity is Ed25519, ECDSA or RSA")
	default:
		return nil, "something else than a private key", nil
	}
	if err != nil {
		// The error of crypto/x509 may quote what it has read.
		return nil, "", errors.New("holds a private key that is damaged or of an unknown kind")
	}
	if _, ok := parsed.(*ecdh.PrivateKey); ok { // package message's, beside the Identity's
		return nil, "a private key that cannot sign: an Identity is Ed25519, ECDSA or RSA", nil
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, "", errors.New("holds a private key that cannot sign: an Identity is Ed25519, ECDSA or RSA")
	}
	return signer, "", nil
}
