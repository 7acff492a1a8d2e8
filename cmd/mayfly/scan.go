// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// errNotMeasured is the verdict where a process's memory cannot be read.
var errNotMeasured = errors.New("not measured: this system does not let one process read the memory of another")

// needles are the secrets that another process has had, by their label in the
// SSLKEYLOGFILE format, as that process wrote them to a pipe.
type needles struct {
	mu     sync.Mutex
	values map[string][]byte
	done   chan struct{}
}

// collect reads lines of the key log until the pipe ends.
func collect(r io.Reader) *needles {
	n := &needles{values: make(map[string][]byte), done: make(chan struct{})}
	go func() {
		defer close(n.done)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			label, rest, _ := strings.Cut(lines.Text(), " ")
			_, value, _ := strings.Cut(rest, " ")
			if b, err := hex.DecodeString(value); err == nil && len(b) >= 32 {
				n.mu.Lock()
				n.values[label] = b
				n.mu.Unlock()
			}
		}
	}()
	return n
}

// window is how much of a secret counts as a find.
const window = 8

// search counts the windows of each secret, raw or in hex, that stand in the
// memory of a process.
func (n *needles) search(pid int) (found map[string]int, scanned int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.values) < 5 {
		return nil, 0, fmt.Errorf("only %d secrets are known of the second process", len(n.values))
	}
	patterns := make(map[[window]byte]string)
	for label, value := range n.values {
		for _, form := range [][]byte{value, []byte(hex.EncodeToString(value))} {
			for i := 0; i+window <= len(form); i++ {
				patterns[[window]byte(form[i:])] = label
			}
		}
	}
	found = make(map[string]int)
	err = readMemory(pid, func(b []byte) {
		scanned += int64(len(b))
		for pattern, label := range patterns {
			found[label] += bytes.Count(b, pattern[:])
		}
	})
	return found, scanned, err
}
