// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/rand"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/curve25519"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// implementations are those of X25519 and ML-KEM.
var implementations = map[string]implementation{"circl": circl, "standard library": standard}

// TestImplementationsAgree has each implementation's client meet each one's server, in
// all groups that have more than one.
func TestImplementationsAgree(t *testing.T) {
	t.Parallel()
	for _, g := range []Group{X25519, X25519MLKEM768, MLKEM1024} {
		for clientName, client := range implementations {
			for serverName, server := range implementations {
				for range 20 {
					k, err := client.generate(g, rand.Reader)
					if err != nil {
						t.Fatal(err)
					}
					share, want, err := server.respond(g, rand.Reader, k.Share())
					if err != nil {
						t.Fatal(err)
					}
					got, err := k.Agree(share)
					if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
						t.Errorf("%v, client by %s, server by %s: %x (%v), want %x", g, clientName, serverName, got.Bytes(), err, want.Bytes())
					}
				}
			}
		}
	}
}

// TestX25519Oracles compares both implementations with golang.org/x/crypto/curve25519 and
// crypto/ecdh, on random points, half of which are on the twist.
func TestX25519Oracles(t *testing.T) {
	t.Parallel()
	for name, i := range implementations {
		for range 100 {
			scalar, point := make([]byte, 32), make([]byte, 32)
			rand.Read(scalar)
			rand.Read(point)
			k, err := i.x25519(volatile.CopyOf(scalar))
			if err != nil {
				t.Fatal(err)
			}
			share, err := curve25519.X25519(scalar, curve25519.Basepoint)
			if err != nil {
				t.Fatal(err)
			}
			want, err := curve25519.X25519(scalar, point)
			if err != nil {
				t.Fatal(err)
			}
			secret, err := k.Agree(point)
			if err != nil || !bytes.Equal(secret.Bytes(), want) || !bytes.Equal(k.Share(), share) {
				t.Fatalf("%s: scalar %x, point %x: share %x, want %x; secret %x (%v), want %x", name, scalar, point, k.Share(), share, secret.Bytes(), err, want)
			}
			private, err := ecdh.X25519().NewPrivateKey(scalar)
			if err != nil {
				t.Fatal(err)
			}
			peer, err := ecdh.X25519().NewPublicKey(point)
			if err != nil {
				t.Fatal(err)
			}
			if z, err := private.ECDH(peer); err != nil || !bytes.Equal(secret.Bytes(), z) {
				t.Fatalf("%s: scalar %x, point %x: secret %x, crypto/ecdh has %x (%v)", name, scalar, point, secret.Bytes(), z, err)
			}
		}
	}
}

