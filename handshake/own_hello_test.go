// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A rawHello is a ClientHello in pieces, taken apart by nobody's parser but this.
type rawHello struct {
	version, random, session, suites, compression []byte
	order                                         []wire.ExtensionType
	extensions                                    map[wire.ExtensionType][]byte
}

func takeApart(t *testing.T, raw []byte) *rawHello {
	t.Helper()
	if len(raw) < 4 || raw[0] != 1 || len(raw)-4 != int(raw[1])<<16|int(raw[2])<<8|int(raw[3]) {
		t.Fatalf("no ClientHello: %x", raw[:4])
	}
	b := raw[4:]
	next := func(n int) []byte { v := b[:n]; b = b[n:]; return v }
	h := &rawHello{extensions: make(map[wire.ExtensionType][]byte)}
	h.version, h.random = next(2), next(32)
	h.session = next(int(next(1)[0]))
	h.suites = next(int(binary.BigEndian.Uint16(next(2))))
	h.compression = next(int(next(1)[0]))
	if n := binary.BigEndian.Uint16(next(2)); int(n) != len(b) {
		t.Fatal("something stands behind the extensions")
	}
	for len(b) > 0 {
		e := wire.ExtensionType(binary.BigEndian.Uint16(next(2)))
		if _, ok := h.extensions[e]; ok {
			t.Errorf("extension %v is there twice", e)
		}
		h.order = append(h.order, e)
		h.extensions[e] = next(int(binary.BigEndian.Uint16(next(2))))
	}
	return h
}

// groups returns those of supported_groups, and those of key_share with the shares.
func (h *rawHello) groups() (named, shared []uint16, shares [][]byte) {
	for b := h.extensions[wire.ExtSupportedGroups][2:]; len(b) > 0; b = b[2:] {
		named = append(named, binary.BigEndian.Uint16(b))
	}
	for b := h.extensions[wire.ExtKeyShare][2:]; len(b) > 0; {
		n := int(binary.BigEndian.Uint16(b[2:]))
		shared, shares = append(shared, binary.BigEndian.Uint16(b)), append(shares, b[4:4+n])
		b = b[4+n:]
	}
	return named, shared, shares
}

// TestOwnClientHello looks at what our ClientHello must and must not hold, whatever the
// Config: RFC 9846, Sections 4.2.2, 4.3 and 9.2.
func TestOwnClientHello(t *testing.T) {
	t.Parallel()
	safe := newSafe("alpha")
	early := newSafe("beta").edit(func(p *PSK) { p.MaxEarlyData = 100 })
	never := []wire.ExtensionType{
		4,  // truncated_hmac
		17, // status_request_v2
		wire.ExtCookie, wire.ExtOIDFilters,
		49, // post_handshake_auth
	}
	for name, edit := range map[string]func(*Config){
		"default":   func(*Config) {},
		"classical": classical,
		"mutual":    mutual,
		"limited":   limited,
		"protocols": alpn,
		"P-256":     func(c *Config) { c.Groups = []kex.Group{kex.P256} },
		"shares":    func(c *Config) { c.KeyShares = []kex.Group{kex.X25519, kex.P256} },
		"no share":  noShare,
		"raw keys":  func(c *Config) { c.PeerTypes = bothTypes },
		"PSK":       safe.offered,
		"early":     func(c *Config) { early.offered(c); c.EarlyData = true },
		"tickets":   func(c *Config) { c.OfferTickets = true },
		"anonymous": func(c *Config) { c.ServerName, c.Credentials = "", []*credential.Credential{} },
	} {
		t.Run(name, func(t *testing.T) {
			var hellos []*rawHello
			for range 2 {
				c, err := NewClient(clientConfig(edit))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Wipe()
				events, err := c.Start()
				if err != nil {
					t.Fatal(err)
				}
				hellos = append(hellos, takeApart(t, events[0].(Send).Messages))
			}
			h, other := hellos[0], hellos[1]
			if !bytes.Equal(h.version, []byte{3, 3}) || !bytes.Equal(h.compression, []byte{0}) || len(h.session) != 32 {
				t.Errorf("version %x, compression %x, session of %d bytes", h.version, h.compression, len(h.session))
			}
			if bytes.Equal(h.random, other.random) || bytes.Equal(h.session, other.session) {
				t.Error("two connections have the same random or session ID")
			}
			if !bytes.Equal(h.extensions[wire.ExtSupportedVersions], []byte{2, 3, 4}) {
				t.Errorf("supported_versions %x", h.extensions[wire.ExtSupportedVersions])
			}
			for _, e := range never {
				if _, ok := h.extensions[e]; ok {
					t.Errorf("extension %v", e)
				}
			}
			for _, e := range []wire.ExtensionType{wire.ExtSignatureAlgorithms, wire.ExtSupportedGroups, wire.ExtKeyShare} {
				if _, ok := h.extensions[e]; !ok {
					t.Errorf("no extension %v", e)
				}
			}
			h.checkShares(t, other)
			h.checkPSK(t)
		})
	}
}

