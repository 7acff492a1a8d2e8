// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayflymetrics counts what happens on connections of mayfly for Prometheus:
// handshakes and why they failed, the time they took, key changes, keys in use, and how
// connections ended.
//
//	m, err := mayflymetrics.New(prometheus.DefaultRegisterer)
//	config.Trace = m.Trace(config.Trace)
//
// The metrics are these. No label's value is chosen by a peer, so that their number is
// bounded.
//
//	mayfly_handshakes_total{role,result}     result: "full", "resumed", an alert such as
//	                                         "bad_certificate", "timeout", "canceled",
//	                                         "truncated", "other"
//	mayfly_handshake_seconds{role,kind}      a histogram of those that have succeeded;
//	                                         kind: "full", "resumed"
//	mayfly_handshake_retries_total{role}     with a HelloRetryRequest
//	mayfly_negotiated_total{role,suite,group}
//	mayfly_rekeys_total{direction,reason}    direction: "sending", "receiving"
//	mayfly_keys{direction}                   application keys in use: a gauge, which also
//	                                         says how many connections are open
//	mayfly_closed_total{cause}               connections that were closed, failed handshakes
//	                                         among them; cause: "closed", "handed_on",
//	                                         "lifetime", or as result. What the peer or
//	                                         the network has cut counts as closed
//	mayfly_alerts_total{direction,alert}     fatal ones, counted when the connection is
//	                                         closed; direction: "sent", "received"
//	mayfly_session_errors_total{action}
//	mayfly_turned_away_total{reason}         by a Listener, before the handshake; reason:
//	                                         "limit", or "accept" for its own failures
//
// A connection that is dropped without Close is never counted as closed.
//
// The package knows the public API of mayfly alone, and nothing of secrets.
package mayflymetrics

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mayfly-tls/mayfly"
)

// Metrics are the counts of all connections whose Config has a Trace of theirs. All
// methods may be called at the same time.
type Metrics struct {
	handshakes, retries, negotiated, rekeys, ended, alerts, sessions, away *prometheus.CounterVec
	seconds                                                                *prometheus.HistogramVec
	keys                                                                   *prometheus.GaugeVec
}

// New makes Metrics and registers them. The error is the registry's: names that are taken,
// for instance by Metrics that were registered before.
func New(registry prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mayfly", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		handshakes: counter("handshakes_total", "Handshakes that have ended.", "role", "result"),
		retries:    counter("handshake_retries_total", "Handshakes with a HelloRetryRequest.", "role"),
		negotiated: counter("negotiated_total", "Handshakes that have succeeded, by cipher suite and key exchange.", "role", "suite", "group"),
		rekeys:     counter("rekeys_total", "Changes of application keys.", "direction", "reason"),
		ended:      counter("closed_total", "Connections that were closed, by what had ended them.", "cause"),
		alerts:     counter("alerts_total", "Fatal alerts of connections that were closed.", "direction", "alert"),
		sessions:   counter("session_errors_total", "Failures of session stores and ticket keys.", "action"),
		away:       counter("turned_away_total", "Connections that a listener turned away before the handshake, and its own failures.", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "mayfly", Name: "handshake_seconds", Help: "How long handshakes took that have succeeded.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // to 8 s
		}, []string{"role", "kind"}),
		keys: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "mayfly", Name: "keys", Help: "Application keys that are in use."}, []string{"direction"}),
	}
	all := []prometheus.Collector{m.handshakes, m.retries, m.negotiated, m.rekeys, m.ended, m.alerts, m.sessions, m.away, m.seconds, m.keys}
	for i, c := range all {
		if err := registry.Register(c); err != nil {
			for _, done := range all[:i] {
				registry.Unregister(done)
			}
			return nil, err
		}
	}
	return m, nil
}

// Trace returns hooks that count, and then call those of next, which may be nil.
func (m *Metrics) Trace(next *mayfly.Trace) *mayfly.Trace {
	if next == nil {
		next = new(mayfly.Trace)
	}
	return &mayfly.Trace{
		HandshakeStart: next.HandshakeStart,
		HandshakeDone:  both(m.handshakeDone, next.HandshakeDone),
		KeysInstalled:  both(func(info mayfly.KeyInfo) { m.count(info, 1) }, next.KeysInstalled),
		KeysDestroyed:  both(func(info mayfly.KeyInfo) { m.count(info, -1) }, next.KeysDestroyed),
		Rekeyed: both(func(info mayfly.RekeyInfo) {
			m.rekeys.WithLabelValues(info.Direction.String(), info.Reason.String()).Inc()
		}, next.Rekeyed),
		SessionError: both(func(info mayfly.SessionErrorInfo) { m.sessions.WithLabelValues(info.Action).Inc() }, next.SessionError),
		Closed:       both(m.closed, next.Closed),
		AcceptError:  both(m.acceptError, next.AcceptError),
	}
}

// both is a hook that counts, then calls next.
func both[T any](count func(T), next func(context.Context, T)) func(context.Context, T) {
	return func(ctx context.Context, info T) {
		count(info)
		if next != nil {
			next(ctx, info)
		}
	}
}

func (m *Metrics) handshakeDone(info mayfly.HandshakeInfo) {
	role := "client"
	if info.Server {
		role = "server"
	}
	if info.HelloRetry {
		m.retries.WithLabelValues(role).Inc()
	}
	if info.Err != nil {
		m.handshakes.WithLabelValues(role, cause(info.Err)).Inc()
		return
	}
	kind := "full"
	if info.Resumed {
		kind = "resumed"
	}
	m.handshakes.WithLabelValues(role, kind).Inc()
	m.seconds.WithLabelValues(role, kind).Observe(info.Duration.Seconds())
	m.negotiated.WithLabelValues(role, tls.CipherSuiteName(info.CipherSuite), tls.CurveID(info.Group).String()).Inc()
}

// count counts application keys.
func (m *Metrics) count(info mayfly.KeyInfo, n float64) {
	if !info.Early && !info.Handshake {
		m.keys.WithLabelValues(info.Direction.String()).Add(n)
	}
}

func (m *Metrics) closed(info mayfly.CloseInfo) {
	m.ended.WithLabelValues(cause(info.Err)).Inc()
	if e, ok := errors.AsType[*mayfly.AlertError](info.Err); ok && e.Remote {
		m.alerts.WithLabelValues("received", e.Code.String()).Inc()
	} else if ok {
		m.alerts.WithLabelValues("sent", e.Code.String()).Inc()
	}
}

func (m *Metrics) acceptError(info mayfly.AcceptErrorInfo) {
	reason := "accept"
	if info.RemoteAddr != nil {
		reason = "limit"
	}
	m.away.WithLabelValues(reason).Inc()
}

// cause names an error by a word of which there are few.
func cause(err error) string {
	if e, ok := errors.AsType[*mayfly.AlertError](err); ok {
		return e.Code.String()
	}
	switch {
	case err == nil, errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.Is(err, mayfly.ErrDetached):
		return "handed_on"
	case errors.Is(err, mayfly.ErrLifetime):
		return "lifetime"
	case errors.Is(err, mayfly.ErrTruncated):
		return "truncated"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "other"
}
