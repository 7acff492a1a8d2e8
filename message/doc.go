// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package message seals files and mails for the holders of keys: each message has a
// fresh key of its own, which is wiped when the message is done. No connection is
// needed; who receives it opens it later.
//
// On the wire it is S/MIME 4.0 (RFC 8551): CMS AuthEnvelopedData (RFC 5083), with
// AES-GCM (RFC 5084) or ChaCha20-Poly1305 (RFC 8103), for recipients by X25519
// (RFC 8418) or ECDH on P-256 (RFC 5753); where it is signed, with SignedData inside
// (RFC 5652), by Ed25519 (RFC 8419), ECDSA or RSA-PSS. The signature covers the signer's
// certificate (RFC 5035). Open
// also verifies RSASSA-PKCS1-v1_5 of 2048 bits and more. So OpenSSL, Bouncy Castle and
// mail programs read and write it.
//
// A mayfly.Identity signs, and its pin is a hash: nothing can be sealed for either.
// So a Key goes with an Identity, which `mayfly keygen` makes beside it, and its
// public half, a Recipient, goes to whoever is to seal messages for it, as one
// string that begins with mfpub1. The Identity has signed it.
//
//	w, err := message.Seal(file, []*message.Recipient{to}, nil)
//	// write to w, and close it
//
//	m, err := message.Open(file, key, nil)
//	// read from m
//
// Open gives out no byte that has not been authenticated. As the tag stands at the end
// of a message, it reads a file twice, and keeps what cannot be read twice, still
// sealed, in memory or in a temporary file.
//
// With GODEBUG=fips140=only every function returns an error for which errors.Is(err,
// mayfly.ErrConfig) holds. With fips140=on the package works as without: docs/fips.md says
// which of its algorithms are approved.
//
// What a message hides is its content: not how long it is, nor for whom it is. Who
// learns a recipient's private key can open all that was ever sealed for it: unlike a
// connection's, these keys are not forgotten.
//
// The API of this package follows the version number (docs/stability.md).
package message