// checkShares holds the shares against the groups, and those of another hello.
func (h *rawHello) checkShares(t *testing.T, other *rawHello) {
	t.Helper()
	named, shared, shares := h.groups()
	_, _, others := other.groups()
	at := -1
	for i, g := range shared {
		place := slices.Index(named, g)
		if place <= at || len(shares[i]) == 0 {
			t.Errorf("shares of %x, groups %x", shared, named)
		}
		at = place
		if bytes.Equal(shares[i], others[i]) {
			t.Errorf("the share of %x is that of another connection", g)
		}
	}
	slices.Sort(named)
	if len(slices.Compact(named)) != len(named) {
		t.Errorf("a group is named twice: %x", named)
	}
	for _, g := range named {
		if !kex.Group(g).Supported() {
			t.Errorf("group %x is named, and not supported", g)
		}
	}
}

// checkPSK looks at pre_shared_key and what goes with it.
func (h *rawHello) checkPSK(t *testing.T) {
	t.Helper()
	psk, offered := h.extensions[wire.ExtPreSharedKey]
	modes, listed := h.extensions[wire.ExtPSKKeyExchangeModes]
	if listed && !bytes.Equal(modes, []byte{1, 1}) {
		t.Errorf("modes %x: psk_dhe_ke alone is to be listed", modes)
	}
	if _, early := h.extensions[wire.ExtEarlyData]; early && !offered {
		t.Error("early_data without pre_shared_key")
	}
	if !offered {
		return
	}
	if !listed || h.order[len(h.order)-1] != wire.ExtPreSharedKey {
		t.Error("pre_shared_key is not last, or has no modes")
	}
	n := int(binary.BigEndian.Uint16(psk[2:]))
	if age := psk[4+n : 8+n]; !bytes.Equal(age, make([]byte, 4)) {
		t.Errorf("the age of an external key is %x", age)
	}
}

// TestSameShareTwice has a client use its share for two connections, which RFC 8446
// allowed. Both servers take it, and have randoms and shares of their own (RFC 9846,
// Sections 4.2.3 and 4.3.8).
func TestSameShareTwice(t *testing.T) {
	t.Parallel()
	for _, g := range kex.All() {
		c, err := NewClient(clientConfig(func(c *Config) { c.Groups, c.KeyShares = kex.All(), []kex.Group{g} }))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Wipe()
		events, err := c.Start()
		if err != nil {
			t.Fatal(err)
		}
		var answers []*wire.ServerHello
		for range 2 {
			s, err := NewServer(serverConfig(func(c *Config) { c.Groups = []kex.Group{g} }))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Wipe()
			server := &endpoint{m: s}
			server.receive(parcel{messages: events[0].(Send).Messages})
			if server.err != nil {
				t.Fatalf("%v: %v", g, server.err)
			}
			answer, err := wire.ParseServerHello(server.out[0].messages)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		one, two := answers[0], answers[1]
		if one.IsHelloRetryRequest() || one.Random == two.Random || bytes.Equal(one.KeyShare.Data, two.KeyShare.Data) {
			t.Errorf("%v: two connections have the same random or share", g)
		}
	}
}
