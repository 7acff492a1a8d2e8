// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"errors"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

// AnyOf accepts a peer that one of its members accepts. They are asked in order,
// and Conn.Peer is what the first that accepts says. Verify accepts nobody by
// itself, so it cannot be a member: put it into an AllOf.
func AnyOf(peers ...Peers) Peers { return anyOf(slices.Clone(peers)) }

// AllOf accepts a peer that all of its members accept. The Verify functions among
// them run after all the others, in their order.
func AllOf(peers ...Peers) Peers {
	all := new(allOf)
	for _, p := range peers {
		switch p := p.(type) {
		case verifier:
			all.checks = append(all.checks, p)
		case *allOf:
			all.members = append(all.members, p.members...)
			all.checks = append(all.checks, p.checks...)
			if len(p.members)+len(p.checks) == 0 {
				all.members = append(all.members, p) // to be found by validate
			}
		default:
			all.members = append(all.members, p)
		}
	}
	return all
}

// Verify adds a judgement of the application's: f sees the peer after its keys,
// chains and names were checked, and refuses it by an error. It accepts nobody by
// itself: its place is in AllOf(Pins(…), Verify(f)), and AllOf(AnyKey(), Verify(f))
// is where f alone decides about keys. ctx is that of the handshake. f must be
// safe for concurrent use.
func Verify(f func(ctx context.Context, p Peer) error) Peers { return verifier(f) }

type anyOf []Peers

func (a anyOf) validate(server bool, facts configFacts) error {
	if len(a) == 0 {
		return configError("AnyOf is empty, which accepts nobody: give it members")
	}
	for _, p := range a {
		switch p.(type) {
		case nil:
			return configError("AnyOf has a member that is nil")
		case verifier:
			return configError("Verify accepts nobody by itself: in AnyOf, put it into an AllOf with what it adds to, as in AllOf(Pins(…), Verify(f))")
		case anyServer:
			if len(a) > 1 && !server {
				return configError("InsecureAnyServer accepts every server: what stands beside it in AnyOf means nothing")
			}
		}
		if err := p.validate(server, facts); err != nil {
			return err
		}
	}
	return nil
}

func (a anyOf) explicitName() bool { return slices.ContainsFunc(a, goesByName) }

