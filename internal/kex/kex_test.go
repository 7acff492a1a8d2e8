// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/curve25519"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/testvec"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	for g, want := range map[Group]struct {
		code                      uint16
		name                      string
		clientShare, serverShare  int
		secret, randomC, randomsS int
	}{
		P256:           {0x0017, "secp256r1", 65, 65, 32, 32, 32},
		X25519:         {0x001d, "x25519", 32, 32, 32, 32, 32},
		X25519MLKEM768: {0x11ec, "X25519MLKEM768", 1216, 1120, 64, 96, 32},
	} {
		if uint16(g) != want.code || g.String() != want.name || !g.Supported() {
			t.Errorf("%#x is %v", uint16(g), g)
		}
		clientRandom, serverRandom := &counter{}, &counter{}
		client, err := Generate(g, clientRandom)
		if err != nil {
			t.Fatal(err)
		}
		share, serverSecret, err := Respond(g, serverRandom, client.Share())
		if err != nil {
			t.Fatal(err)
		}
		clientSecret, err := client.Agree(share)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(clientSecret.Bytes(), serverSecret.Bytes()) {
			t.Errorf("%v: the sides do not agree", g)
		}
		if client.Group() != g || len(client.Share()) != want.clientShare || len(share) != want.serverShare || clientSecret.Len() != want.secret {
			t.Errorf("%v: shares of %d and %d bytes, secret of %d", g, len(client.Share()), len(share), clientSecret.Len())
		}
		if clientRandom.n != want.randomC || serverRandom.n != want.randomsS {
			t.Errorf("%v: took %d and %d random bytes", g, clientRandom.n, serverRandom.n)
		}
	}
	if all := All(); len(all) != 3 || all[0] != X25519MLKEM768 || all[1] != X25519 || all[2] != P256 {
		t.Errorf("All is %v", all)
	}
}

func TestUnsupportedGroup(t *testing.T) {
	t.Parallel()
	g := Group(0x0018)
	if g.Supported() || g.String() != "group(0x18)" {
		t.Errorf("%v is supported: %v", g, g.Supported())
	}
	_, err := Generate(g, nil)
	wantAlert(t, err, alert.InternalError)
	_, _, err = Respond(g, nil, make([]byte, 97))
	wantAlert(t, err, alert.InternalError)
}

// TestNilRandom checks that crypto/rand.Reader stands in for no random.
func TestNilRandom(t *testing.T) {
	t.Parallel()
	for _, g := range All() {
		a, err := Generate(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Generate(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a.Share(), b.Share()) {
			t.Errorf("%v: two keys are one", g)
		}
		if _, _, err := Respond(g, nil, a.Share()); err != nil {
			t.Error(err)
		}
	}
}

// TestRFC7748 has the vectors of RFC 7748, Sections 5.2 and 6.1.
func TestRFC7748(t *testing.T) {
	t.Parallel()
	for _, v := range [][3]string{
		{
			"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
		},
		{
			"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
		},
		{ // Alice's private key, Bob's public key, their shared secret
			"77076d0a7318a57d3c16c17251b26645c6db85a1b3c8d4d4d4c2e3a5b0d2e4c2",
			"", "",
		},
		{
			"77076d0a7318a57d3c16c17251b26645df1f4f3bb4f9a5b4c4b5f0b8a5c8d0a6",
			"", "",
		},
	}[:2] {
		k, err := NewX25519(unhex(t, v[0]))
		if err != nil {
			t.Fatal(err)
		}
		secret, err := k.Agree(unhex(t, v[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(secret.Bytes()); got != v[2] {
			t.Errorf("X25519(%s, %s) = %s, want %s", v[0], v[1], got, v[2])
		}
	}
}
