// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package keyfile

import (
	"bytes"
	"encoding/pem"
)

// Foreign says what kind of key a file holds that opens no message: as a text that follows
// the file's name, with what to do. It is empty where the kind is not known. It copies no
// secret.
func Foreign(text []byte) string {
	text = TrimMark(text)
	for marker, says := range map[string]string{
		"BEGIN OPENSSH PRIVATE KEY":        isSSH,
		"PuTTY-User-Key-File-":             isSSH,
		"BEGIN SSH2 ENCRYPTED PRIVATE KEY": isSSH,
		"BEGIN RSA PRIVATE KEY":            IsRSA,
		"BEGIN DSA PRIVATE KEY":            "is a DSA key, which opens nothing" + makeOne,
		"BEGIN PGP":                        "is a key of OpenPGP: gpg opens messages for it" + makeOne,
		"AGE-SECRET-KEY-":                  "is an identity of the age tool: age -d -i opens files for it" + makeOne,
		"AGE-PLUGIN-":                      "is an identity of the age tool: age -d -i opens files for it" + makeOne,
	} {
		if at := bytes.Index(text, []byte(marker)); at >= 0 && (at == 0 || !isWord(text[at-1])) {
			return says
		}
	}
	for _, prefix := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return "is a public key of SSH: a message is opened with a private key" + makeOne
		}
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		clear(block.Bytes)
		switch block.Type {
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return "is a public key: a message is opened with the private key"
		case "CERTIFICATE", "TRUSTED CERTIFICATE":
			return "is a certificate without its private key: put both into one file"
		}
	}
	if len(text) > 4 && text[0] == 0x30 && text[1] >= 0x80 { // a SEQUENCE of DER
		return "is in a binary format: openssl pkcs12 -in … -nodes converts PKCS#12 (.p12, .pfx), and openssl pkey -inform DER -in … a key in DER"
	}
	return ""
}

const makeOne = "; `mayfly keygen` makes a key for messages"

// IsRSA is what Foreign says of an RSA key.
const IsRSA = "is an RSA key, and messages are opened with X25519 and P-256 keys: openssl cms -decrypt opens messages for RSA keys" + makeOne

const isSSH = "is a key of SSH, and messages are opened with X25519 and P-256 keys: age -d -i opens files in the age format for SSH keys" + makeOne

func isWord(b byte) bool { return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' }
