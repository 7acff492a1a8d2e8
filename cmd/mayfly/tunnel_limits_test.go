// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTunnelLimits shows that --idle and --lifetime cut a connection, so that it does not
// look like an end, that --max-connections turns the next one away, and what the logs say.
func TestTunnelLimits(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, client *tunnelProcess) net.Conn {
		c, err := net.Dial("tcp", client.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	for _, limit := range []struct{ flag, says string }{
		{"--idle", "nothing was carried"},
		{"--lifetime", "MaxLifetime"},
	} {
		t.Run(limit.flag, func(t *testing.T) {
			t.Parallel()
			server, client := tunnels(t, echoTarget(t), limit.flag, "200ms")
			c := open(t, client)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v; want a reset", err)
			}
			// Each side has the limit, and the other is told of the one that was faster.
			said := fmt.Sprint(server.await("connection cut")["error"], client.await("connection cut")["error"])
			if !strings.Contains(said, limit.says) {
				t.Errorf("the logs say %q", said)
			}
		})
	}
	t.Run("--max-connections", func(t *testing.T) {
		t.Parallel()
		_, client := tunnels(t, echoTarget(t), "--max-connections", "1")
		c := open(t, client)
		echoes(t, c)
		expectReset(t, client.addr)
		client.await("connection refused: as many as are allowed are there")
		echoes(t, c)
	})
}
