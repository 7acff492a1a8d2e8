// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"crypto"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A PresharedKey is a random key that two programs share, and the name by which
// they speak of it: an external PSK of RFC 9846, Section 2.2. PSKs and PSKLookup
// make Peers of it. Both sides prove that they hold it, so neither needs an
// Identity or a certificate. Every connection makes session keys of its own, with
// a Diffie-Hellman exchange too: who steals the key later reads nothing of before.
//
// It must be random: at least 16 bytes of crypto/rand, better 32, and never a
// password or what was derived from one, however slowly. A client proves the key
// in its first message, to whoever listens or answers, who can then try
// every word of a dictionary against that at leisure, without talking to anybody
// again (RFC 9846, Section 2.2). A key shorter than 128 bits is refused. So
// are keys of which all bytes are the same; more cannot be told from a key.
//
// A key is imported (RFC 9258) unless it is said to be plain. It is bound to
// the names of its two sides, to TLS 1.3 and to one hash. That is what makes
// it safe to use the same key, on a member of a mesh, to dial and to listen: a
// message that somebody reflects to its sender (the Selfie attack), or reroutes to
// another member of the mesh, is for another pair of names and is refused. Where
// more than two members hold the same key, they must trust one another: each can take
// another's name. Better is a key for each pair.
//
// The identity and the names cross the network in the clear. A key that replaces
// another should have another identity; with the same one, the sessions that were made
// with the old key end with it.
//
// A PresharedKey prints as nothing of the key. It may be used by many Configs and
// connections at the same time. Its secrets are wiped by Wipe, or when the garbage
// collector finds it.
type PresharedKey struct {
	// It is behind a pointer, as the pointer is all that fmt prints where it
	// asks no method: for a %p, say.
	key *presharedKey
}

type presharedKey struct {
	identity string
	mark     [16]byte // kept with sessions, and tells the key from others of its name
	peer     string   // what we call the other side; empty for a plain key
	mu       sync.RWMutex
	forms    []keyForm // none after Wipe
}

// A keyForm is a key as it is used by one role, with one hash.
type keyForm struct {
	server   bool
	kind     schedule.BinderLabel
	suite    suite.ID // one of those that have the hash
	identity []byte   // as it crosses the wire
	secret   *volatile.Secret
}

// What a PresharedKey is made of may be so long.
const (
	minKey      = 16 // 128 bits
	maxIdentity = 2048
	maxContext  = 2048
	maxName     = 255 // the syntax of RFC 9258, Appendix B
)

// The suites that stand for their hashes.
const (
	withSHA256 = suite.AES128GCM
	withSHA384 = suite.AES256GCM
)

// versionTLS13 is the target protocol of a key (RFC 9258, Section 5.1).
const versionTLS13 = 0x0304

// NewPresharedKey imports a key, which is not kept: the caller may wipe it.
// identity names the key, from 1 to 2048 bytes. self and peer are the names of this side
// and of the other, from 1 to 255 bytes each, which are not the same: the other side has
// them the other way round. They need not be host names.
//
// To talk to another implementation of RFC 9258, give that the key with SHA-256 as its
// hash, and the context of the RFC's Appendix B: the client's name and then the server's,
// each behind one byte that is its length.
func NewPresharedKey(identity string, key []byte, self, peer string) (*PresharedKey, error) {
	if err := checkKey(identity, key); err != nil {
		return nil, err
	}
	switch {
	case self == "" || peer == "" || len(self) > maxName || len(peer) > maxName:
		return nil, configError("a pre-shared key needs the names of its two sides, from 1 to 255 bytes each")
	case self == peer:
		return nil, configError("the two sides of a pre-shared key have the same name: who is who could not be told, and a reflected message not be found")
	}
	k := &presharedKey{identity: identity, mark: markOf(key), peer: peer}
	for _, server := range []bool{false, true} {
		roles := &wire.RoleContext{Client: []byte(self), Server: []byte(peer)}
		if server {
			roles.Client, roles.Server = roles.Server, roles.Client
		}
		k.importFor(server, key, withSHA256, roles.Marshal())
	}
	return k.guarded(), nil
}

// NewImportedClientKey imports a key, of a client, with a context that is no pair of
// names: for another implementation of RFC 9258 that was given the same context, up to
// 2048 bytes, and the same hash of the key, crypto.SHA256 or crypto.SHA384. Where both
// are ours, or the other side can be told the context, NewPresharedKey says more: this
// context does not say who is the client and who the server, so a Config of a server
// refuses the key, and no program may have the same key for the other role. The key is
// not kept.
func NewImportedClientKey(identity string, key []byte, hash crypto.Hash, context []byte) (*PresharedKey, error) {
	return newImportedKey(identity, key, hash, context, false)
}

// NewImportedServerKey is NewImportedClientKey for a server: a Config of a client
// refuses it.
func NewImportedServerKey(identity string, key []byte, hash crypto.Hash, context []byte) (*PresharedKey, error) {
	return newImportedKey(identity, key, hash, context, true)
}

func newImportedKey(identity string, key []byte, hash crypto.Hash, context []byte, server bool) (*PresharedKey, error) {
	if err := checkKey(identity, key); err != nil {
		return nil, err
	}
	if len(context) > maxContext {
		return nil, configError("the context of an imported key has at most 2048 bytes")
	}
	k := &presharedKey{identity: identity, mark: markOf(key)}
	switch hash {
	case crypto.SHA256:
		k.importFor(server, key, withSHA256, context)
	case crypto.SHA384:
		k.importFor(server, key, withSHA384, context)
	default:
		return nil, configError("the hash of an imported key is crypto.SHA256 or crypto.SHA384")
	}
	return k.guarded(), nil
}

