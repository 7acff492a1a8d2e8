// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vectors

import (
	stdbytes "bytes"
	"crypto/fips140"
	"crypto/sha256"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// agree is what both ways of agreeing return.
type agree func() (*volatile.Secret, error)

// checkAgreed compares a shared secret, or the alert for a share that is no good.
func checkAgreed(t *testing.T, v *vector, want []byte, ok bool, f agree) {
	t.Helper()
	secret, err := f()
	switch {
	case ok && err != nil:
		t.Errorf("%d (%s): %v", v.TcID, v.Comment, err)
	case ok && !stdbytes.Equal(secret.Bytes(), want):
		t.Errorf("%d (%s): agreed on %x, want %x", v.TcID, v.Comment, secret.Bytes(), want)
	case !ok && (err == nil || alert.Of(err) != alert.IllegalParameter):
		t.Errorf("%d (%s): %v, want illegal_parameter", v.TcID, v.Comment, err)
	}
}

func TestX25519(t *testing.T) {
	each(t, "x25519_test.json", 500, func(t *testing.T, _ *group, v *vector) {
		key, err := kex.NewX25519(v.Private)
		if err != nil {
			t.Fatal(err)
		}
		// RFC 9846, Section 7.4.2: an all-zero result must be refused.
		ok := v.Result != "invalid" && !stdbytes.Equal(v.Shared, make([]byte, 32))
		checkAgreed(t, v, v.Shared, ok, func() (*volatile.Secret, error) { return key.Agree(v.Public) })
		checkAgreed(t, v, v.Shared, ok, func() (*volatile.Secret, error) {
			_, secret, err := kex.Respond(kex.X25519, stdbytes.NewReader(v.Private), v.Public)
			return secret, err
		})
	})
}

func TestNIST(t *testing.T) {
	for file, curve := range map[string]struct {
		group           kex.Group
		scalar, atLeast int
	}{
		"ecdh_secp256r1_ecpoint_test.json": {kex.P256, 32, 350},
		"ecdh_secp384r1_ecpoint_test.json": {kex.P384, 48, 400},
		"ecdh_secp521r1_ecpoint_test.json": {kex.P521, 66, 400},
	} {
		t.Run(file, func(t *testing.T) { testNIST(t, file, curve.atLeast, curve.group, curve.scalar) })
	}
}

func testNIST(t *testing.T, file string, atLeast int, g kex.Group, scalar int) {
	each(t, file, atLeast, func(t *testing.T, _ *group, v *vector) {
		private := make([]byte, scalar)
		if len(v.Private) > scalar {
			v.Private = v.Private[len(v.Private)-scalar:]
		}
		copy(private[scalar-len(v.Private):], v.Private)
		// Compressed points are acceptable elsewhere; TLS has none.
		ok := v.Result != "invalid" && len(v.Public) == 2*scalar+1
		key, err := kex.Generate(g, stdbytes.NewReader(private))
		if err != nil {
			t.Fatalf("%d (%s): %v", v.TcID, v.Comment, err)
		}
		checkAgreed(t, v, v.Shared, ok, func() (*volatile.Secret, error) { return key.Agree(v.Public) })
		checkAgreed(t, v, v.Shared, ok, func() (*volatile.Secret, error) {
			_, secret, err := kex.Respond(g, stdbytes.NewReader(private), v.Public)
			return secret, err
		})
	})
}

// x25519Pair is the other half of a hybrid share, the same in all tests.
func x25519Pair(t *testing.T) (scalar, public []byte, shared func(peer []byte) []byte) {
	t.Helper()
	s := sha256.Sum256([]byte("a scalar"))
	key, err := kex.NewX25519(s[:])
	if err != nil {
		t.Fatal(err)
	}
	return s[:], key.Share(), func(peer []byte) []byte {
		secret, err := key.Agree(peer)
		if err != nil {
			t.Fatal(err)
		}
		return secret.Bytes()
	}
}

// TestMLKEM768Decapsulate makes the client's hybrid key of the vector's seed.
func TestMLKEM768Decapsulate(t *testing.T) {
	each(t, "mlkem_768_test.json", 200, func(t *testing.T, _ *group, v *vector) {
		scalar, public, shared := x25519Pair(t)
		if len(v.Seed) != 64 {
			return // no way leads to such a key
		}
		key, err := kex.Generate(kex.X25519MLKEM768, stdbytes.NewReader(append(append([]byte{}, v.Seed...), scalar...)))
		if err != nil {
			t.Fatalf("%d (%s): %v", v.TcID, v.Comment, err)
		}
		if share := key.Share(); v.EK != nil && !stdbytes.Equal(share[:len(share)-32], v.EK) {
			t.Errorf("%d (%s): another public key", v.TcID, v.Comment)
		}
		want := append(append([]byte{}, v.K...), shared(public)...)
		checkAgreed(t, v, want, v.Result == "valid", func() (*volatile.Secret, error) {
			return key.Agree(append(append([]byte{}, v.C...), public...))
		})
	})
}

func TestMLKEM768KeyGeneration(t *testing.T) {
	each(t, "mlkem_768_keygen_seed_test.json", 90, func(t *testing.T, _ *group, v *vector) {
		scalar, public, _ := x25519Pair(t)
		key, err := kex.Generate(kex.X25519MLKEM768, stdbytes.NewReader(append(append([]byte{}, v.Seed...), scalar...)))
		if err != nil {
			t.Fatal(err)
		}
		if want := append(append([]byte{}, v.EK...), public...); !stdbytes.Equal(key.Share(), want) {
			t.Errorf("%d (%s): another share", v.TcID, v.Comment)
		}
	})
}

// TestMLKEM768Encapsulate makes the server's share of the vector's message, and gives it
// keys that it must refuse. In FIPS 140-3 mode the message is another one.
func TestMLKEM768Encapsulate(t *testing.T) {
	each(t, "mlkem_768_encaps_test.json", 200, func(t *testing.T, _ *group, v *vector) {
		scalar, public, shared := x25519Pair(t)
		random := stdbytes.NewReader(append(append([]byte{}, v.M...), scalar...))
		share, secret, err := kex.Respond(kex.X25519MLKEM768, random, append(append([]byte{}, v.EK...), public...))
		switch {
		case v.Result == "valid" && (err != nil || len(share) != 1088+32 || secret.Len() != 64):
			t.Errorf("%d (%s): %d bytes, %v", v.TcID, v.Comment, len(share), err)
		case v.Result == "valid" && !fips140.Enabled() && (!stdbytes.Equal(share[:1088], v.C) || !stdbytes.Equal(secret.Bytes(), append(append([]byte{}, v.K...), shared(public)...))):
			t.Errorf("%d (%s): another ciphertext or secret", v.TcID, v.Comment)
		case v.Result != "valid" && (err == nil || alert.Of(err) != alert.IllegalParameter):
			t.Errorf("%d (%s): %v, want illegal_parameter", v.TcID, v.Comment, err)
		}
	})
}

// TestMLKEM1024 is TestMLKEM768Decapsulate without a hybrid.
func TestMLKEM1024(t *testing.T) {
	each(t, "mlkem_1024_test.json", 150, func(t *testing.T, _ *group, v *vector) {
		if len(v.Seed) != 64 {
			return // no way leads to such a key
		}
		key, err := kex.Generate(kex.MLKEM1024, stdbytes.NewReader(v.Seed))
		if err != nil {
			t.Fatalf("%d (%s): %v", v.TcID, v.Comment, err)
		}
		if v.EK != nil && !stdbytes.Equal(key.Share(), v.EK) {
			t.Errorf("%d (%s): another public key", v.TcID, v.Comment)
		}
		checkAgreed(t, v, v.K, v.Result == "valid", func() (*volatile.Secret, error) { return key.Agree(v.C) })
	})
}

func TestMLKEM1024Encapsulate(t *testing.T) {
	each(t, "mlkem_1024_encaps_test.json", 150, func(t *testing.T, _ *group, v *vector) {
		share, secret, err := kex.Respond(kex.MLKEM1024, stdbytes.NewReader(v.M), v.EK)
		switch {
		case v.Result == "valid" && (err != nil || len(share) != 1568 || secret.Len() != 32):
			t.Errorf("%d (%s): %d bytes, %v", v.TcID, v.Comment, len(share), err)
		case v.Result == "valid" && !fips140.Enabled() && (!stdbytes.Equal(share, v.C) || !stdbytes.Equal(secret.Bytes(), v.K)):
			t.Errorf("%d (%s): another ciphertext or secret", v.TcID, v.Comment)
		case v.Result != "valid" && (err == nil || alert.Of(err) != alert.IllegalParameter):
			t.Errorf("%d (%s): %v, want illegal_parameter", v.TcID, v.Comment, err)
		}
	})
}
