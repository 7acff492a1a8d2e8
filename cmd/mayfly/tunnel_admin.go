// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/tunnel"
)

// An admin serves metrics and health.
type admin struct {
	listener net.Listener
	tunnel   *tunnel.Tunnel
	security *security
	server   *http.Server
	draining atomic.Bool
}

func newAdmin(ln net.Listener, t *tunnel.Tunnel, s *security) *admin {
	a := &admin{listener: ln, tunnel: t, security: s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if a.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	return a
}

func (a *admin) serve() {
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		a.security.log.Error("metrics and health are not served any more", "error", err)
	}
}

func (a *admin) close() { _ = a.server.Close() }

// metrics writes the text format of Prometheus.
func (a *admin) metrics(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	s := a.tunnel.Stats()
	metrics.WriteGaugeUint64(&b, "mayfly_tunnel_connections", uint64(s.Live))
	for _, c := range []struct {
		name  string
		value uint64
	}{
		{"connections_accepted_total", s.Accepted},
		{`connections_ended_total{how="orderly"}`, s.Ended},
		{`connections_ended_total{how="cut"}`, s.Cut - s.Idle - s.Revoked},
		{`connections_ended_total{how="idle"}`, s.Idle},
		{`connections_ended_total{how="revoked"}`, s.Revoked},
		{"connections_over_limit_total", s.Crowded},
		{"connections_unreachable_total", s.Unreachable},
		{`connections_handed_over_total{to="another process"}`, s.HandedOn},
		{`connections_handed_over_total{to="this process"}`, s.TakenOver},
		{`handshakes_failed_total{why="refused"}`, s.Refused},
		{`handshakes_failed_total{why="other"}`, s.Failed},
		{`bytes_total{direction="sent"}`, s.Sent},
		{`bytes_total{direction="received"}`, s.Received},
		{`reloads_total{result="ok"}`, a.security.reloads.Load()},
		{`reloads_total{result="kept"}`, a.security.kept.Load()},
	} {
		metrics.WriteCounterUint64(&b, "mayfly_tunnel_"+c.name, c.value)
	}
	metrics.WriteProcessMetrics(&b)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}
