// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"errors"
	"math"

	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// maxLabel is the longest label: an HkdfLabel holds at most 255 bytes, of which
// "tls13 " takes six.
const maxLabel = 255 - 6

// The errors of Export.
var (
	ErrExporterWiped  = errors.New("schedule: the exporter was wiped")
	ErrExporterLabel  = errors.New("schedule: exporter label empty or too long")
	ErrExporterLength = errors.New("schedule: exported length out of range")
)

// Exporter is an exporter secret.
type Exporter struct {
	suite  *suite.Suite
	secret *volatile.Secret
}

// Export returns n bytes of keying material, which the caller owns: RFC 9846,
// Section 7.5. No context is the same as an empty one.
func (x *Exporter) Export(label string, context []byte, n int) ([]byte, error) {
	switch {
	case x == nil || x.secret.Len() == 0:
		return nil, ErrExporterWiped
	case label == "" || len(label) > maxLabel:
		return nil, ErrExporterLabel
	case n < 0 || n > min(255*x.suite.HashLen, math.MaxUint16):
		return nil, ErrExporterLength
	}
	h := x.suite.NewHash()
	h.Write(context)
	contextHash := h.Sum(nil)
	out := make([]byte, n)
	derive(x.suite, x.secret.Bytes(), func(k *kdf) {
		derived := k.deriveSecret(label, k.empty)
		k.setKey(derived.Bytes())
		k.expandLabel(out, "exporter", contextHash)
		derived.Wipe()
	})
	return out, nil
}

// ContinueExporter returns an exporter secret that was another process's before. It
// takes ownership of it.
func ContinueExporter(s *suite.Suite, secret *volatile.Secret) *Exporter {
	return &Exporter{suite: s, secret: secret}
}

// Secret lends the secret, for the key log and for handing it on.
func (x *Exporter) Secret() []byte { return x.secret.Bytes() }

// Wipe destroys the secret. It may be called again, and on nil.
func (x *Exporter) Wipe() {
	if x != nil {
		x.secret.Wipe()
	}
}

// Resumption is resumption_secret.
type Resumption struct {
	suite  *suite.Suite
	secret *volatile.Secret
}

// ContinueResumption returns a resumption secret that was another process's before. It
// takes ownership of it.
func ContinueResumption(s *suite.Suite, secret *volatile.Secret) *Resumption {
	return &Resumption{suite: s, secret: secret}
}

// Secret lends the secret, for handing it on; nil on nil.
func (r *Resumption) Secret() []byte {
	if r == nil {
		return nil
	}
	return r.secret.Bytes()
}

// PSK returns the PSK of the ticket with that nonce: RFC 9846, Section 4.7.1. The
// caller owns it. The nonce is at most 255 bytes, as the message has it.
func (r *Resumption) PSK(ticketNonce []byte) *volatile.Secret {
	psk := volatile.New(r.suite.HashLen)
	derive(r.suite, mustHave(r.secret), func(k *kdf) { k.expandLabel(psk.Bytes(), "resumption", ticketNonce) })
	return psk
}

// Wipe destroys the secret. It may be called again, and on nil.
func (r *Resumption) Wipe() {
	if r != nil {
		r.secret.Wipe()
	}
}

// Expand derives n bytes of a secret of our own, which is no part of the schedule, by
// HKDF-Expand-Label with SHA-256. The caller owns them.
func Expand(secret []byte, label string, context []byte, n int) *volatile.Secret {
	out := volatile.New(n)
	derive(suite.ByID(suite.ChaCha20Poly1305), secret, func(k *kdf) { k.expandLabel(out.Bytes(), label, context) })
	return out
}
