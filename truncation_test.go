// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A cutConn stops passing on what is written after left bytes: the stream ends then, as
// if the path had broken.
type cutConn struct {
	net.Conn
	left, sent int64
}

func (c *cutConn) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		n, _ := c.Conn.Write(p[:c.left])
		c.left = 0
		c.sent += int64(n)
		c.end()
		return n, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	c.left -= int64(n)
	c.sent += int64(n)
	return n, err
}

// end is a FIN: closing a TCP socket over unread data would be a reset.
func (c *cutConn) end() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = c.Conn.Close()
}

// TestTruncation cuts what one side sends, its handshake, two records of data and its
// close_notify, at every offset before the end: the other's error is never io.EOF, there
// is never data that was not sent, and nobody hangs. At the end, io.EOF. TCP, which is read
// in another way, is cut from the end of the handshake on.
func TestTruncation(t *testing.T) {
	t.Parallel()
	const first, second = "a short message, ", "and then the end"
	for _, toServer := range []bool{false, true} {
		for _, tcp := range []bool{false, true} {
			name := map[bool]string{false: "to the client", true: "to the server"}[toServer] + map[bool]string{false: ", Pipe", true: ", TCP"}[tcp]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cc, sc := mayflytest.Configs(t)
				cc.CurvePreferences = []tls.CurveID{tls.X25519} // which has less to cut than the hybrid
				var ln net.Listener
				if tcp {
					var err error
					if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
						t.Fatal(err)
					}
					defer ln.Close()
				}
				run := func(limit int64) (got string, sent int64, shook bool, err error) {
					a, b := transport(t, ln)
					defer a.Close()
					defer b.Close()
					cut := &cutConn{left: limit}
					var sender, receiver *mayfly.Conn
					if toServer {
						cut.Conn = a
						sender, receiver = mayfly.Client(cut, cc), mayfly.Server(b, sc)
					} else {
						cut.Conn = b
						sender, receiver = mayfly.Server(cut, sc), mayfly.Client(a, cc)
					}
					_ = sender.SetDeadline(time.Now().Add(20 * time.Second))
					_ = receiver.SetDeadline(time.Now().Add(20 * time.Second))
					done := make(chan struct{})
					go func() {
						defer close(done)
						for _, text := range []string{first, second} {
							if _, err := sender.Write([]byte(text)); err != nil {
								return
							}
						}
						_ = sender.CloseWrite()
						cut.end()
					}()
					if err = receiver.Handshake(); err == nil {
						shook = true
						var data []byte
						data, err = io.ReadAll(receiver)
						got = string(data)
						if err == nil {
							err = io.EOF // which ReadAll keeps to itself
						}
					}
					_ = a.Close()
					_ = b.Close()
					<-done
					_ = sender.Close()
					_ = receiver.Close()
					return got, cut.sent, shook, err
				}
				got, whole, _, err := run(1 << 30)
				if err != io.EOF || got != first+second {
					t.Fatalf("uncut: %q, %v", got, err)
				}
				from := int64(0)
				if tcp {
					from = whole - 200
				}
				handshakes := 0
				for limit := from; limit <= whole; limit++ {
					got, _, shook, err := run(limit)
					switch {
					case limit == whole:
						if err != io.EOF || got != first+second {
							t.Fatalf("cut at the end: %q, %v", got, err)
						}
					case errors.Is(err, io.EOF):
						t.Fatalf("cut at %d of %d: a clean end", limit, whole)
					case errors.Is(err, os.ErrDeadlineExceeded):
						t.Fatalf("cut at %d of %d: a hang", limit, whole)
					case !strings.HasPrefix(first+second, got) || got != "" && got != first && got != first+second:
						t.Fatalf("cut at %d of %d: data that was not sent so: %q", limit, whole, got)
					case shook && !errors.Is(err, mayfly.ErrTruncated):
						t.Fatalf("cut at %d of %d: %v", limit, whole, err)
					}
					if shook {
						handshakes++
					}
				}
				if want := len(first) + len(second) + 3*(5+1+16); handshakes < want {
					t.Errorf("only %d cuts came after the handshake", handshakes)
				}
			})
		}
	}
}

// transport is the two ends of a TCP connection, or without a Listener of a net.Pipe.
func transport(t *testing.T, ln net.Listener) (a, b net.Conn) {
	t.Helper()
	if ln == nil {
		return net.Pipe()
	}
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}
