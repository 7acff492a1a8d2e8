// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// printTrace returns a Trace that says on w what happens.
func printTrace(w io.Writer) *mayfly.Trace {
	start := time.Now()
	say := func(format string, args ...any) {
		line := fmt.Sprintf("%9.3f ms  ", float64(time.Since(start).Microseconds())/1000) + fmt.Sprintf(format, args...)
		_, _ = io.WriteString(w, line+"\n")
	}
	return &mayfly.Trace{
		HandshakeStart: func(_ context.Context, i mayfly.HandshakeStartInfo) {
			say("handshake with %v begins", i.RemoteAddr)
		},
		HandshakeDone: func(_ context.Context, i mayfly.HandshakeInfo) {
			if i.Err != nil {
				say("handshake with %v failed: %s", i.RemoteAddr, sentence(i.Err))
				return
			}
			how := ""
			if i.Resumed {
				how = ", a session resumed"
			}
			say("handshake with %v done: %s, %s, peer %s%s", i.RemoteAddr,
				tls.CipherSuiteName(i.CipherSuite), tls.CurveID(i.Group), describe(i.Peer), how)
		},
		KeysInstalled: func(_ context.Context, i mayfly.KeyInfo) { say("%s installed", keys(i)) },
		KeysDestroyed: func(_ context.Context, i mayfly.KeyInfo) { say("%s destroyed", keys(i)) },
		Rekeyed: func(_ context.Context, i mayfly.RekeyInfo) {
			say("keys for %s changed to generation %d: %s", i.Direction, i.Generation, i.Reason)
		},
		SessionError: func(_ context.Context, i mayfly.SessionErrorInfo) {
			say("sessions: %s: %s", i.Action, sentence(i.Err))
		},
		Closed: func(_ context.Context, i mayfly.CloseInfo) {
			if i.Err != nil {
				say("closed: %s", sentence(i.Err))
				return
			}
			say("closed")
		},
		AcceptError: func(_ context.Context, i mayfly.AcceptErrorInfo) {
			say("not accepted: %s", sentence(i.Err))
		},
	}
}

func keys(i mayfly.KeyInfo) string {
	switch {
	case i.Early:
		return fmt.Sprintf("keys of early data for %s", i.Direction)
	case i.Handshake:
		return fmt.Sprintf("handshake keys for %s", i.Direction)
	}
	return fmt.Sprintf("keys for %s, generation %d,", i.Direction, i.Generation)
}

// describe says in a few words who a peer is.
func describe(p mayfly.Peer) string {
	switch {
	case p.Kind == mayfly.Anonymous:
		return "nobody in particular"
	case p.Name != "":
		return fmt.Sprintf("%s (%s %s)", p.Name, p.Kind, p.Pin)
	}
	return fmt.Sprintf("%s %s", p.Kind, p.Pin)
}
