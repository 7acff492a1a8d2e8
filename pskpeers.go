// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/subtle"
	"slices"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// PSKs accepts the peers that prove to hold one of the keys. A client offers all of
// them, at most four; a server takes the first of its own that the client names.
// Conn.Peer says which it was: Peer.PSKIdentity is the key's name, Peer.Name the peer's.
//
// By itself it makes a side that has pre-shared keys alone: without Identity and
// Certificates, which nobody would see. Such a server answers a client that names a
// key which is not there as it answers one that does not hold the key, with
// decrypt_error, after as much work: nobody can find out the names of its keys by
// trying (RFC 9846, Appendix F.6).
//
// In AnyOf, with Pins for example, a server falls back to its Identity and
// Certificates where the client names no key that is there. That gives away the
// names: who names a key that is there, and does not hold it, gets an alert, and who
// names another one gets the certificate. In AllOf there can be Verify beside it; a
// peer that has a key and shows a certificate too, there is not in TLS 1.3.
func PSKs(keys ...*PresharedKey) Peers {
	l := &pskList{keys: slices.Clone(keys), byIdentity: make(map[wireIdentity]*PresharedKey)}
	for _, k := range keys {
		for _, server := range []bool{false, true} {
			for _, identity := range k.held().identities(server) {
				name := wireIdentity{server, string(identity)}
				l.ambiguous = l.ambiguous || l.byIdentity[name] != nil
				l.byIdentity[name] = k
			}
		}
	}
	return l
}

// PSKLookup is PSKs for a server that keeps its keys elsewhere, or makes them as they
// are asked for: find returns the key that a client names, or nil, and no error, if
// there is none. Nothing is proved by then. An error ends the handshake with
// internal_error. A key that does not fit the offer, in its names for example, is as
// good as none.
//
// For a server that has pre-shared keys alone, an unknown key should take find as long as
// a known one. A client may name several keys, and names an imported one once for each
// hash: such a server looks up the first eight, whether a key is there or not, and others
// stop at the first that is there; again after a HelloRetryRequest. ctx is that of the
// handshake. find must be safe for concurrent use. A key that it makes anew each time is
// wiped when the garbage collector finds it.
func PSKLookup(find func(ctx context.Context, offer PSKOffer) (*PresharedKey, error)) Peers {
	return &pskLookup{f: find}
}

// A PSKOffer is the name of a key that a client says it holds, as PSKLookup sees it.
type PSKOffer struct {
	// Identity is that of NewPresharedKey or NewPlainServerKey.
	Identity string

	// Client and Server are the names that an imported key is bound to: for
	// NewPresharedKey, on this server, peer and self. Both are empty for a plain key.
	Client, Server string
}

// maxOffered is how many keys a client offers: an imported key has two identities,
// and servers look up no more than a few.
const maxOffered = 4

// A pskSource is Peers that has pre-shared keys.
type pskSource interface {
	// offers are the keys that a client offers.
	offers() []*PresharedKey

	// find returns the key of an identity, nil if there is none.
	find(ctx context.Context, identity []byte) (*PresharedKey, error)
}

// A usedKey is a key that a handshake may use. It is the Origin of the machine's.
type usedKey struct {
	*PresharedKey
	source   pskSource
	identity []byte // as it crossed the wire
}

type pskList struct {
	onlyPSKs
	keys       []*PresharedKey
	byIdentity map[wireIdentity]*PresharedKey
	ambiguous  bool // two of the keys have the same identity
}

type wireIdentity struct {
	server   bool // it is the server that knows the key by it
	identity string
}

