// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"crypto/rand"
	"net"
)

// A cookieJar seals what a Listener under load would have to remember of a client's first
// message, and opens it for the same client. It is a handshake.CookieJar.
type cookieJar struct {
	key    *SealingKey
	client string
}

func newCookieJar(key *SealingKey, remote net.Addr) *cookieJar {
	jar := &cookieJar{key: key}
	if remote != nil {
		jar.client = remote.String()
	}
	return jar
}

const cookiePurpose = "cookie"

// Seal makes a cookie.
func (j *cookieJar) Seal(state []byte) ([]byte, error) {
	return j.key.held().Seal(rand.Reader, state, cookiePurpose, j.client)
}

// Open returns what is in a cookie of ours.
func (j *cookieJar) Open(cookie []byte) (state []byte, ok bool) {
	text, err := j.key.held().Open(cookie, cookiePurpose, j.client)
	if err != nil {
		return nil, false
	}
	defer text.Wipe()
	return bytes.Clone(text.Bytes()), true
}