// NewPlainClientKey makes a key that is not imported, of a client: for a server that
// does not know RFC 9258, as OpenSSL (-psk) and GnuTLS before 3.8 do not. Its hash is
// SHA-256, so it goes with the suites of SHA-256 alone. It does not say who is
// the client and who the server, so a Config of a server refuses it, and no program may
// have the same key for the other role: it would accept its own messages. The key is
// copied.
func NewPlainClientKey(identity string, key []byte) (*PresharedKey, error) {
	return newPlainKey(identity, key, false)
}

// NewPlainServerKey is NewPlainClientKey for a server: a Config of a client refuses
// it.
func NewPlainServerKey(identity string, key []byte) (*PresharedKey, error) {
	return newPlainKey(identity, key, true)
}

func newPlainKey(identity string, key []byte, server bool) (*PresharedKey, error) {
	if err := checkKey(identity, key); err != nil {
		return nil, err
	}
	secret := volatile.CopyOf(key)
	k := &presharedKey{identity: identity, mark: markOf(key), forms: []keyForm{
		{server, schedule.ExternalBinder, withSHA256, []byte(identity), secret},
	}}
	return k.guarded(), nil
}

func checkKey(identity string, key []byte) error {
	switch {
	case identity == "" || len(identity) > maxIdentity:
		return configError("the identity of a pre-shared key has from 1 to 2048 bytes")
	case len(key) < minKey:
		return configError("a pre-shared key has at least 16 bytes, of crypto/rand: it is no password, which whoever sees one connection could find out by trying")
	case !slices.ContainsFunc(key, func(b byte) bool { return b != key[0] }):
		return configError("the bytes of a pre-shared key are all the same: it must be random, of crypto/rand")
	}
	return asConfigError(policy.Check())
}

// markOf derives a key's mark, from which nothing follows about the key.
func markOf(key []byte) (mark [16]byte) {
	derived := schedule.Expand(key, "mayfly psk mark", nil, len(mark))
	defer derived.Wipe()
	copy(mark[:], derived.Bytes())
	return mark
}

// importFor adds the forms of a key for a role, one for each hash of the suites: RFC
// 9258, Section 5.1. own stands for the hash that the key itself goes with.
func (k *presharedKey) importFor(server bool, key []byte, own suite.ID, context []byte) {
	for _, target := range []struct {
		suite suite.ID
		kdf   uint16
	}{{withSHA256, wire.KDFSHA256}, {withSHA384, wire.KDFSHA384}} {
		imported := (&wire.ImportedIdentity{
			External: []byte(k.identity), Context: context, Protocol: versionTLS13, KDF: target.kdf,
		}).Marshal()
		secret := schedule.Import(suite.ByID(own), key, imported, suite.ByID(target.suite))
		k.forms = append(k.forms, keyForm{server, schedule.ImportedBinder, target.suite, imported, secret})
	}
}

// guarded sees to it that the secrets are wiped when the key is dropped.
func (k *presharedKey) guarded() *PresharedKey {
	runtime.AddCleanup(k, wipeForms, k.forms)
	return &PresharedKey{k}
}

func wipeForms(forms []keyForm) {
	for _, f := range forms {
		f.secret.Wipe()
	}
}

// Identity returns the name of the key.
func (k *PresharedKey) Identity() string { return k.held().identity }

// Wipe destroys the key. From then on a client does not offer it, and a server does
// not know it. Connections that were made with it go on. It may be called again.
func (k *PresharedKey) Wipe() {
	held := k.held()
	held.mu.Lock()
	defer held.mu.Unlock()
	wipeForms(held.forms)
	held.forms = nil
}

const redactedKey = "mayfly.PresharedKey(redacted)"

// String returns a constant. So do the other methods by which values are printed.
func (k PresharedKey) String() string { return redactedKey }

// GoString is String.
func (k PresharedKey) GoString() string { return redactedKey }

// Format writes String, whatever the verb.
func (k PresharedKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedKey) }

// MarshalText is String.
func (k PresharedKey) MarshalText() ([]byte, error) { return []byte(redactedKey), nil }

// LogValue is String.
func (k PresharedKey) LogValue() slog.Value { return slog.StringValue(redactedKey) }

// held is the key. That of a nil or zero PresharedKey has no forms.
func (k *PresharedKey) held() *presharedKey {
	if k == nil || k.key == nil {
		return new(presharedKey)
	}
	return k.key
}

// has reports whether there is a form of the key for a role, with the hash of one of
// suites; nil suites are all.
func (k *presharedKey) has(server bool, suites []suite.ID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.ContainsFunc(k.forms, func(f keyForm) bool {
		return f.server == server && (suites == nil || slices.ContainsFunc(suites, func(id suite.ID) bool { return sameHash(id, f.suite) }))
	})
}

// identities are those that the key has on the wire for a role.
func (k *presharedKey) identities(server bool) (list [][]byte) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, f := range k.forms {
		if f.server == server {
			list = append(list, f.identity)
		}
	}
	return list
}

// use returns copies of the forms for a role that keep accepts, for one handshake.
func (k *presharedKey) use(server bool, keep func(*keyForm) bool) (psks []*handshake.PSK) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.forms {
		f := &k.forms[i]
		if f.server == server && keep(f) {
			psks = append(psks, &handshake.PSK{
				Identity: f.identity, Kind: f.kind, Suite: f.suite, Secret: f.secret.Clone(),
			})
		}
	}
	return psks
}
