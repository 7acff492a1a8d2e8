// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package testnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// TestNetConn holds a pipe against the contract of net.Conn.
func TestNetConn(t *testing.T) {
	for name, path := range map[string]Path{
		"plain":    {},
		"segments": {Segments: []int{1, 3, 1000}},
		"narrow":   {Capacity: 100},
		"delayed":  {Delay: 100 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := Pipe(path, path)
				return a, b, func() { _, _ = a.Close(), b.Close() }, nil
			})
		})
	}
}

// TestFaults lets each fault happen to the third of five bytes, whether they come
// together or one by one.
func TestFaults(t *testing.T) {
	for fault, want := range map[Fault]struct {
		text string
		err  error
	}{
		None:      {"abcde", io.EOF},
		Cut:       {"ab", io.EOF},
		Reset:     {"ab", syscall.ECONNRESET},
		Stall:     {"ab", os.ErrDeadlineExceeded},
		Corrupt:   {"abgde", io.EOF},
		Lose:      {"abde", io.EOF},
		Duplicate: {"abccde", io.EOF},
		Reorder:   {"abdce", io.EOF},
	} {
		for _, step := range []int{1, 5} {
			a, b := Pipe(Path{Fault: fault, At: 2}, Path{})
			got := ""
			buf := make([]byte, 9)
			for text := "abcde"; text != ""; text = text[step:] {
				_, _ = a.Write([]byte(text[:step]))
				if step == 1 && len(text) > 3 {
					n, _ := b.Read(buf)
					got += string(buf[:n])
				}
			}
			_ = a.CloseWrite()
			_ = b.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			rest, err := io.ReadAll(b)
			if err == nil {
				err = io.EOF
			}
			if got += string(rest); fault == Reset && step == 5 {
				want.text = ""
			}
			if got != want.text || !errors.Is(err, want.err) {
				t.Errorf("%v in pieces of %d: %q, %v", fault, step, got, err)
			}
		}
	}
	if len(Faults()) != 8 {
		t.Error("a fault has no test")
	}
}

// TestStalled finds out that both ends wait.
func TestStalled(t *testing.T) {
	a, b := Pipe(Path{}, Path{})
	done := make(chan error, 1)
	go func() {
		_, err := b.Read(make([]byte, 1))
		done <- err
	}()
	if _, err := a.ReadUnlessStalled(make([]byte, 1)); err != ErrStalled {
		t.Error(err)
	}
	_ = a.Close()
	if err := <-done; err != io.EOF {
		t.Error(err)
	}
}

// TestWindow resets connections as TCP does: what is behind the reader's window is lost when
// the writer has closed with unread bytes, or is sent bytes after it has closed.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after int // bytes that the reader sends before and after the writer closes
		want          int
		err           error
	}{
		"nothing is sent":        {0, 0, 100, nil},
		"something is unread":    {1, 0, 10, syscall.ECONNRESET},
		"something is sent late": {0, 1, 10, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			writer, reader := Pipe(Path{Window: 10}, Path{Window: 10})
			if _, err := reader.Write(make([]byte, test.before)); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				if _, err := writer.Write(make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
			}
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			if test.after > 0 {
				if _, err := reader.Write(make([]byte, test.after)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(reader)
			if len(got) != test.want || !errors.Is(err, test.err) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if _, err := reader.Write(make([]byte, 1)); test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("Write after the reset: %v", err)
			}
		})
	}
}
