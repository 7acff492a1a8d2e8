// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"reflect"

	"github.com/mayfly-tls/mayfly/internal/memscan"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// A secret is what is searched for. The rows of the table are their names.
type secret struct {
	link       *link
	name       string
	forms      []memscan.Form
	generation int  // of what is changed
	byClient   bool // what the client sends under, and what is derived from it
	changes    bool // has generations
}

// generations is how many of them are searched for.
const generations = 5

// secrets derives all of a connection's secrets from what the parent knows of it,
// by other means than those of the library.
func (l *link) secrets() ([]secret, error) {
	d := deriver{link: l, suite: suite.ByID(suite.ID(l.suite))}
	hello, answer := l.hellos()
	ch, err := wire.ParseClientHello(hello)
	if err != nil {
		return nil, err
	}
	var sh *wire.ServerHello
	if sh, err = wire.ParseServerHello(answer); err != nil {
		return nil, err
	}
	shared, err := d.exchange(ch, sh)
	if err != nil {
		return nil, err
	}
	early := d.early(ch, sh)
	handshake := d.extract(d.expand(early, "derived", d.sum(nil), d.suite.HashLen), shared)
	th := d.sum(append(bytes.Clone(hello), answer...))
	if !bytes.Equal(d.expand(handshake, "c hs traffic", th, d.suite.HashLen), l.logged("CLIENT_HANDSHAKE_TRAFFIC_SECRET")) {
		return nil, errors.New("the handshake secret is wrong")
	}
	derived := d.expand(handshake, "derived", d.sum(nil), d.suite.HashLen)
	main := d.extract(derived, make([]byte, d.suite.HashLen))
	l.main = main
	d.addSecret("handshake secret", handshake)
	d.addSecret("handshake secret", derived)
	d.addSecret("main secret", main)
	d.addSecret("exporter secret", l.logged("EXPORTER_SECRET"))
	for _, byClient := range []bool{true, false} {
		d.byClient = byClient
		who := map[bool]string{true: "CLIENT", false: "SERVER"}[byClient]
		d.traffic("handshake ", l.logged(who+"_HANDSHAKE_TRAFFIC_SECRET"))
		d.changes = true
		s := l.logged(who + "_TRAFFIC_SECRET_0")
		for d.generation = range generations {
			d.traffic("", s)
			s = d.expand(s, "traffic upd", nil, d.suite.HashLen)
		}
		d.changes, d.generation = false, 0
	}
	return d.all, d.err
}

// plaintexts are the secrets of what was sent since n messages.
func (l *link) plaintexts(n int) (all []secret) {
	for _, p := range l.plain[n:] {
		all = append(all, secret{link: l, name: "plaintext", forms: memscan.Raw(p[1:])}) // the first byte may be anything
	}
	return all
}

// hellos returns ClientHello and ServerHello.
func (l *link) hellos() (client, server []byte) {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	client, server = records(l.wire.in)[0], records(l.wire.out)[0]
	if !l.client {
		client, server = records(l.wire.out)[0], records(l.wire.in)[0]
	}
	message := func(r []byte) []byte { // without what follows in the record
		b := r[record.HeaderLen:]
		return b[:4+int(b[1])<<16+int(b[2])<<8+int(b[3])]
	}
	return message(client), message(server)
}

// A deriver is a key schedule that makes needles of all that it meets.
type deriver struct {
	*link
	suite      *suite.Suite
	generation int
	byClient   bool
	changes    bool
	all        []secret
	err        error
}

func (d *deriver) add(name string, forms []memscan.Form) {
	d.all = append(d.all, secret{d.link, name, forms, d.generation, d.byClient, d.changes})
}

func (d *deriver) addSecret(name string, b []byte) { d.add(name, memscan.Secret(d.suite.NewHash, b)) }

// traffic adds a traffic secret and what is derived from it.
func (d *deriver) traffic(which string, s []byte) {
	d.addSecret(which+"traffic secret", s)
	if which != "" {
		d.addSecret(which+"Finished key", d.expand(s, "finished", nil, d.suite.HashLen))
	}
	d.add(which+"IV", memscan.Raw(d.expand(s, "iv", nil, suite.NonceLen)))
	key := d.expand(s, "key", nil, d.suite.KeyLen)
	forms := memscan.Raw(key)
	if d.suite.ID != suite.ChaCha20Poly1305 {
		var err error
		if forms, err = memscan.AES(key); err != nil {
			d.err = err
		}
	}
	d.add(which+"AEAD key", forms)
}

