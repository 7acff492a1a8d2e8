// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

func greased(c *Config) { c.GREASE = true }

// TestGREASE looks for the values of RFC 8701 in what a client sends, at once and after
// a HelloRetryRequest, where what is not a key share stays the same.
func TestGREASE(t *testing.T) {
	t.Parallel()
	for _, retry := range []bool{false, true} {
		server := func(c *Config) {
			if retry {
				c.Groups = []kex.Group{kex.P256}
			}
		}
		p := newPair(t, clientConfig(greased), serverConfig(server))
		var hellos []*wire.ClientHello
		p.tamper = func(from Role, raw []byte) [][]byte {
			if from == Client && wire.MessageType(raw[0]) == wire.ClientHelloType {
				hello, err := wire.ParseClientHello(raw)
				if err != nil {
					t.Fatal(err)
				}
				hellos = append(hellos, hello)
			}
			return [][]byte{raw}
		}
		p.mustSucceed(t)
		first := hellos[0]
		for name, list := range map[string][]uint16{
			"suites": first.CipherSuites, "versions": first.SupportedVersions, "groups": first.SupportedGroups, "schemes": first.SignatureAlgorithms,
			"shares": {first.KeyShares[0].Group},
		} {
			if !isGREASE(list[0]) || slices.ContainsFunc(list[1:], isGREASE) {
				t.Errorf("%s: %x", name, list)
			}
		}
		if first.KeyShares[0].Group != first.SupportedGroups[0] {
			t.Error("a share of a group that is not offered")
		}
		found := 0
		var ech []byte
		for _, ext := range first.Other {
			if isGREASE(ext.Type) {
				found++
			}
			if ext.Type == wire.ExtEncryptedClientHello {
				ech = ext.Data
			}
		}
		if found != 2 || len(ech) < 1+2+2+1+2+32+2+144 || ech[0] != 0 {
			t.Errorf("%d extensions, and %x", found, ech)
		}
		if retry {
			second := hellos[1]
			if len(second.KeyShares) != 1 || !slices.EqualFunc(first.Other, second.Other, func(a, b wire.Extension) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) }) {
				t.Errorf("the second: %+v", second)
			}
		}
	}
	for random := range 256 {
		if v := greaseValue(byte(random)); !isGREASE(v) {
			t.Errorf("%#x", v)
		}
	}
	for _, v := range []uint16{0, 0x1301, 0x0a1a, 0x0b0b, 0xfafb} {
		if isGREASE(v) {
			t.Errorf("%#x", v)
		}
	}
}

// TestGREASEChosen has a server choose what means nothing.
func TestGREASEChosen(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name    string
		message wire.MessageType
		server  func(*Config)
		edit    func(hello *wire.ClientHello, raw []byte) []byte
		code    alert.Code
	}{
		{"a group", wire.ServerHelloType, func(c *Config) { c.Groups = []kex.Group{kex.P256} }, func(hello *wire.ClientHello, raw []byte) []byte {
			return with(wire.ExtKeyShare, string([]byte{byte(hello.SupportedGroups[0] >> 8), byte(hello.SupportedGroups[0])}))(raw)
		}, alert.IllegalParameter},
		{"an extension", wire.EncryptedExtensionsType, func(*Config) {}, func(hello *wire.ClientHello, raw []byte) []byte {
			i := slices.IndexFunc(hello.Other, func(ext wire.Extension) bool { return isGREASE(ext.Type) })
			return with(hello.Other[i].Type, "")(raw)
		}, alert.UnsupportedExtension},
		{"no list of configurations", wire.EncryptedExtensionsType, func(*Config) {}, func(_ *wire.ClientHello, raw []byte) []byte {
			return with(wire.ExtEncryptedClientHello, "\xba\xdd")(raw)
		}, alert.DecodeError},
	} {
		p := newPair(t, clientConfig(greased), serverConfig(r.server))
		var hello *wire.ClientHello
		p.tamper = func(from Role, raw []byte) [][]byte {
			switch {
			case from == Client && hello == nil:
				hello, _ = wire.ParseClientHello(raw)
			case from == Server && wire.MessageType(raw[0]) == r.message:
				raw = r.edit(hello, slices.Clone(raw))
			}
			return [][]byte{raw}
		}
		t.Run(r.name, func(t *testing.T) { p.mustFail(t, Client, r.code) })
	}
}