func (a anyOf) requirement(server bool) (request, require bool, types []credential.Type) {
	require = true
	for _, p := range a {
		asks, insists, accepts := p.requirement(server)
		request, require = request || asks, require && insists
		for _, t := range accepts {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return request, require, types
}

// authorities are a wish only if every member has one.
func (a anyOf) authorities() [][]byte {
	var all [][]byte
	total := 0
	for _, p := range a {
		if takesPSKsAlone(p) {
			continue
		}
		names := p.authorities()
		if names == nil {
			return nil
		}
		for _, name := range names {
			if total += len(name) + 2; total > maxAuthorities {
				return nil
			}
		}
		all = append(all, names...)
	}
	return all
}

func (a anyOf) judge(ctx context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	var failed []error
	best := 0
	for _, member := range a {
		peer, err := member.judge(ctx, facts, p)
		if err == nil {
			return peer, nil
		}
		failed = append(failed, err)
		if telling(p, err) > telling(p, failed[best]) {
			best = len(failed) - 1
		}
	}
	return Peer{}, chosen(failed, best)
}

// telling says how much an error of a judge tells the user.
func telling(p *credential.Peer, err error) refuser {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.by
	}
	switch code := alert.Of(err); {
	case p == nil || p.Type == credential.RawPublicKey && code == alert.UnsupportedCertificate:
		return byKind
	case code == alert.UnknownCA:
		return byAuthority
	}
	return byCertificate
}

// chosen is the error of AnyOf: it speaks as one of its members' errors does, and
// errors.Is finds them all.
func chosen(failed []error, best int) error {
	if len(failed) == 1 {
		return failed[0]
	}
	e, ok := errors.AsType[*alert.Error](failed[best])
	if !ok {
		e = alert.Wrap(alert.InternalError, "the peer could not be judged", failed[best])
	}
	if e.Err == nil {
		return alert.Wrap(e.Code, "the peer was refused", &spoken{reason: e.Reason, all: failed})
	}
	return alert.Wrap(e.Code, e.Reason, &spoken{reason: e.Err.Error(), all: failed})
}

type spoken struct {
	reason string
	all    []error
}

func (s *spoken) Error() string   { return s.reason }
func (s *spoken) Unwrap() []error { return s.all }

type allOf struct {
	members []Peers
	checks  []verifier
}

func (a *allOf) validate(server bool, facts configFacts) error {
	switch {
	case len(a.members)+len(a.checks) == 0:
		return configError("AllOf is empty: give it members")
	case len(a.members) == 0:
		return errOnlyVerify
	}
	for _, check := range a.checks {
		if check == nil {
			return configError("Verify was given no function")
		}
	}
	for _, p := range a.members {
		if p == nil {
			return configError("AllOf has a member that is nil")
		}
		if err := p.validate(server, facts); err != nil {
			return err
		}
		if _, require, _ := p.requirement(server); !require {
			return configError("NoClientAuth cannot be in AllOf: what the others check is a key, and it does without one")
		}
	}
	if takesPSKsAlone(a) {
		if pskSources(a) == nil {
			return configError("AllOf has PSKs beside what checks another key: a peer that has a pre-shared key shows no other, so put them into AnyOf")
		}
		return nil
	}
	if _, _, types := a.requirement(server); len(types) == 0 {
		return configError("AllOf has members that accept no common type of credential")
	}
	return nil
}

func (a *allOf) explicitName() bool { return slices.ContainsFunc(a.members, goesByName) }

func (a *allOf) requirement(server bool) (request, require bool, types []credential.Type) {
	if takesPSKsAlone(a) {
		return false, true, nil
	}
	types = slices.Clone(anyType)
	for _, p := range a.members {
		_, _, accepts := p.requirement(server)
		types = slices.DeleteFunc(types, func(t credential.Type) bool { return !slices.Contains(accepts, t) })
	}
	return true, true, types
}

// authorities are those of the first member that has a wish.
func (a *allOf) authorities() [][]byte {
	for _, p := range a.members {
		if names := p.authorities(); names != nil {
			return names
		}
	}
	return nil
}

func (a *allOf) judge(ctx context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	var peer Peer
	for i, member := range a.members {
		next, err := member.judge(ctx, facts, p)
		if err != nil {
			return Peer{}, err
		}
		if i == 0 {
			peer = next
			continue
		}
		if peer.Name == "" {
			peer.Name = next.Name
		}
		if peer.Chains == nil {
			peer.Chains = next.Chains
		}
	}
	if len(a.checks) > 0 && p.Flaw() != nil {
		return Peer{}, p.Flaw() // Verify may go by what stands in a certificate
	}
	for _, check := range a.checks {
		if err := check(ctx, peer); err != nil {
			return Peer{}, refuse(byVerify, "Verify said: "+err.Error(), err)
		}
	}
	return peer, nil
}

// goesByName is explicitName, before validate has looked for nil.
func goesByName(p Peers) bool { return p != nil && p.explicitName() }

type verifier func(context.Context, Peer) error

var errOnlyVerify = configError("Verify accepts nobody by itself: put it beside what it adds to, as in AllOf(Pins(…), Verify(f))")

func (verifier) validate(bool, configFacts) error { return errOnlyVerify }
func (verifier) explicitName() bool               { return false }
func (verifier) authorities() [][]byte            { return nil }

func (verifier) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, nil
}

func (verifier) judge(context.Context, judgeFacts, *credential.Peer) (Peer, error) {
	return Peer{}, alert.Wrap(alert.InternalError, "the peer could not be judged", errOnlyVerify)
}
