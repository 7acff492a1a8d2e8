// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/mayfly-tls/mayfly/internal/credential"
)

// Pins accepts the peers that have one of the keys, whether they show it as a raw
// public key or as the leaf of an X.509 chain. A pin is the whole check: the
// chain, the name, the dates and the key usage in a certificate play no part, and its
// other certificates do not count: a certificate that crypto/x509 cannot parse is
// accepted where its SubjectPublicKeyInfo has the pin, and Peer.Certificates is then
// empty. Roots, Verify and Config.VerifyConnection refuse such a peer all the same, so
// that AllOf(Pins(…), Roots(…)) does and AnyOf(Pins(…), Roots(…)) does not. An empty list
// is an error when the Config is used.
func Pins(pins ...Pin) Peers { return NewPinSet(pins...) }

// MustParsePins is ParsePins for constants: it panics where ParsePins returns an error.
func MustParsePins(pins ...string) Peers {
	peers, err := ParsePins(pins...)
	if err != nil {
		panic(err.Error())
	}
	return peers
}

// ParsePins is Pins for pins as String writes them. It returns an error if a pin is
// malformed, or if there is none.
func ParsePins(pins ...string) (Peers, error) {
	if len(pins) == 0 {
		return nil, errNoPins
	}
	parsed := make([]Pin, len(pins))
	for i, s := range pins {
		var err error
		if parsed[i], err = ParsePin(s); err != nil {
			return nil, fmt.Errorf("%w (the pin with the index %d)", err, i)
		}
	}
	return NewPinSet(parsed...), nil
}

var errNoPins = configError("a list of pins is empty, which accepts nobody: give it the pins of the peers")

// A PinSet is a list of pins, as Pins has, that can be changed while connections
// are made with it. A change counts from the next handshake on; Listener.CloseIf
// ends the connections of those that were removed. A PinSet that is empty when its
// Config is first used is an error; one that is emptied later accepts nobody.
type PinSet struct {
	mu   sync.RWMutex
	pins []Pin
}

var _ Peers = (*PinSet)(nil)

// NewPinSet returns a set with some pins.
func NewPinSet(pins ...Pin) *PinSet {
	s := new(PinSet)
	s.Replace(pins...)
	return s
}

// Add puts pins into the set.
func (s *PinSet) Add(pins ...Pin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pins {
		if !slices.Contains(s.pins, p) {
			s.pins = append(s.pins, p)
		}
	}
}

// Remove takes pins out of the set.
func (s *PinSet) Remove(pins ...Pin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins = slices.DeleteFunc(s.pins, func(p Pin) bool { return slices.Contains(pins, p) })
}

// Replace makes pins the whole set, in one step.
func (s *PinSet) Replace(pins ...Pin) {
	pins = slices.Clone(pins)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins = pins
}

// Contains reports whether a pin is in the set.
func (s *PinSet) Contains(pin Pin) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := false
	for _, p := range s.pins {
		found = p.is(pin) || found
	}
	return found
}

func (s *PinSet) validate(bool, configFacts) error {
	if s == nil {
		return errNoPins
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.pins) == 0 {
		return errNoPins
	}
	return nil
}

func (s *PinSet) explicitName() bool    { return false }
func (s *PinSet) authorities() [][]byte { return nil }

func (s *PinSet) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (s *PinSet) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err != nil {
		return Peer{}, err
	}
	if !s.Contains(peer.Pin) {
		return Peer{}, refuse(byList, "its key "+peer.Pin.String()+" is not on the list", nil)
	}
	return peer, nil
}
