// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"sync"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/schedule"
)

// keyring holds the secrets that belong to neither half: the machine's, while the
// handshake runs, and the exporter's after it.
type keyring struct {
	mu       sync.Mutex
	machine  *handshake.Machine
	exporter *schedule.Exporter
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
	k.machine, k.exporter = nil, nil
}

// hold takes over the machine's secrets.
func (k *keyring) hold(m *handshake.Machine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine = m
}

// keep takes over what outlives the handshake.
func (k *keyring) keep(x *schedule.Exporter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine, k.exporter = nil, x
}

func (k *keyring) export(label string, context []byte, n int) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.exporter == nil {
		return nil, errors.New("mayfly: keying material can be exported from an open connection only")
	}
	return k.exporter.Export(label, context, n)
}
