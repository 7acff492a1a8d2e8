// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflytest_test

import (
	"io"
	"testing"

	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestGreeting is a test of a protocol that begins with a greeting of the server's.
func TestGreeting(t *testing.T) {
	client, server := mayflytest.Pair(t)
	go func() {
		_, _ = io.WriteString(server, "hello")
		_ = server.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}
