// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"slices"

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
	hellos, answers := l.hellos()
	for _, hello := range hellos {
		if err := d.spareKeys(hello); err != nil {
			return nil, err
		}
	}
	ch, err := wire.ParseClientHello(hellos[len(hellos)-1])
	if err != nil {
		return nil, err
	}
	var sh *wire.ServerHello
	if sh, err = wire.ParseServerHello(answers[len(answers)-1]); err != nil {
		return nil, err
	}
	shared, err := d.exchange(ch, sh)
	if err != nil {
		return nil, err
	}
	early := d.early(ch, sh)
	handshake := d.extract(d.expand(early, "derived", d.sum(nil), d.suite.HashLen), shared)
	th := d.sum(d.opening())
	if !bytes.Equal(d.expand(handshake, "c hs traffic", th, d.suite.HashLen), l.logged("CLIENT_HANDSHAKE_TRAFFIC_SECRET")) {
		return nil, errors.New("the handshake secret is wrong")
	}
	derived := d.expand(handshake, "derived", d.sum(nil), d.suite.HashLen)
	main := d.extract(derived, make([]byte, d.suite.HashLen))
	l.main = main
	d.addSecret("handshake secret", handshake)
	d.addSecret("handshake secret", derived)
	d.addSecret("main secret", main)
	exporter := l.logged("EXPORTER_SECRET")
	d.addSecret("exporter secret", exporter)
	if l.exports {
		exporter = d.expand(exporter, exportLabel, d.sum(nil), d.suite.HashLen)
		d.addSecret("exported", exporter)
		d.addSecret("exported", d.expand(exporter, "exporter", d.sum(nil), exportLen))
	}
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

// hellos returns what each side has said in the clear: its hello, and where the child
// retries, two of them.
func (l *link) hellos() (client, server [][]byte) {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	messages := func(b []byte) (all [][]byte) {
		for _, r := range records(b) {
			if record.ContentType(r[0]) == record.Handshake {
				m := r[record.HeaderLen:]
				all = append(all, m[:4+int(m[1])<<16+int(m[2])<<8+int(m[3])]) // without what follows in the record
			}
		}
		return all
	}
	client, server = messages(l.wire.in), messages(l.wire.out)
	if !l.client {
		client, server = server, client
	}
	return client, server
}

