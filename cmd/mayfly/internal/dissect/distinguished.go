// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
)

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1} // PKCS #9

// Name is a distinguished name as text (RFC 2253). E-mail addresses in it are readable:
// pkix.Name writes numbers for their type, and in Go 1.26 for their value.
func Name(n pkix.Name) string {
	text := n.String()
	for _, a := range n.Names {
		value, ok := a.Value.(string)
		if !ok || !a.Type.Equal(oidEmailAddress) {
			continue
		}
		der, err := asn1.Marshal(value)
		if err != nil {
			continue
		}
		// The text of a name of one attribute, whose value pkix escapes.
		escaped := pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}}}.String()
		escaped = strings.TrimPrefix(escaped, "CN=")
		for _, value := range []string{"#" + hex.EncodeToString(der), escaped} { // as Go 1.26 has it, and Go 1.27
			text = strings.ReplaceAll(text, oidEmailAddress.String()+"="+value, "emailAddress="+escaped)
		}
	}
	return text
}
