// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vectors

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
)

// A file is one of Wycheproof's.
type file struct {
	NumberOfTests int
	TestGroups    []group
}

type group struct {
	IVSize, KeySize, TagSize int
	PublicKeyDER             bytes
	PublicKeyASN             bytes
	PublicKey                struct{ Uncompressed, PK bytes }
	Tests                    []vector
}

// A vector has the members of all kinds of tests; each kind uses some.
type vector struct {
	TcID    int
	Comment string
	Flags   []string
	Result  string

	Public, Private, Shared bytes // key agreement
	Msg, Sig                bytes // signatures
	Key, IV, AAD, CT, Tag   bytes // AEADs
	Seed, EK, C, K, M       bytes // KEMs
	IKM, Salt, Info, OKM    bytes // HKDF
	Size                    int
}

func (v *vector) has(flag string) bool { return slices.Contains(v.Flags, flag) }

// bytes are written in hexadecimal.
type bytes []byte

func (b *bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// each calls f with every vector of a file, and checks that it has seen them all:
// valid, acceptable and invalid ones, so many at least.
func each(t *testing.T, name string, least int, f func(t *testing.T, g *group, v *vector)) {
	t.Helper()
	t.Parallel()
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var all file
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, g := range all.TestGroups {
		for _, v := range g.Tests {
			seen++
			f(t, &g, &v)
		}
	}
	if seen != all.NumberOfTests || seen < least {
		t.Errorf("%s: %d vectors were seen of %d", name, seen, all.NumberOfTests)
	}
}