func (l *pskList) validate(server bool, facts configFacts) error {
	if len(l.keys) == 0 {
		return configError("PSKs has no key, which accepts nobody: give it the keys of the peers")
	}
	if !server && len(l.keys) > maxOffered {
		return configError("a client offers at most four pre-shared keys: give each server a Config with its own")
	}
	for _, k := range l.keys {
		held := k.held()
		switch {
		case !held.has(false, nil) && !held.has(true, nil):
			return configError("PSKs has a key that is nil or was wiped")
		case !held.has(server, nil) && server:
			return configError("PSKs has a key of NewPlainClientKey or NewImportedClientKey, and this is a server: such a key is for one role, as a message sent back to its sender would be accepted otherwise")
		case !held.has(server, nil):
			return configError("PSKs has a key of NewPlainServerKey or NewImportedServerKey, and this is a client: such a key is for one role, as a message sent back to its sender would be accepted otherwise")
		case !held.has(server, facts.Suites):
			return configError("PSKs has a plain key, which goes with SHA-256, and CipherSuites has none of that hash")
		}
	}
	if l.ambiguous {
		return configError("PSKs has two keys with the same identity and the same names")
	}
	return nil
}

func (l *pskList) offers() []*PresharedKey { return l.keys }

func (l *pskList) find(_ context.Context, identity []byte) (*PresharedKey, error) {
	return l.byIdentity[wireIdentity{true, string(identity)}], nil
}

func (l *pskList) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	if err := wantsKey(p); err != nil {
		return Peer{}, err
	}
	return keyHolder(facts, p, l.byIdentity[wireIdentity{facts.Server, string(p.PSKIdentity)}])
}

type pskLookup struct {
	onlyPSKs
	f func(context.Context, PSKOffer) (*PresharedKey, error)
}

func (l *pskLookup) validate(server bool, _ configFacts) error {
	switch {
	case l.f == nil:
		return configError("PSKLookup was given no function")
	case !server:
		return configError("PSKLookup is a server's: a client sets PSKs, with the keys to offer")
	}
	return nil
}

func (l *pskLookup) offers() []*PresharedKey { return nil }

func (l *pskLookup) find(ctx context.Context, identity []byte) (*PresharedKey, error) {
	k, err := l.f(ctx, offerOf(identity))
	switch {
	case err != nil:
		return nil, alert.Wrap(alert.InternalError, "the pre-shared key could not be looked up", err)
	case k == nil || !slices.ContainsFunc(k.held().identities(true), func(id []byte) bool { return string(id) == string(identity) }):
		return nil, nil
	}
	return k, nil
}

// judge asks again about a peer that is known by an earlier connection, and else goes
// by what was found.
func (l *pskLookup) judge(ctx context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	if err := wantsKey(p); err != nil {
		return Peer{}, err
	}
	if used := facts.Key; used != nil {
		if used.source != l {
			return keyHolder(facts, p, nil)
		}
		return keyHolder(facts, p, used.PresharedKey)
	}
	k, err := l.find(ctx, p.PSKIdentity)
	if err != nil {
		return Peer{}, err
	}
	return keyHolder(facts, p, k)
}

// offerOf reads an identity: what is not that of an imported key with names is
// that of a plain one.
func offerOf(identity []byte) PSKOffer {
	if imported, ok := wire.ParseImportedIdentity(identity); ok {
		if roles, ok := wire.ParseRoleContext(imported.Context); ok {
			return PSKOffer{string(imported.External), string(roles.Client), string(roles.Server)}
		}
	}
	return PSKOffer{Identity: string(identity)}
}

// onlyPSKs is what PSKs and PSKLookup have in common.
type onlyPSKs struct{}

func (onlyPSKs) explicitName() bool    { return false }
func (onlyPSKs) authorities() [][]byte { return nil }

// requirement asks for no credential, and would not do without one.
func (onlyPSKs) requirement(bool) (request, require bool, types []credential.Type) {
	return false, true, nil
}

// wantsKey refuses a peer that has shown no pre-shared key.
func wantsKey(p *credential.Peer) error {
	switch {
	case p == nil:
		return alert.New(alert.CertificateRequired, "the peer showed no key")
	case p.PSKIdentity == nil:
		return refuse(byKind, "it shows a key of its own, and what is accepted is a pre-shared key", nil)
	}
	return nil
}

