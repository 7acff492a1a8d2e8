// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// TestCanceledWhileAnotherDials cancels a request that waits for another's connection
// to the same server, which answers nothing: it ends at once, and the other one goes
// on until it is canceled itself.
func TestCanceledWhileAnotherDials(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cc, _ := mayflytest.Configs(t)
	cc.HandshakeTimeout = -1
	tr := mayflyhttp.Transport(&mayfly.Dialer{Config: cc})
	defer tr.CloseIdleConnections()
	get := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		req, err := http.NewRequestWithContext(ctx, "GET", "https://"+silent.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			done <- err
		}()
		return done
	}
	firstCtx, cancelFirst := context.WithTimeout(t.Context(), 20*time.Second) // should the second hang on it
	defer cancelFirst()
	first := get(firstCtx)
	c, err := silent.Accept() // now it dials
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	second := get(ctx)
	cancel()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the second request: %v", err)
		}
	case err := <-first:
		t.Fatalf("the first request ended before the second: %v", err)
	}
	cancelFirst()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first request: %v", err)
	}
}
