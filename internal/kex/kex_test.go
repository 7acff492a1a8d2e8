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
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

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
		P384:           {0x0018, "secp384r1", 97, 97, 48, 48, 48},
		P521:           {0x0019, "secp521r1", 133, 133, 66, 66, 66},
		MLKEM1024:      {0x0202, "MLKEM1024", 1568, 1568, 32, 64, chosen.mlkem1024.randomLen},
		X25519MLKEM768: {0x11ec, "X25519MLKEM768", 1216, 1120, 64, 96, chosen.mlkem768.randomLen + 32},
	} {
		if uint16(g) != want.code || g.String() != want.name || !g.Supported() {
			t.Errorf("%#x is %v", uint16(g), g)
		}
		clientRandom, serverRandom := &counter{fill: 1}, &counter{fill: 2}
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
	if got := Default(); !slices.Equal(got, []Group{X25519MLKEM768, X25519, P256, P384}) {
		t.Errorf("Default is %v", got)
	}
	if got := All(); !slices.Equal(got, append(Default(), P521, MLKEM1024)) {
		t.Errorf("All is %v", got)
	}
}

func TestUnsupportedGroup(t *testing.T) {
	t.Parallel()
	g := Group(0x0100)
	if g.Supported() || g.String() != "group(0x100)" {
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
	const (
		alicePrivate = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
		alicePublic  = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
		bobPrivate   = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
		bobPublic    = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
		shared       = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
	)
	for _, v := range []struct{ private, public, peer, secret string }{
		{
			"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", "",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
		},
		{
			"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d", "",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
		},
		{alicePrivate, alicePublic, bobPublic, shared},
		{bobPrivate, bobPublic, alicePublic, shared},
	} {
		k, err := NewX25519(unhex(t, v.private))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(k.Share()); v.public != "" && got != v.public {
			t.Errorf("the share of %s is %s, want %s", v.private, got, v.public)
		}
		secret, err := k.Agree(unhex(t, v.peer))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(secret.Bytes()); got != v.secret {
			t.Errorf("X25519(%s, %s) = %s, want %s", v.private, v.peer, got, v.secret)
		}
	}
	_, err := NewX25519(make([]byte, 31))
	wantAlert(t, err, alert.InternalError)
}

// TestRFC8448 takes the private keys of the handshakes of RFC 8448 from random.
func TestRFC8448(t *testing.T) {
	t.Parallel()
	for trace, key := range map[string]struct {
		group Group
		name  string
	}{"simple-1rtt": {X25519, "x25519"}, "hello-retry-request": {P256, "P-256"}} {
		tr, err := testvec.Load("../../testdata/rfc8448/" + trace + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		create := "create an ephemeral " + key.name + " key pair"
		client, server := tr.Find("client", create), tr.Find("server", create)
		k, err := Generate(key.group, bytes.NewReader(client.Value("private_key")))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Share(), client.Value("public_key")) {
			t.Errorf("%s: the client's share is %x", trace, k.Share())
		}
		share, secret, err := Respond(key.group, bytes.NewReader(server.Value("private_key")), k.Share())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(share, server.Value("public_key")) {
			t.Errorf("%s: the server's share is %x", trace, share)
		}
		want := tr.Find("server", "extract secret \"handshake\"").Value("IKM")
		if !bytes.Equal(secret.Bytes(), want) {
			t.Errorf("%s: the server's secret is %x, want %x", trace, secret.Bytes(), want)
		}
		if secret, err = k.Agree(share); err != nil || !bytes.Equal(secret.Bytes(), want) {
			t.Errorf("%s: the client's secret is %x (%v), want %x", trace, secret.Bytes(), err, want)
		}
	}
}

// TestHybridOrder puts the other side of the hybrid together from its parts, in the
// order of draft-ietf-tls-ecdhe-mlkem: ML-KEM comes first.
func TestHybridOrder(t *testing.T) {
	t.Parallel()
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	combine := func(kem []byte, peer []byte) []byte {
		public, err := ecdh.X25519().NewPublicKey(peer)
		if err != nil {
			t.Fatal(err)
		}
		z, err := x.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		return append(kem, z...)
	}

	t.Run("client", func(t *testing.T) {
		client, err := Generate(X25519MLKEM768, nil)
		if err != nil {
			t.Fatal(err)
		}
		encapsulationKey, err := mlkem.NewEncapsulationKey768(client.Share()[:1184])
		if err != nil {
			t.Fatal(err)
		}
		kem, ciphertext := encapsulationKey.Encapsulate()
		secret, err := client.Agree(append(ciphertext, x.PublicKey().Bytes()...))
		if err != nil {
			t.Fatal(err)
		}
		if want := combine(kem, client.Share()[1184:]); !bytes.Equal(secret.Bytes(), want) {
			t.Errorf("secret %x, want %x", secret.Bytes(), want)
		}
	})
	t.Run("server", func(t *testing.T) {
		decapsulationKey, err := mlkem.GenerateKey768()
		if err != nil {
			t.Fatal(err)
		}
		share, secret, err := Respond(X25519MLKEM768, nil, append(decapsulationKey.EncapsulationKey().Bytes(), x.PublicKey().Bytes()...))
		if err != nil {
			t.Fatal(err)
		}
		kem, err := decapsulationKey.Decapsulate(share[:1088])
		if err != nil {
			t.Fatal(err)
		}
		if want := combine(kem, share[1088:]); !bytes.Equal(secret.Bytes(), want) {
			t.Errorf("secret %x, want %x", secret.Bytes(), want)
		}
	})
}

// TestHybridSeed checks that the client's hybrid key is made from random alone:
// the seed of ML-KEM, then the scalar.
func TestHybridSeed(t *testing.T) {
	t.Parallel()
	random := make([]byte, 96)
	rand.Read(random)
	k, err := Generate(X25519MLKEM768, bytes.NewReader(random))
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.NewDecapsulationKey768(random[:64])
	if err != nil {
		t.Fatal(err)
	}
	x, err := ecdh.X25519().NewPrivateKey(random[64:])
	if err != nil {
		t.Fatal(err)
	}
	if want := append(kem.EncapsulationKey().Bytes(), x.PublicKey().Bytes()...); !bytes.Equal(k.Share(), want) {
		t.Error("another key than random's")
	}
}

// lowOrder are the encodings of the points of low order of Curve25519, with which
// every secret is zero.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// TestBadShares shows shares that have to be refused to both sides.
func TestBadShares(t *testing.T) {
	t.Parallel()
	p256 := mustShare(t, P256)
	offCurve := bytes.Clone(p256)
	offCurve[64] ^= 1
	compressed := append([]byte{2 + p256[64]&1}, p256[1:33]...)
	hybridForm := bytes.Clone(p256)
	hybridForm[0] = 6 + p256[64]&1
	overflow := append([]byte{4}, bytes.Repeat([]byte{0xff}, 64)...)
	bad := map[Group][][]byte{
		P256: {
			nil, {0}, {4}, p256[:64], append(bytes.Clone(p256), 0), p256[1:], offCurve, compressed,
			hybridForm, overflow, make([]byte, 65), append([]byte{4}, make([]byte, 64)...),
		},
		X25519: {nil, {9}, make([]byte, 31), make([]byte, 33)},
	}
	for _, g := range []Group{P384, P521} {
		share := mustShare(t, g)
		off := bytes.Clone(share)
		off[len(off)-1] ^= 1
		bad[g] = [][]byte{nil, {0}, share[1:], append(bytes.Clone(share), 0), off, append([]byte{2}, share[1:len(share)/2+1]...), make([]byte, len(share))}
	}
	kem := mustShare(t, MLKEM1024)
	testBadShare(t, MLKEM1024, kem[1:], kem[1:])
	testBadShare(t, MLKEM1024, append(bytes.Clone(kem), 0), append(bytes.Clone(kem), 0))
	kem[0], kem[1] = 0xff, 0xff // a coefficient above q: FIPS 203, Section 7.2
	testBadShare(t, MLKEM1024, kem, nil)
	for _, point := range lowOrder {
		b := unhex(t, point)
		high := bytes.Clone(b)
		high[31] |= 0x80 // ignored by X25519
		bad[X25519] = append(bad[X25519], b, high)
	}
	for g, shares := range bad {
		for _, share := range shares {
			testBadShare(t, g, share, share)
		}
	}

	client := mustShare(t, X25519MLKEM768)
	server, _, err := Respond(X25519MLKEM768, nil, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 32, 1119, 1215} {
		testBadShare(t, X25519MLKEM768, client[:n], server[:min(n, 1119)])
	}
	testBadShare(t, X25519MLKEM768, append(bytes.Clone(client), 0), append(bytes.Clone(server), 0))
	for _, point := range lowOrder {
		copy(client[1184:], unhex(t, point))
		copy(server[1088:], unhex(t, point))
		testBadShare(t, X25519MLKEM768, client, server)
	}
	unreduced := mustShare(t, X25519MLKEM768)
	unreduced[0], unreduced[1] = 0xff, 0xff // a coefficient above q: FIPS 203, Section 7.2
	testBadShare(t, X25519MLKEM768, unreduced, nil)
	swapped := mustShare(t, X25519MLKEM768)
	swapped = append(bytes.Repeat([]byte{0xff}, 32), swapped[:1184]...)
	testBadShare(t, X25519MLKEM768, swapped, nil)
}

func testBadShare(t *testing.T, g Group, clientShare, serverShare []byte) {
	t.Helper()
	share, secret, err := Respond(g, nil, clientShare)
	if wantAlert(t, err, alert.IllegalParameter); share != nil || secret != nil {
		t.Errorf("%v: a share or secret with an error", g)
	}
	k, err := Generate(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, err = k.Agree(serverShare)
	if wantAlert(t, err, alert.IllegalParameter); secret != nil {
		t.Errorf("%v: a secret with an error", g)
	}
}

// A damaged ciphertext is no error: the secret is another one (implicit rejection).
func TestImplicitRejection(t *testing.T) {
	t.Parallel()
	k, err := Generate(X25519MLKEM768, nil)
	if err != nil {
		t.Fatal(err)
	}
	share, want, err := Respond(X25519MLKEM768, nil, k.Share())
	if err != nil {
		t.Fatal(err)
	}
	share[100] ^= 1
	got, err := k.Agree(share)
	if err != nil || bytes.Equal(got.Bytes()[:32], want.Bytes()[:32]) || !bytes.Equal(got.Bytes()[32:], want.Bytes()[32:]) {
		t.Errorf("got %x (%v), the server %x", got.Bytes(), err, want.Bytes())
	}
}

func TestBadRandom(t *testing.T) {
	t.Parallel()
	for _, g := range All() {
		share := mustShare(t, g)
		for name, random := range map[string]io.Reader{
			"error": iotest.ErrReader(io.ErrClosedPipe),
			"short": strings.NewReader("short"),
			"later": io.LimitReader(rand.Reader, 31),
		} {
			k, err := Generate(g, random)
			if wantAlert(t, err, alert.InternalError); k != nil {
				t.Errorf("%v, %s: a key with an error", g, name)
			}
		}
		if g == MLKEM1024 && chosen.mlkem1024.randomLen == 0 {
			continue // which takes randomness of its own
		}
		_, _, err := Respond(g, iotest.ErrReader(io.ErrClosedPipe), share)
		if wantAlert(t, err, alert.InternalError); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v: %v does not name its cause", g, err)
		}
	}
	// The hybrid's seed is there, the scalar is not.
	_, err := Generate(X25519MLKEM768, io.LimitReader(rand.Reader, 70))
	wantAlert(t, err, alert.InternalError)

	// No P-256 scalar is zero, or as large as the order.
	for _, b := range []byte{0, 0xff} {
		random := &counter{fill: b}
		_, err := Generate(P256, random)
		wantAlert(t, err, alert.InternalError)
		if random.n != maxTries*scalarLen {
			t.Errorf("gave up after %d bytes", random.n)
		}
	}
}

func TestWiped(t *testing.T) {
	t.Parallel()
	for _, g := range All() {
		k, err := Generate(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		share, _, err := Respond(g, nil, k.Share())
		if err != nil {
			t.Fatal(err)
		}
		k.Wipe()
		k.Wipe()
		if k.Share() != nil {
			t.Errorf("%v: a share after Wipe", g)
		}
		secret, err := k.Agree(share)
		if wantAlert(t, err, alert.InternalError); secret != nil {
			t.Errorf("%v: a secret after Wipe", g)
		}
	}
}

// counter is a random source that counts: it is full of one byte, or random.
type counter struct {
	n    int
	fill byte
}

func (c *counter) Read(b []byte) (int, error) {
	c.n += len(b)
	for i := range b {
		b[i] = c.fill
	}
	return len(b), nil
}

func mustShare(t *testing.T, g Group) []byte {
	t.Helper()
	k, err := Generate(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k.Share()
}

func wantAlert(t *testing.T, err error, want alert.Code) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", want)
	} else if got := alert.Of(err); got != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLeadingZeros has shared secrets that begin with zeros, which RFC 9846, Section
// 7.4.2, keeps. The client's key is 1, so that the secret is the x-coordinate of the
// server's share.
func TestLeadingZeros(t *testing.T) {
	t.Parallel()
	key := func(n int64) *ecdhKey {
		k, err := newECDH(P256, big.NewInt(n).FillBytes(make([]byte, scalarLen)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	found := 0
	for n := int64(2); found < 3 && n < 5000; n++ {
		share := key(n).Share()
		if x := share[1 : 1+scalarLen]; x[0] == 0 {
			found++
			secret, err := key(1).Agree(share)
			if err != nil || !bytes.Equal(secret.Bytes(), x) {
				t.Errorf("%d: %x: %v", n, x, err)
			}
		}
	}
	if found == 0 {
		t.Error("no secret begins with a zero")
	}
}
