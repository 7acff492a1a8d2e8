// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"maps"
	"reflect"
	"slices"
	"testing"
)

// TestWipeKeys pins what the private keys of the standard library hold, and that
// Wipe clears all of it. An upgrade that changes them has to be looked at.
func TestWipeKeys(t *testing.T) {
	t.Parallel()
	x25519 := []string{"privateKey", "publicKey.publicKey"}
	nist := append([]string{"fips.d", "fips.pub.q", "publicKey.fips.q"}, x25519...)
	for g, want := range map[Group][]string{
		X25519: x25519,
		P256:   nist,
		P384:   nist,
		P521:   nist,
		MLKEM1024: {
			"key.d", "key.z", "key.ρ", "key.h", "key.encryptionKey1024.t", "key.encryptionKey1024.a", "key.decryptionKey1024.s",
		},
		X25519MLKEM768: append([]string{
			"key.d", "key.z", "key.ρ", "key.h", "key.encryptionKey.t", "key.encryptionKey.a", "key.decryptionKey.s",
		}, x25519...),
	} {
		k, err := Generate(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		var leaves map[string]reflect.Value
		switch k := k.(type) {
		case *ecdhKey:
			leaves = collect(t, k.key)
		case *kemKey:
			leaves = collect(t, k.kem)
		case *hybridKey:
			leaves = collect(t, k.kem)
			maps.Copy(leaves, collect(t, k.x.key))
		}
		if got := slices.Sorted(maps.Keys(leaves)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%v: the key holds %v, want %v", g, got, want)
		}
		for path, leaf := range leaves {
			if isZero(leaf) {
				t.Errorf("%v: nothing in %s", g, path)
			}
		}
		k.Wipe()
		wantZero(t, leaves)
	}
}

// collect returns the slices and arrays of numbers that p points to, through what
// it owns, by path.
func collect(t *testing.T, p any) map[string]reflect.Value {
	t.Helper()
	leaves := map[string]reflect.Value{}
	collectInto(t, leaves, "", reflect.ValueOf(p))
	return leaves
}

func collectInto(t *testing.T, leaves map[string]reflect.Value, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collectInto(t, leaves, path, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			collectInto(t, leaves, name, v.Field(i))
		}
	case reflect.Slice:
		leaves[path] = v.Slice(0, v.Cap())
	case reflect.Array:
		leaves[path] = v.Slice(0, v.Len())
	case reflect.Interface, reflect.String:
		// The curve, which all keys share.
		if name := path[max(0, len(path)-len("curve")):]; name != "curve" {
			t.Errorf("%s is new: a %v", path, v.Type())
		}
	default:
		t.Errorf("%s is new: a %v, which nothing wipes", path, v.Type())
	}
}

func wantZero(t *testing.T, leaves map[string]reflect.Value) {
	t.Helper()
	for path, leaf := range leaves {
		if !isZero(leaf) {
			t.Errorf("%s is still there", path)
		}
	}
}

func isZero(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !isZero(v.Index(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}
