// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// FuzzSessions reads what stands in a file of sessions: what can be read is written
// again as it was read.
func FuzzSessions(f *testing.F) {
	cache := NewSessionCache(0)
	for _, name := range []string{"a.example", "b.example"} {
		_ = cache.Put(context.Background(), name, &Session{&resumption.State{
			Suite: suite.AES128GCM, Secret: volatile.New(32), Ticket: []byte("ticket"), ServerName: name,
			Issued: time.Unix(1e9, 0), Authenticated: time.Unix(1e9, 0), Lifetime: time.Hour,
		}})
	}
	text, err := cache.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(text.Bytes()))
	f.Add([]byte{0, 1, 'a', 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		one, two := NewSessionCache(0), NewSessionCache(0)
		defer one.Wipe()
		defer two.Wipe()
		if !one.parse(b) {
			return
		}
		written, err := one.marshal()
		if err != nil {
			return
		}
		if !two.parse(written.Bytes()) {
			t.Fatalf("%x cannot be read again", written.Bytes())
		}
		if again, err := two.marshal(); err != nil || !bytes.Equal(again.Bytes(), written.Bytes()) {
			t.Fatalf("written again, it is another: %v", err)
		}
	})
}
