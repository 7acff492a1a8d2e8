// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"
)

const (
	// maxQueued bounds the bytes of messages that a lineWriter holds.
	maxQueued = 1 << 20

	// flushTimeout bounds how long a process that ends waits for the reader of its
	// messages.
	flushTimeout = time.Second
)

// A lineWriter writes messages in the background. Write never blocks and never fails. A
// connection must not wait for the reader of a log, and must not end with it. When the
// reader is slower than the messages, the lineWriter drops messages and counts them.
type lineWriter struct {
	w io.Writer

	mu      sync.Mutex
	notice  func(dropped uint64) []byte // what stands in place of dropped messages
	queue   [][]byte
	size    int // bytes in queue
	dropped uint64
	idle    chan struct{} // closed when the queue is written; nil while nothing is queued
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{w: w, notice: func(dropped uint64) []byte {
		return fmt.Appendf(nil, "mayfly: %d messages were dropped: their reader is too slow\n", dropped)
	}}
}

// setNotice sets the text that takes the place of dropped messages.
func (l *lineWriter) setNotice(notice func(dropped uint64) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notice = notice
}

// Write queues one message.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(p) > maxQueued {
		l.dropped++
		return len(p), nil
	}
	l.queue = append(l.queue, bytes.Clone(p))
	l.size += len(p)
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.writeQueue()
	}
	return len(p), nil
}

// writeQueue writes until nothing is queued. Each message is one Write, so that the lines
// of two processes with one log do not mix. An error loses one message: the log may have
// a reader again later.
func (l *lineWriter) writeQueue() {
	for {
		l.mu.Lock()
		var next []byte
		switch {
		case len(l.queue) > 0:
			next = l.queue[0]
			l.queue[0] = nil
			l.queue = l.queue[1:]
			l.size -= len(next)
		case l.dropped > 0:
			next = l.notice(l.dropped)
			l.dropped = 0
		default:
			close(l.idle)
			l.idle, l.queue = nil, nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		_, _ = l.w.Write(next)
	}
}

// flush waits until everything is written, up to flushTimeout.
func (l *lineWriter) flush() {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	timeout := time.NewTimer(flushTimeout)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-timeout.C:
	}
}

// file returns the file that w writes to, directly or through a lineWriter.
func file(w io.Writer) (*os.File, bool) {
	if l, ok := w.(*lineWriter); ok {
		w = l.w
	}
	f, ok := w.(*os.File)
	return f, ok
}

// surviveBrokenPipe makes a write to a pipe without a reader an error. Without it, the
// runtime ends the process where that pipe is standard output or standard error.
func surviveBrokenPipe() {
	if len(pipeSignals) > 0 {
		signal.Notify(make(chan os.Signal, 1), pipeSignals...)
	}
}
