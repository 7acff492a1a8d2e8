// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/iotest"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// A tape keeps what a side writes, and gives what another reads.
type tape struct {
	net.Conn
	written *bytes.Buffer
	read    io.Reader
}

func (t *tape) Write(p []byte) (int, error) {
	if t.written != nil {
		return t.written.Write(p)
	}
	return t.Conn.Write(p)
}

func (t *tape) Read(p []byte) (int, error) {
	if t.read != nil {
		return t.read.Read(p)
	}
	return t.Conn.Read(p)
}

// taped is a pair of which the first writes what write says onto a tape, and the
// records of that.
func taped(t *testing.T, change func(from, to *mayfly.Config), write func(c *mayfly.Conn)) (to *mayfly.Conn, play *tape, records [][]byte) {
	t.Helper()
	cc, sc := mayflytest.Configs(t)
	if change != nil {
		change(cc, sc)
	}
	a, b := net.Pipe()
	rec, play := &tape{Conn: a}, &tape{Conn: b}
	from, to := mayfly.Client(rec, cc), mayfly.Server(play, sc)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close(); _ = from.Close(); _ = to.Close() })
	done := make(chan error, 1)
	go func() {
		_, err := to.Write([]byte("k"))
		done <- err
	}()
	_, err := io.ReadFull(from, make([]byte, 1))
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	rec.written = new(bytes.Buffer)
	write(from)
	for all := rec.written.Bytes(); len(all) > 0; {
		n := 5 + int(binary.BigEndian.Uint16(all[3:]))
		records, all = append(records, all[:n:n]), all[n:]
	}
	play.written = new(bytes.Buffer)
	return to, play, records
}

// noise is n random bytes, always the same.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func mustWrite(t *testing.T, c *mayfly.Conn, p []byte) {
	t.Helper()
	if n, err := c.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

// backlogs are ways to write data.
var backlogs = map[string]func(t *testing.T, c *mayfly.Conn, data []byte){
	"at once": mustWrite,
	"in pieces": func(t *testing.T, c *mayfly.Conn, data []byte) {
		for i := 1; len(data) > 0; i = i*7%60013 + 1 {
			n := min(i, len(data))
			mustWrite(t, c, data[:n])
			data = data[n:]
		}
	},
	"with new keys between": func(t *testing.T, c *mayfly.Conn, data []byte) {
		for i := 200_000; len(data) > 0; i -= 30_011 {
			n := min(max(i, 20_000), len(data))
			mustWrite(t, c, data[:n])
			if err := c.Rekey(context.Background()); err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
	},
}

// TestBacklog reads what is there already into buffers of many sizes, and copies it.
func TestBacklog(t *testing.T) {
	t.Parallel()
	data := noise(1<<20 + 77)
	readers := map[string]func(c *mayfly.Conn) ([]byte, error){
		"WriteTo": func(c *mayfly.Conn) ([]byte, error) {
			var b bytes.Buffer
			n, err := c.WriteTo(&b)
			if n != int64(b.Len()) {
				t.Errorf("WriteTo returned %d for %d bytes", n, b.Len())
			}
			return b.Bytes(), err
		},
	}
	for _, n := range []int{1000, 16<<10 - 1, 16 << 10, 16<<10 + 1, 33_000, 64 << 10, 200_000, 2 << 20} {
		readers[fmt.Sprint("Read of ", n)] = func(c *mayfly.Conn) ([]byte, error) { return readAll(c, n) }
	}
	pad := func(from, _ *mayfly.Config) { from.Padding = func(n int) int { return n % 300 } }
	fill := func(from, _ *mayfly.Config) { from.Padding = func(n int) int { return 1 << 14 } }
	for how, write := range backlogs {
		for with, read := range readers {
			for padding, change := range map[string]func(_, _ *mayfly.Config){"": nil, ", padded": pad, ", all alike": fill} {
				t.Run(how+", "+with+padding, func(t *testing.T) {
					t.Parallel()
					to, play, records := taped(t, change, func(c *mayfly.Conn) {
						write(t, c, data)
						if err := c.CloseWrite(); err != nil {
							t.Fatal(err)
						}
					})
					play.read = bytes.NewReader(bytes.Join(records, nil))
					got, err := read(to)
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("%d bytes, %v, want all %d", len(got), err, len(data))
					}
				})
			}
		}
	}
}