// keyHolder says who a peer is that holds k, which is nil if that is not welcome, and
// may have been wiped since. A key that has come in the place of another, under the same
// name, does not speak for who held the other.
func keyHolder(facts judgeFacts, p *credential.Peer, k *PresharedKey) (Peer, error) {
	held := k.held()
	if !held.has(facts.Server, nil) || subtle.ConstantTimeCompare(held.mark[:], p.PSKMark[:]) != 1 {
		return Peer{}, refuse(byList, "its pre-shared key is not on the list", nil)
	}
	return Peer{Kind: PSK, PSKIdentity: []byte(k.Identity()), Name: held.peer, Resumed: facts.Resumed}, nil
}

// takesPSKsAlone reports whether p accepts nobody without a pre-shared key.
func takesPSKsAlone(p Peers) bool {
	isOther := func(p Peers) bool { return !takesPSKsAlone(p) }
	switch p := p.(type) {
	case pskSource:
		return true
	case anyOf:
		return len(p) > 0 && !slices.ContainsFunc(p, isOther)
	case *allOf:
		return slices.ContainsFunc(p.members, takesPSKsAlone)
	}
	return false
}

// pskSources are those of whose keys p accepts some.
func pskSources(p Peers) []pskSource {
	switch p := p.(type) {
	case pskSource:
		return []pskSource{p}
	case anyOf:
		var all []pskSource
		for _, member := range p {
			all = append(all, pskSources(member)...)
		}
		return all
	case *allOf:
		// Those of its first member, if all of them might agree on one.
		for _, member := range p.members {
			if pskSources(member) == nil {
				return nil
			}
		}
		if len(p.members) > 0 {
			return pskSources(p.members[0])
		}
	}
	return nil
}

// offerPSKs returns the external keys that a client offers, those first that go with
// its first suite.
func (i *introduction) offerPSKs() []*handshake.PSK {
	var psks []*handshake.PSK
	for _, source := range pskSources(i.settings.Peers) {
		for _, k := range source.offers() {
			for _, psk := range k.held().use(false, i.goesWithSuites) {
				psk.Origin = &usedKey{k, source, psk.Identity}
				psks = append(psks, psk)
			}
		}
	}
	first := func(psk *handshake.PSK) int {
		return slices.IndexFunc(i.settings.suites, func(id suite.ID) bool { return sameHash(id, psk.Suite) })
	}
	slices.SortStableFunc(psks, func(a, b *handshake.PSK) int { return first(a) - first(b) })
	return psks
}

// findPSK looks up an external key that a client has offered; nil if it is unknown.
func (i *introduction) findPSK(offer handshake.Offer) (*handshake.PSK, error) {
	for _, source := range pskSources(i.settings.Peers) {
		k, err := source.find(i.ctx, offer.Identity)
		if err != nil {
			return nil, err
		}
		psks := k.held().use(true, func(f *keyForm) bool { return string(f.identity) == string(offer.Identity) })
		if len(psks) > 0 {
			psks[0].Origin = &usedKey{k, source, psks[0].Identity}
			if list, ok := source.(*pskList); ok {
				psks[0].Rank = slices.Index(list.keys, k)
			}
			return psks[0], nil
		}
	}
	return nil, nil
}

// goesWithSuites reports whether we have a suite for a form of a key.
func (i *introduction) goesWithSuites(f *keyForm) bool {
	return slices.ContainsFunc(i.settings.suites, func(id suite.ID) bool { return sameHash(id, f.suite) })
}

// sameHash reports whether two suites have the same hash.
func sameHash(a, b suite.ID) bool { return suite.ByID(a).HashLen == suite.ByID(b).HashLen }

// judgePresharedKey asks Peers about a peer that has proved to hold the key.
func (i *introduction) judgePresharedKey(used *usedKey) error {
	return i.judge(&credential.Peer{PSKIdentity: used.identity, PSKMark: used.held().mark}, used, false)
}
