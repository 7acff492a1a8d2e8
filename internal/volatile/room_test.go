// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build !race && (!goexperiment.runtimesecret || !linux || !(amd64 || arm64))

package volatile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	circl "github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"golang.org/x/crypto/chacha20poly1305"
)

// TestRoom measures how deep the stack of each kind of work is, so that an upgrade does
// not outgrow what is scrubbed after it. spare is for the frames of the callers between.
func TestRoom(t *testing.T) {
	const spare = 1 << 10
	x25519, p256, p521 := must(ecdh.X25519().GenerateKey(rand.Reader)), must(ecdh.P256().GenerateKey(rand.Reader)), must(ecdh.P521().GenerateKey(rand.Reader))
	_, signer, _ := ed25519.GenerateKey(rand.Reader)
	ecdsaSigner := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	rsaSigner := must(rsa.GenerateKey(rand.Reader, 3072))
	kem, kem1024 := must(mlkem.GenerateKey768()), must(mlkem.GenerateKey1024())
	public, public1024 := kem.EncapsulationKey(), kem1024.EncapsulationKey()
	_, ciphertext := public.Encapsulate()
	_, ciphertext1024 := public1024.Encapsulate()
	circlPublic, circlKey := mlkem768.NewKeyFromSeed(kem.Bytes())
	circlPublic1024, circlKey1024 := mlkem1024.NewKeyFromSeed(kem1024.Bytes())
	scalar, point, secret := new(circl.Key), circl.Key(x25519.PublicKey().Bytes()), new(circl.Key)
	gcm := must(cipher.NewGCM(must(aes.NewCipher(make([]byte, 32)))))
	chacha := must(chacha20poly1305.New(make([]byte, 32)))
	hash := make([]byte, sha512.Size)
	plain, nonce := make([]byte, 16<<10), make([]byte, 12)
	buf := make([]byte, 0, 17<<10)
	sealed := func(a cipher.AEAD) []byte { return a.Seal(nil, nonce, plain, nonce) }
	gcmSealed, chachaSealed := sealed(gcm), sealed(chacha)

	for _, w := range []struct {
		name string
		room int
		f    func()
	}{
		{"AES-GCM seals", roomShallow, func() { gcm.Seal(buf, nonce, plain, nonce) }},
		{"AES-GCM opens", roomShallow, func() { must(gcm.Open(buf, nonce, gcmSealed, nonce)) }},
		{"ChaCha20-Poly1305 seals", roomShallow, func() { chacha.Seal(buf, nonce, plain, nonce) }},
		{"ChaCha20-Poly1305 opens", roomShallow, func() { must(chacha.Open(buf, nonce, chachaSealed, nonce)) }},
		{"an AES-GCM key", roomShallow, func() { must(cipher.NewGCM(must(aes.NewCipher(plain[:32])))) }},
		{"HMAC", roomShallow, func() { m := hmac.New(sha512.New, plain[:32]); m.Write(plain[:300]); m.Sum(hash[:0]) }},
		{"X25519, a key", roomShallow, func() { must(ecdh.X25519().NewPrivateKey(plain[:32])) }},
		{"X25519", roomShallow, func() { must(x25519.ECDH(x25519.PublicKey())) }},
		{"X25519 by circl, a key", roomShallow, func() { circl.KeyGen(secret, scalar) }},
		{"X25519 by circl", roomShallow, func() { circl.Shared(secret, scalar, &point) }},
		{"Ed25519", room, func() { ed25519.Sign(signer, plain[:300]) }},
		{"P-256", room, func() { must(p256.ECDH(p256.PublicKey())) }},
		{"P-521", room, func() { must(p521.ECDH(p521.PublicKey())) }},
		{"ECDSA, P-521", room, func() { must(ecdsaSigner.Sign(rand.Reader, hash, nil)) }},
		{"RSA", room, func() { must(rsaSigner.Sign(rand.Reader, hash, &rsa.PSSOptions{Hash: 7})) }},
		{"ML-KEM-768, a key", room, func() { must(mlkem.NewDecapsulationKey768(kem.Bytes())) }},
		{"ML-KEM-768 encapsulates", room, func() { public.Encapsulate() }},
		{"ML-KEM-768 decapsulates", room, func() { must(kem.Decapsulate(ciphertext)) }},
		{"ML-KEM-1024, a key", room, func() { must(mlkem.NewDecapsulationKey1024(kem1024.Bytes())) }},
		{"ML-KEM-1024 encapsulates", room, func() { public1024.Encapsulate() }},
		{"ML-KEM-1024 decapsulates", room, func() { must(kem1024.Decapsulate(ciphertext1024)) }},
		{"ML-KEM-768 by circl, a key", room, func() { mlkem768.NewKeyFromSeed(kem.Bytes()) }},
		{"ML-KEM-768 by circl encapsulates", room, func() { circlPublic.EncapsulateTo(bytes.Clone(ciphertext), secret[:], hash[:32]) }},
		{"ML-KEM-768 by circl decapsulates", room, func() { circlKey.DecapsulateTo(secret[:], ciphertext) }},
		{"ML-KEM-1024 by circl, a key", room, func() { mlkem1024.NewKeyFromSeed(kem1024.Bytes()) }},
		{"ML-KEM-1024 by circl encapsulates", room, func() { circlPublic1024.EncapsulateTo(bytes.Clone(ciphertext1024), secret[:], hash[:32]) }},
		{"ML-KEM-1024 by circl decapsulates", room, func() { circlKey1024.DecapsulateTo(secret[:], ciphertext1024) }},
	} {
		n := depth(w.f)
		t.Logf("%-34s %5d of %5d", w.name, n, w.room)
		if n == 0 || n > w.room-spare {
			t.Errorf("%s takes %d bytes of stack, of %d that are scrubbed", w.name, n, w.room)
		}
	}
}

// TestRoomPlain is TestRoom on a processor without instructions for any of it: what is
// written in Go is deeper than assembly.
func TestRoomPlain(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRoom$", "-test.v")
	child.Env = append(os.Environ(), "GODEBUG=cpu.all=off")
	out, err := child.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}

func must[T any](v T, _ error) T { return v }

// paint is how much of the stack is marked.
const paint = 2 * room

// depth returns how many bytes below its own frame f uses of the stack, as far down as
// it writes something.
func depth(f func()) (most int) {
	stretch(nil)
	for range 3 { // what is made once is made in the first
		bottom := mark()
		f()
		most = max(most, paint-unmarked(bottom))
	}
	return most
}

// stretch grows the stack, so that it does not move from mark to unmarked.
//
//go:noinline
func stretch(never *[4 * paint]byte) {
	if never != nil {
		frame := *never
		Wipe(frame[:])
	}
}

//go:noinline
func mark() uintptr {
	var frame [paint]byte
	for i := range frame {
		frame[i] = 0xa5
	}
	return uintptr(unsafe.Pointer(&frame))
}

// unmarked counts the bytes from bottom upwards that still bear the mark.
//
//go:noinline
func unmarked(bottom uintptr) (n int) {
	here := unsafe.Pointer(&n)
	for n < paint && *(*byte)(unsafe.Add(here, int(bottom)-int(uintptr(here))+n)) == 0xa5 {
		n++
	}
	return n
}
