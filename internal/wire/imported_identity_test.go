// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// TestImportedIdentity has an identity of BoringSSL's test suite, and what is no
// identity.
func TestImportedIdentity(t *testing.T) {
	t.Parallel()
	const whole = "000f6b6579206f6620746865206d657368" + "000b0673656e736f7203687562" + "0304" + "0002"
	raw, err := hex.DecodeString(whole)
	if err != nil {
		t.Fatal(err)
	}
	roles := &RoleContext{Client: []byte("sensor"), Server: []byte("hub")}
	want := &ImportedIdentity{External: []byte("key of the mesh"), Context: roles.Marshal(), Protocol: 0x0304, KDF: KDFSHA384}
	if got := want.Marshal(); !bytes.Equal(got, raw) {
		t.Errorf("marshalled to %x", got)
	}
	if got, ok := ParseImportedIdentity(raw); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("parsed to %+v, %v", got, ok)
	}
	if got, ok := ParseRoleContext(want.Context); !ok || !reflect.DeepEqual(got, roles) {
		t.Errorf("the context is %+v, %v", got, ok)
	}
	for i := range raw {
		if _, ok := ParseImportedIdentity(raw[:i]); ok {
			t.Errorf("%d bytes of it are an identity", i)
		}
	}
	if _, ok := ParseImportedIdentity(append(bytes.Clone(raw), 0)); ok {
		t.Error("one byte more is an identity")
	}
	if _, ok := ParseImportedIdentity([]byte("\x00\x00\x00\x00\x03\x04\x00\x01")); ok {
		t.Error("the identity of no key is one")
	}
	for _, context := range []string{"", "\x00\x00", "\x00\x01s", "\x01c\x00", "\x01c\x01", "\x01c\x01s!", "\x01c", "\xffc"} {
		if got, ok := ParseRoleContext([]byte(context)); ok {
			t.Errorf("%q is a context: %+v", context, got)
		}
	}
	long := []byte(strings.Repeat("n", 1<<16))
	if got := (&ImportedIdentity{External: long}).Marshal(); got != nil {
		t.Errorf("a long identity has %d bytes", len(got))
	}
	if got := (&RoleContext{Client: long[:256], Server: long[:1]}).Marshal(); got != nil {
		t.Errorf("a long name gives %d bytes", len(got))
	}
}

// FuzzImportedIdentity shows that what is parsed is marshalled to the same bytes.
func FuzzImportedIdentity(f *testing.F) {
	f.Add([]byte("\x00\x01k\x00\x04\x01c\x01s\x03\x04\x00\x01"))
	f.Add([]byte("\x00\x01k\x00\x00\x03\x04\x00\x02"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, ok := ParseImportedIdentity(raw)
		if !ok {
			return
		}
		if !bytes.Equal(id.Marshal(), raw) {
			t.Errorf("%x is marshalled to %x", raw, id.Marshal())
		}
		if roles, ok := ParseRoleContext(id.Context); ok && !bytes.Equal(roles.Marshal(), id.Context) {
			t.Errorf("the context %x is marshalled to %x", id.Context, roles.Marshal())
		}
	})
}
