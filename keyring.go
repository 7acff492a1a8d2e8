// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"sync"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// keyring holds the secrets that belong to neither half: the machine's, while the
// handshake runs, and after it the exporter's and that of the tickets to come.
type keyring struct {
	mu       sync.Mutex
	machine  *handshake.Machine
	exporter *schedule.Exporter

	resumption *schedule.Resumption // a client's, for the tickets to come
	early      *schedule.Exporter   // where early data was accepted
}

func (k *keyring) wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.machine != nil {
		k.machine.Wipe()
	}
	if k.exporter != nil {
		k.exporter.Wipe()
	}
	k.resumption.Wipe()
	k.early.Wipe()
	k.machine, k.exporter, k.resumption, k.early = nil, nil, nil, nil
}

// hold takes over the machine's secrets.
func (k *keyring) hold(m *handshake.Machine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine = m
}

// keep takes over the exporter's, and ends the machine's.
func (k *keyring) keep(x *schedule.Exporter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine, k.exporter = nil, x
}

// keepResumption takes over that of the tickets to come; nil if none are wanted.
func (k *keyring) keepResumption(r *schedule.Resumption) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resumption = r
}

// keepEarly takes over the early exporter's.
func (k *keyring) keepEarly(x *schedule.Exporter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.early = x
}

func (k *keyring) exportEarly(label string, context []byte, n int) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.early == nil {
		return nil, errors.New("mayfly: early keying material can be exported from an open connection whose early data was accepted")
	}
	return k.early.Export(label, context, n)
}

// ticketPSK returns the key of a ticket; nil where none is wanted any more.
func (k *keyring) ticketPSK(nonce []byte) *volatile.Secret {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.resumption == nil {
		return nil
	}
	return k.resumption.PSK(nonce)
}

func (k *keyring) export(label string, context []byte, n int) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.exporter == nil {
		return nil, errors.New("mayfly: keying material can be exported from an open connection only")
	}
	return k.exporter.Export(label, context, n)
}