// opening is the transcript up to the ServerHello (RFC 9846, Section 4.1).
func (d *deriver) opening() []byte {
	client, server := d.hellos()
	if !d.retries {
		return slices.Concat(client[0], server[0])
	}
	first := d.sum(client[0])
	return slices.Concat([]byte{254, 0, 0, byte(len(first))}, first, server[0], client[1], server[1])
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
	if which == "handshake " {
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
	d.addEarly(early, "imp binder", ch, *sh.SelectedPSK)
	return early
}

// addEarly adds the early secret, and what it gives but for early data. The binder
// that the client has sent shows whether it is right.
func (d *deriver) addEarly(early []byte, label string, ch *wire.ClientHello, index uint16) {
	binder := d.expand(early, label, d.sum(nil), d.suite.HashLen)
	finished := d.expand(binder, "finished", nil, d.suite.HashLen)
	d.addSecret("early secret", early)
	d.addSecret("early secret", d.expand(early, "derived", d.sum(nil), d.suite.HashLen))
	d.addSecret("binder key", binder)
	d.addSecret("binder key", finished)
	mac := hmac.New(d.newHash, finished)
	mac.Write(d.sum(ch.BinderPrefix()))
	if !hmac.Equal(mac.Sum(nil), ch.PSK.Binders[index]) {
		d.err = errors.Join(d.err, errors.New("the binder key is wrong"))
	}
}

// exchange finds the private keys in the child's randomness, and returns the
// secret that both sides share.
func (d *deriver) exchange(ch *wire.ClientHello, sh *wire.ServerHello) ([]byte, error) {
	ours, theirs := sh.KeyShare.Data, d.clientShare(ch)
	if !d.client {
		ours, theirs = theirs, ours
	}
	kem, ok := kems[d.group]
	if !ok {
		return d.exchangeECDH(d.group, theirs, ours)
	}
	first := kem.ciphertextLen
	if !d.client {
		first = kem.keyLen
	}
	random, ek, ciphertext := d.child, theirs, ours
	if !d.client {
		random, ek, ciphertext = d.own.given, ours, theirs
	}
	z, err := d.exchangeKEM(kem, random, ek[:kem.keyLen], ciphertext[:kem.ciphertextLen])
	if err != nil || d.group != tls.X25519MLKEM768 {
		return z, err
	}
	x, err := d.exchangeECDH(tls.X25519, theirs[len(theirs)-32:], ours[first:])
	return append(z, x...), err
}

// spareKeys finds the child's keys whose shares the server does not take.
func (d *deriver) spareKeys(hello []byte) error {
	ch, err := wire.ParseClientHello(hello)
	if err != nil {
		return err
	}
	for _, share := range ch.KeyShares {
		if d.client && share.Group != uint16(d.group) {
			if _, err := d.privateKey(tls.CurveID(share.Group), share.Data); err != nil {
				return err
			}
		}
	}
	return nil
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

// curves are those of the groups, X25519MLKEM768's among them, with the lengths of
// their private keys.
var curves = map[tls.CurveID]struct {
	ecdh.Curve
	scalarLen int
}{tls.X25519: {ecdh.X25519(), 32}, tls.CurveP256: {ecdh.P256(), 32}, tls.CurveP384: {ecdh.P384(), 48}, tls.CurveP521: {ecdh.P521(), 66}}

func (d *deriver) exchangeECDH(group tls.CurveID, childs, parents []byte) ([]byte, error) {
	peer, err := curves[group].NewPublicKey(parents)
	if err != nil {
		return nil, err
	}
	key, err := d.privateKey(group, childs)
	if err != nil {
		return nil, err
	}
	z, err := key.ECDH(peer)
	d.addSecret("shared secret", z)
	return z, err
}

// privateKey finds the child's key of a share in its randomness, and adds it.
func (d *deriver) privateKey(group tls.CurveID, share []byte) (*ecdh.PrivateKey, error) {
	curve := curves[group]
	for i := 2; i/4*32+1+curve.scalarLen <= len(d.child); i++ {
		// crypto/ecdh may skip a byte, and changes one of NIST's.
		at := i/4*32 + i%2
		scalar := bytes.Clone(d.child[at : at+curve.scalarLen])
		if group == tls.CurveP521 {
			scalar[0] &= 1
		}
		scalar[1] ^= byte(i / 2 % 2 * 0x42)
		key, err := curve.NewPrivateKey(scalar)
		if err != nil || !bytes.Equal(key.PublicKey().Bytes(), share) {
			continue
		}
		d.add("ECDHE private key", memscan.Scalar(scalar))
		return key, nil
	}
	return nil, errors.New("the child's ECDHE key is not of its randomness")
}

// exchangeKEM takes ML-KEM's part. The decapsulation key is the client's, and so
// the child's or the parent's.
func (d *deriver) exchangeKEM(k kem, random, ek, ciphertext []byte) ([]byte, error) {
	for i := 2; i/2*32+i%2+mlkem.SeedSize <= len(random); i++ {
		at := i/2*32 + i%2
		seed := random[at : at+mlkem.SeedSize]
		key, public, encapsulate, err := k.expand(seed)
		if err != nil || !bytes.Equal(public, ek) {
			continue
		}
		if d.client {
			d.add("ML-KEM private key", memscan.MLKEM(seed, k.noiseSeed(seed), key, k.circl(seed)))
		}
		message := k.decrypt(key, ciphertext)
		z, again, err := encapsulate(message)
		if err != nil || !bytes.Equal(again, ciphertext) {
			return nil, errors.Join(err, errors.New("the message of ML-KEM is wrong"))
		}
		d.add("ML-KEM message", append(memscan.Raw(message), memscan.Form{Name: "coins", Bytes: coins(message, ek)}))
		d.addSecret("shared secret", z)
		return z, nil
	}
	return nil, errors.New("the client's ML-KEM key is not of its randomness")
}
