// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/rand"
	"maps"
	"reflect"
	"slices"
	"testing"
)

// TestWipeKeys pins what the private keys of circl and the standard library hold, and
// that Wipe clears all of it. An upgrade that changes them has to be looked at.
func TestWipeKeys(t *testing.T) {
	t.Parallel()
	x25519 := []string{"privateKey", "publicKey.publicKey"}
	nist := append([]string{"fips.d", "fips.pub.q", "publicKey.fips.q"}, x25519...)
	circlKEM := []string{"sk.sh", "pk.rho", "pk.th", "pk.aT", "hpk", "z"}
	for _, c := range []struct {
		implementation
		group Group
		want  []string
	}{
		{standard, X25519, x25519},
		{standard, P256, nist},
		{standard, P384, nist},
		{standard, P521, nist},
		{standard, MLKEM1024, []string{
			"key.key.d", "key.key.z", "key.key.ρ", "key.key.h",
			"key.key.encryptionKey1024.t", "key.key.encryptionKey1024.a", "key.key.decryptionKey1024.s",
		}},
		{standard, X25519MLKEM768, []string{
			"key.key.d", "key.key.z", "key.key.ρ", "key.key.h",
			"key.key.encryptionKey.t", "key.key.encryptionKey.a", "key.key.decryptionKey.s",
		}},
		{circl, MLKEM1024, circlKEM},
		{circl, X25519MLKEM768, circlKEM},
	} {
		k, err := c.generate(c.group, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		var leaves map[string]reflect.Value
		switch k := k.(type) {
		case *ecdhKey:
			leaves = collect(t, k.key)
		case *kemKey:
			leaves = collect(t, k.private)
		case *hybridKey:
			leaves = collect(t, k.kem.private)
		}
		if got := slices.Sorted(maps.Keys(leaves)); !slices.Equal(got, slices.Sorted(slices.Values(c.want))) {
			t.Errorf("%v: the key holds %v, want %v", c.group, got, c.want)
		}
		for path, leaf := range leaves {
			if isZero(leaf) {
				t.Errorf("%v: nothing in %s", c.group, path)
			}
		}
		k.Wipe()
		wantZero(t, leaves)
	}
}

// TestWipeX25519 shows that circl's X25519 works on the scalar where it is, and that both
// it and a hybrid wipe that.
func TestWipeX25519(t *testing.T) {
	t.Parallel()
	x, err := circl.generate(X25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := circl.generate(X25519MLKEM768, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []PrivateKey{x, hybrid} {
		own, ok := k.(*x25519Key)
		if !ok {
			own = k.(*hybridKey).x.(*x25519Key)
		}
		scalar := own.scalar.Bytes()
		if isZero(reflect.ValueOf(scalar)) {
			t.Errorf("%v: no scalar", k.Group())
		}
		k.Wipe()
		if !isZero(reflect.ValueOf(scalar)) {
			t.Errorf("%v: the scalar is still there", k.Group())
		}
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
