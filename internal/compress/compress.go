// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package compress makes certificate messages shorter (RFC 8879). It must not know what is
// in them.
package compress

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"sync"
)

// Zlib returns message in zlib's format, or nothing where that is not shorter.
func Zlib(message []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(message); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() >= len(message) {
		return nil, nil
	}
	return out.Bytes(), nil
}

// Remember returns a function that returns what f returns, and asks f once for each of the
// last few messages: a server sends the same few again and again.
func Remember(f func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return (&remembered{compress: f}).get
}

// remembered is what one algorithm has made of messages.
type remembered struct {
	compress func([]byte) ([]byte, error)

	mu    sync.Mutex
	known map[[sha256.Size]byte][]byte
}

// maxRemembered is how many messages are remembered.
const maxRemembered = 16

// get returns the message compressed, or nothing. While it works on one message, the
// others wait for what they may need too.
func (c *remembered) get(message []byte) ([]byte, error) {
	key := sha256.Sum256(message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if data, ok := c.known[key]; ok {
		return data, nil
	}
	data, err := c.compress(message)
	if err != nil {
		return nil, err
	}
	if c.known == nil || len(c.known) >= maxRemembered {
		c.known = make(map[[sha256.Size]byte][]byte)
	}
	c.known[key] = data
	return data, nil
}
