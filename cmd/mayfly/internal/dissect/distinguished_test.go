// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// TestName writes names with e-mail addresses as text, and escapes what would look like
// another attribute.
func TestName(t *testing.T) {
	name := func(addresses ...string) pkix.Name {
		n := pkix.Name{CommonName: "alice"}
		for _, a := range addresses {
			n.Names = append(n.Names, pkix.AttributeTypeAndValue{Type: oidEmailAddress, Value: a})
		}
		n.Names = append(n.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "alice"})
		return n
	}
	for want, n := range map[string]pkix.Name{
		"CN=alice": name(),
		"CN=alice,emailAddress=alice@example.com":                    name("alice@example.com"),
		"CN=alice,emailAddress=b@b.example,emailAddress=a@a.example": name("a@a.example", "b@b.example"),
		`CN=alice,emailAddress=x\,CN=bob`:                            name("x,CN=bob"),
	} {
		if got := Name(n); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