func (d *deriver) extract(salt, ikm []byte) []byte {
	b, err := hkdf.Extract(d.newHash, ikm, salt)
	d.err = errors.Join(d.err, err)
	return b
}

// expand is HKDF-Expand-Label of RFC 9846, Section 7.1.
func (d *deriver) expand(secret []byte, label string, context []byte, n int) []byte {
	info := fmt.Sprintf("\x00%c%ctls13 %s%c%s", n, len("tls13 ")+len(label), label, len(context), context)
	b, err := hkdf.Expand(d.newHash, secret, info, n)
	d.err = errors.Join(d.err, err)
	return b
}

func (d *deriver) newHash() hash.Hash { return d.suite.NewHash() }

func (d *deriver) sum(b []byte) []byte {
	h := d.suite.NewHash()
	h.Write(b)
	return h.Sum(nil)
}

// early returns the Early Secret, and adds what a pre-shared key gives.
func (d *deriver) early(ch *wire.ClientHello, sh *wire.ServerHello) []byte {
	if d.ticket {
		return d.resumed(ch, sh)
	}
	if !d.psk {
		return d.extract(nil, make([]byte, d.suite.HashLen))
	}
	// RFC 9258, Section 5.1: the hash of the key is SHA-256, whatever the suite's is.
	key := d.child[:pskLen]
	importer := deriver{link: d.link, suite: suite.ByID(suite.AES128GCM)}
	extracted := importer.extract(nil, key)
	identity := importer.sum(ch.PSK.Identities[*sh.SelectedPSK].Identity)
	imported := importer.expand(extracted, "derived psk", identity, d.suite.HashLen)
	importer.addSecret("external PSK", key)
	importer.addSecret("external PSK", extracted)
	d.all, d.err = append(d.all, importer.all...), importer.err
	d.addSecret("imported PSK", imported)
	early := d.extract(nil, imported)
	binder := d.expand(early, "imp binder", d.sum(nil), d.suite.HashLen)
	d.addSecret("early secret", early)
	d.addSecret("binder key", binder)
	d.addSecret("binder key", d.expand(binder, "finished", nil, d.suite.HashLen))
	return early
}

// exchange finds the private keys in the child's randomness, and returns the
// secret that both sides share.
func (d *deriver) exchange(ch *wire.ClientHello, sh *wire.ServerHello) ([]byte, error) {
	ours, theirs := sh.KeyShare.Data, d.clientShare(ch)
	if !d.client {
		ours, theirs = theirs, ours
	}
	if d.group != tls.X25519MLKEM768 {
		return d.exchangeECDH(theirs, ours)
	}
	kem := mlkem.CiphertextSize768
	if !d.client {
		kem = mlkem.EncapsulationKeySize768
	}
	x, err := d.exchangeECDH(theirs[len(theirs)-32:], ours[kem:])
	if err != nil {
		return nil, err
	}
	random, ek, ciphertext := d.child, theirs, ours
	if !d.client {
		random, ek, ciphertext = d.own.given, ours, theirs
	}
	z, err := d.exchangeKEM(random, ek[:mlkem.EncapsulationKeySize768], ciphertext[:mlkem.CiphertextSize768])
	return append(z, x...), err
}

// clientShare is the share of the client that the server has taken.
func (d *deriver) clientShare(ch *wire.ClientHello) []byte {
	for _, share := range ch.KeyShares {
		if share.Group == uint16(d.group) {
			return share.Data
		}
	}
	return nil
}

func (d *deriver) exchangeECDH(childs, parents []byte) ([]byte, error) {
	curve := ecdh.X25519()
	if d.group == tls.CurveP256 {
		curve = ecdh.P256()
	}
	peer, err := curve.NewPublicKey(parents)
	if err != nil {
		return nil, err
	}
	for i := 2; i < 40; i++ {
		// crypto/ecdh may skip a byte, and changes one of P-256.
		at := i/4*32 + i%2
		scalar := bytes.Clone(d.child[at : at+32])
		scalar[1] ^= byte(i / 2 % 2 * 0x42)
		key, err := curve.NewPrivateKey(scalar)
		if err != nil || !bytes.Equal(key.PublicKey().Bytes(), childs) {
			continue
		}
		z, err := key.ECDH(peer)
		d.add("ECDHE private key", memscan.Scalar(scalar))
		d.addSecret("shared secret", z)
		return z, err
	}
	return nil, errors.New("the child's ECDHE key is not of its randomness")
}

