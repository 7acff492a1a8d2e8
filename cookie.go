// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"crypto/rand"
	"strconv"
)

// A cookieJar seals what a Listener under load would have to remember of a client's first
// message, and opens it on the same connection: another that had the same address may
// have got another Config, by whose suites and groups its cookie goes. It is a
// handshake.CookieJar.
type cookieJar struct {
	key  *SealingKey
	conn string
}

// newCookieJar makes the jar of the nth connection, by its Listener's key.
func newCookieJar(key *SealingKey, n uint64) *cookieJar {
	return &cookieJar{key, strconv.FormatUint(n, 10)}
}

const cookiePurpose = "cookie"

// Seal makes a cookie.
func (j *cookieJar) Seal(state []byte) ([]byte, error) {
	return j.key.held().Seal(rand.Reader, state, cookiePurpose, j.conn)
}

// Open returns what is in a cookie that Seal has made.
func (j *cookieJar) Open(cookie []byte) (state []byte, ok bool) {
	text, err := j.key.held().Open(cookie, cookiePurpose, j.conn)
	if err != nil {
		return nil, false
	}
	defer text.Wipe()
	return bytes.Clone(text.Bytes()), true
}