// readAll is io.ReadAll with reads of n bytes.
func readAll(c *mayfly.Conn, n int) (all []byte, err error) {
	p := make([]byte, n)
	for {
		k, err := c.Read(p)
		all = append(all, p[:k]...)
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
	}
}

// TestBacklogForged alters records in the middle of a backlog: what lies before them is
// delivered, then comes the error, and no data after it.
func TestBacklogForged(t *testing.T) {
	t.Parallel()
	data := noise(40 * 16 << 10)
	for _, at := range []int{0, 1, 5, 7, 8, 21, 39} {
		for _, n := range []int{1000, 32 << 10, 200_000, 1 << 20} {
			t.Run(fmt.Sprint(at, " ", n), func(t *testing.T) {
				t.Parallel()
				to, play, records := taped(t, nil, func(c *mayfly.Conn) { mustWrite(t, c, data) })
				if len(records) != 40 {
					t.Fatalf("%d records", len(records))
				}
				records[at][1000] ^= 1
				play.read = bytes.NewReader(bytes.Join(records, nil))
				got, err := readAll(to, n)
				if !bytes.Equal(got, data[:at*16<<10]) {
					t.Errorf("%d bytes were delivered, want the %d before what was forged", len(got), at*16<<10)
				}
				for range 2 {
					if e, ok := errors.AsType[*mayfly.AlertError](err); !ok || e.Remote || e.Code.String() != "bad_record_mac" {
						t.Fatalf("the error is %v", err)
					}
					k := 0
					if k, err = to.Read(make([]byte, n)); k != 0 {
						t.Fatal("data after what was forged")
					}
				}
			})
		}
	}
}

// TestCopyErrors has the other sides of copies fail.
func TestCopyErrors(t *testing.T) {
	t.Parallel()
	write := func(c *mayfly.Conn) { mustWrite(t, c, noise(100_000)) }
	to, play, records := taped(t, nil, write)
	play.read = bytes.NewReader(bytes.Join(records, nil))
	if n, err := io.Copy(io.Discard, to); n != 100_000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("from a connection that was cut: %d, %v", n, err)
	}
	full := errors.New("full")
	for _, w := range []struct {
		w    writer
		n    int64
		want error
	}{
		{func(p []byte) (int, error) { return 10, full }, 10, full},
		{func(p []byte) (int, error) { return 10, nil }, 10, io.ErrShortWrite},
	} {
		to, play, records := taped(t, nil, write)
		play.read = bytes.NewReader(bytes.Join(records, nil))
		if n, err := io.Copy(w.w, to); n != w.n || err != w.want {
			t.Errorf("%d, %v, want %d, %v", n, err, w.n, w.want)
		}
	}
	for _, w := range []writer{func(p []byte) (int, error) { return len(p) + 1, nil }, func([]byte) (int, error) { return -1, nil }} {
		to, play, records := taped(t, nil, write)
		play.read = bytes.NewReader(bytes.Join(records, nil))
		if n, err := to.WriteTo(w); n != 0 || err == nil {
			t.Errorf("an impossible count: %d, %v", n, err)
		}
	}
	var failed error
	to, play, records = taped(t, nil, func(c *mayfly.Conn) {
		_, failed = c.ReadFrom(io.MultiReader(bytes.NewReader(noise(100_000)), iotest.ErrReader(full)))
	})
	play.read = bytes.NewReader(bytes.Join(records, nil))
	if n, _ := io.Copy(io.Discard, to); n != 100_000 || failed != full {
		t.Errorf("from a reader that fails: %d bytes, %v", n, failed)
	}
}

type writer func(p []byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

// TestCopyIntoConn sends what readers of several kinds give.
func TestCopyIntoConn(t *testing.T) {
	t.Parallel()
	data := noise(500_000)
	for name, kind := range map[string]func(io.Reader) io.Reader{
		"plain": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader, "with its end": iotest.DataErrReader,
	} {
		to, play, records := taped(t, nil, func(c *mayfly.Conn) {
			n, err := c.ReadFrom(kind(bytes.NewReader(data)))
			if err = errors.Join(err, c.CloseWrite()); n != int64(len(data)) || err != nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		})
		play.read = bytes.NewReader(bytes.Join(records, nil))
		if got, err := io.ReadAll(to); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes arrived, %v", name, len(got), err)
		}
	}
}