// exchangeKEM takes ML-KEM's part. The decapsulation key is the client's, and so
// the child's or the parent's.
func (d *deriver) exchangeKEM(random, ek, ciphertext []byte) ([]byte, error) {
	for i := 2; i/2*32+1+mlkem.SeedSize <= len(random); i++ {
		at := i/2*32 + i%2
		seed := random[at : at+mlkem.SeedSize]
		dk, err := mlkem.NewDecapsulationKey768(seed)
		if err != nil || !bytes.Equal(dk.EncapsulationKey().Bytes(), ek) {
			continue
		}
		if d.client {
			forms, err := memscan.MLKEM(seed)
			if err != nil {
				return nil, err
			}
			d.add("ML-KEM private key", forms)
		}
		message := decrypt(dk, ciphertext)
		z, again, err := mlkemtest.Encapsulate768(dk.EncapsulationKey(), message)
		if err != nil || !bytes.Equal(again, ciphertext) {
			return nil, errors.Join(err, errors.New("the message of ML-KEM is wrong"))
		}
		d.add("ML-KEM message", memscan.Raw(message))
		d.addSecret("shared secret", z)
		return z, nil
	}
	return nil, errors.New("the client's ML-KEM key is not of its randomness")
}

// The ring of ML-KEM: FIPS 203, Section 2.
const (
	degree  = 256
	modulus = 3329
)

// decrypt returns the message that ML-KEM encapsulates, which the standard library
// keeps to itself: K-PKE.Decrypt of FIPS 203, straight from the definitions. What
// it returns is checked by its caller.
func decrypt(dk *mlkem.DecapsulationKey768, ciphertext []byte) []byte {
	s := reflect.ValueOf(dk).Elem().FieldByName("key").Elem().FieldByName("s")
	var product [degree]int
	for i := range s.Len() {
		u := transform(unpack(ciphertext[320*i:320*(i+1)], 10))
		for j := 0; j < degree; j += 2 {
			a, b := int(s.Index(i).Index(j).Uint()), int(s.Index(i).Index(j+1).Uint())
			product[j] += a*u[j] + b*u[j+1]%modulus*root(j/2)
			product[j+1] += a*u[j+1] + b*u[j]
		}
	}
	w := inverse(product)
	v := unpack(ciphertext[960:], 4)
	message := make([]byte, degree/8)
	for i := range w {
		if x := ((v[i]-w[i])%modulus + modulus) % modulus; x > modulus/4 && x <= 3*modulus/4 {
			message[i/8] |= 1 << (i % 8)
		}
	}
	return message
}

// unpack decodes and decompresses a polynomial of coefficients of n bits.
func unpack(b []byte, n int) (f [degree]int) {
	for i := range f {
		x := 0
		for j := range n {
			bit := i*n + j
			x |= int(b[bit/8]>>(bit%8)&1) << j
		}
		f[i] = (x*modulus + 1<<(n-1)) >> n
	}
	return f
}

// root is the i-th root in the order of FIPS 203's NTT: 17^(2·BitRev7(i)+1).
func root(i int) int {
	exponent := 1
	for bit := range 7 {
		exponent += i >> bit & 1 << (7 - bit)
	}
	return power(17, exponent)
}

func power(x, n int) int {
	y := 1
	for range n {
		y = y * x % modulus
	}
	return y
}

// transform is the NTT, and inverse the way back.
func transform(f [degree]int) (g [degree]int) {
	for i := 0; i < degree; i += 2 {
		r := root(i / 2)
		for j, x := 0, 1; j < degree; j, x = j+2, x*r%modulus {
			g[i] += f[j] * x
			g[i+1] += f[j+1] * x
		}
		g[i], g[i+1] = g[i]%modulus, g[i+1]%modulus
	}
	return g
}

func inverse(g [degree]int) (f [degree]int) {
	scale := power(degree/2, modulus-2)
	for i := 0; i < degree; i += 2 {
		r := power(root(i/2), modulus-2)
		for j, x := 0, scale; j < degree; j, x = j+2, x*r%modulus {
			f[j] += g[i] % modulus * x
			f[j+1] += g[i+1] % modulus * x
		}
	}
	return f
}
