// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"slices"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// Binders of a second ClientHello that are over something else than the first one, the
// HelloRetryRequest and that ClientHello (RFC 9846, Section 4.3.11.2).
func TestPSKBadRetriedBinder(t *testing.T) {
	t.Parallel()
	s := suite.ByID(suite.AES128GCM)
	binderOf := func(transcript []byte) []byte {
		e := schedule.NewEarly(s, bytes.Repeat([]byte("a"), 32)) // as in newSafe
		defer e.Wipe()
		h := s.NewHash()
		h.Write(transcript)
		return e.Binder(schedule.ExternalBinder, h.Sum(nil))
	}
	prefix := func(raw []byte) []byte { return raw[:len(raw)-2-1-s.HashLen] }
	with := func(raw, binder []byte) []byte { return append(raw[:len(raw)-len(binder)], binder...) }
	for _, test := range []struct {
		name string
		edit func(first, second []byte) []byte
		good bool // of the first ClientHello: that the helpers are right
	}{
		{"flipped", func(_, second []byte) []byte { return last(second) }, false},
		{"the first one's", func(first, second []byte) []byte { return with(second, first[len(first)-s.HashLen:]) }, false},
		{"of the second ClientHello alone", func(_, second []byte) []byte { return with(second, binderOf(prefix(second))) }, false},
		{"of both, without the retry", func(first, second []byte) []byte {
			return with(second, binderOf(slices.Concat(first, prefix(second))))
		}, false},
		{"of the first, by hand", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			safe := newSafe("alpha")
			p := newPair(t, clientConfig(safe.offered, noShare), serverConfig(safe.alone))
			var first []byte
			p.tamper = func(from Role, raw []byte) [][]byte {
				if from != Client || wire.MessageType(raw[0]) != wire.ClientHelloType {
					return [][]byte{raw}
				}
				raw = slices.Clone(raw)
				switch {
				case first == nil:
					if first = raw; !bytes.Equal(binderOf(prefix(raw)), raw[len(raw)-s.HashLen:]) {
						t.Error("the binder is not what was thought")
					}
				case !test.good:
					raw = test.edit(first, raw)
				}
				return [][]byte{raw}
			}
			if test.good {
				p.mustSucceed(t)
				return
			}
			p.mustFail(t, Server, alert.DecryptError)
		})
	}
}