// TestLowOrderPoints has each implementation refuse every encoding of a point of low
// order.
func TestLowOrderPoints(t *testing.T) {
	t.Parallel()
	for name, i := range implementations {
		k, err := i.generate(X25519, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, point := range lowOrder {
			for _, high := range []byte{0, 0x80} { // ignored by X25519
				b := unhex(t, point)
				b[31] |= high
				if _, err := curve25519.X25519(bytes.Repeat([]byte{1}, 32), b); err == nil {
					t.Errorf("%x is not of low order", b)
				}
				secret, err := k.Agree(b)
				if wantAlert(t, err, alert.IllegalParameter); secret != nil {
					t.Errorf("%s: a secret with %x", name, b)
				}
				share, secret, err := i.respond(X25519, rand.Reader, b)
				if wantAlert(t, err, alert.IllegalParameter); share != nil || secret != nil {
					t.Errorf("%s: a share or secret with %x", name, b)
				}
			}
		}
	}
}

// TestMLKEMOracle compares circl's keys, ciphertexts and secrets with those that
// crypto/mlkem makes of the same seed and message, and both when a ciphertext is forged.
func TestMLKEMOracle(t *testing.T) {
	t.Parallel()
	t.Run("768", func(t *testing.T) {
		testMLKEMOracle(t, circl768, mlkem.NewDecapsulationKey768, (*mlkem.DecapsulationKey768).EncapsulationKey, mlkemtest.Encapsulate768)
	})
	t.Run("1024", func(t *testing.T) {
		testMLKEMOracle(t, circl1024, mlkem.NewDecapsulationKey1024, (*mlkem.DecapsulationKey1024).EncapsulationKey, mlkemtest.Encapsulate1024)
	})
}

func testMLKEMOracle[D interface{ Decapsulate([]byte) ([]byte, error) }, E interface{ Bytes() []byte }](t *testing.T, m kem, expand func([]byte) (D, error), public func(D) E, encapsulate func(E, []byte) ([]byte, []byte, error)) {
	for range 30 {
		seed, message := make([]byte, seedLen), make([]byte, messageLen)
		rand.Read(seed)
		rand.Read(message)
		oracle, err := expand(seed)
		if err != nil {
			t.Fatal(err)
		}
		k, err := m.generate(0, bytes.NewReader(seed))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Share(), public(oracle).Bytes()) {
			t.Fatalf("seed %x: another public key", seed)
		}
		wantSecret, wantCiphertext, err := encapsulate(public(oracle), message)
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, secret, err := m.respond(bytes.NewReader(message), k.Share())
		if err != nil || !bytes.Equal(ciphertext, wantCiphertext) || !bytes.Equal(secret.Bytes(), wantSecret) {
			t.Fatalf("seed %x, message %x: another ciphertext or secret (%v)", seed, message, err)
		}
		for _, forge := range []byte{0, 1} {
			ciphertext[int(message[0])] ^= forge
			want, err := oracle.Decapsulate(ciphertext)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Agree(ciphertext)
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("seed %x, message %x: secret %x (%v), want %x", seed, message, got.Bytes(), err, want)
			}
		}
	}
}

// TestChoice pins which implementation is used where.
func TestChoice(t *testing.T) {
	t.Parallel()
	const ours, theirs = "circl", "standard library"
	name := func(field string, i implementation) string {
		v := func(i implementation) uintptr {
			if field == "x25519" {
				return reflect.ValueOf(i.x25519).Pointer()
			}
			return reflect.ValueOf(i.mlkem768.expand).Pointer()
		}
		for name, known := range implementations {
			if v(known) == v(i) {
				return name
			}
		}
		return "unknown"
	}
	for _, c := range []struct {
		fips                bool
		arch, x25519, mlkem string
	}{
		{false, "amd64", ours, ours},
		{false, "arm64", ours, ours},
		{false, "386", theirs, ours},
		{false, "riscv64", theirs, ours},
		{true, "amd64", theirs, theirs},
		{true, "386", theirs, theirs},
	} {
		i := choose(c.fips, c.arch)
		if x, m := name("x25519", i), name("mlkem", i); x != c.x25519 || m != c.mlkem {
			t.Errorf("FIPS mode %v, %s: X25519 by %s, ML-KEM by %s", c.fips, c.arch, x, m)
		}
	}
}

// TestFIPSMode has the standard library do all in a process in FIPS 140-3 mode.
func TestFIPSMode(t *testing.T) {
	t.Parallel()
	if fips140.Enabled() {
		k, err := Generate(X25519MLKEM768, nil)
		if err != nil {
			t.Fatal(err)
		}
		hybrid := k.(*hybridKey)
		if _, ok := hybrid.x.(*ecdhKey); !ok {
			t.Errorf("X25519 is a %T", hybrid.x)
		}
		if _, ok := hybrid.kem.private.(*standardPrivate[*mlkem.DecapsulationKey768]); !ok {
			t.Errorf("ML-KEM is a %T", hybrid.kem.private)
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^Test(FIPSMode|Groups|BadShares|BadRandom|Wiped|HybridOrder)$")
	child.Env = append(os.Environ(), "GODEBUG=fips140=on")
	out, err := child.CombinedOutput()
	if strings.Contains(string(out), "panic: fips140: ") {
		t.Skipf("there is no FIPS 140-3 mode in this build:\n%.200s", out)
	}
	if err != nil {
		t.Errorf("%v\n%.3000s", err, out)
	}
}
