// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package volatile

import "reflect"

// maxDepth bounds WipeObject's way through nested objects.
const maxDepth = 8

// WipeObject zeroes what p points to, and every slice and object that it owns
// through unexported fields too: the AEADs, hashes and private keys of other
// packages, which have no Wipe of their own. The object is of no use afterwards.
//
// It follows pointers, slices, arrays and struct fields, but no interface, map or
// string, so that it does not reach what objects share, such as a curve.
func WipeObject(p any) {
	v := reflect.ValueOf(p)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	wipeOwned(v.Elem(), maxDepth)
	v.Elem().SetZero()
}

// WipeFlat zeroes what p points to, and is quicker than WipeObject where that owns
// no other object, as AEADs do not.
func WipeFlat(p any) {
	if v := reflect.ValueOf(p); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero()
	}
}

// Restore sets what p points to, to what fresh points to, and so wipes a hash but
// leaves it usable. Both are pointers to the same type, which owns no other object.
func Restore(p, fresh any) {
	reflect.ValueOf(p).Elem().Set(reflect.ValueOf(fresh).Elem())
}

// wipeOwned zeroes the arrays and slices in v. reflect.Value.Clear does so where
// SetZero may not, in the unexported fields of other packages.
func wipeOwned(v reflect.Value, depth int) {
	if depth == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			wipeOwned(v.Elem(), depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			wipeOwned(v.Field(i), depth-1)
		}
	case reflect.Slice:
		wipeElements(v.Slice(0, v.Cap()), depth)
	case reflect.Array:
		if v.CanAddr() {
			wipeElements(v.Slice(0, v.Len()), depth)
		}
	}
}

func wipeElements(v reflect.Value, depth int) {
	if isPlain(v.Type().Elem()) {
		v.Clear()
		return
	}
	for i := range v.Len() {
		wipeOwned(v.Index(i), depth-1)
	}
}

// isPlain reports whether t is a number or an array of numbers.
func isPlain(t reflect.Type) bool {
	for t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t.Kind() <= reflect.Complex128
}
