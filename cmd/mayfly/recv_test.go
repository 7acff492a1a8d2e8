// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// dialRecv connects to a recv as a sender that says what a test has it say.
func dialRecv(t *testing.T, key, pin, addr string) *mayfly.Conn {
	t.Helper()
	id, err := mayfly.LoadIdentity(key)
	if err != nil {
		t.Fatal(err)
	}
	d := &mayfly.Dialer{Config: &mayfly.Config{Identity: id, Peers: mayfly.MustParsePins(pin), NextProtos: []string{"mayfly-files/1"}}, Confirm: true}
	conn, err := d.DialConn(bounded(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.NetConn().Close(); _ = conn.Close() })
	return conn
}

func sayFrame(t *testing.T, conn io.Writer, text string) {
	t.Helper()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
		t.Fatal(err)
	}
}

// TestRecvServesOthersBesideSilentSenders has accepted senders that are silent after the
// handshake, after hello and in a file. Another send is served all the same, and the silent
// ones are cut.
func TestRecvServesOthersBesideSilentSenders(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	silent, silentPin := keygen(t)
	theirs, theirPin := keygen(t)
	file, to := filepath.Join(t.TempDir(), "file"), t.TempDir()
	if err := os.WriteFile(file, []byte("ten bytes."), 0o600); err != nil {
		t.Fatal(err)
	}
	recv := begin(t, "recv", "--keep", "--idle", "3s", "--key", theirs, "--peer", ourPin, "--peer", silentPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	const hello, batch = `{"Files":1,"Bytes":10}`, `{"Entries":[{"Path":"ZmlsZQ==","Size":10}]}`
	for n, frames := range [][]string{nil, {hello}, {hello, batch}} {
		conn := dialRecv(t, silent, theirPin, addr)
		for _, f := range frames {
			sayFrame(t, conn, f)
		}
		if n == 2 {
			if _, err := conn.Read(make([]byte, 1)); err != nil { // its answer
				t.Fatal(err)
			}
		}
	}
	out, errs, code := runMayfly(t, "send", "--retries", "0", "--key", ours, "--peer", theirPin, addr, file)
	if code != 0 || !strings.Contains(out, "sent 1 file, 10 bytes") {
		t.Fatalf("send: %d, %s", code, errs)
	}
	recv.errs.await(t, `(?s)(has not sent all: the sender was idle for 3s.*){3}`)
	if err := recv.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	recv.end()
}

// TestSendGoesOnAfterAPause has a connection stall until recv cuts its sender as idle. send
// goes on where it was.
func TestSendGoesOnAfterAPause(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	file, to := filepath.Join(t.TempDir(), "file"), t.TempDir()
	if err := os.WriteFile(file, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	recv := begin(t, "recv", "--idle", "1s", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for n := 0; ; n++ {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", addr)
			if err != nil {
				_ = a.Close()
				return
			}
			answered := make(chan struct{})
			go func() {
				_, _ = io.Copy(a, b)
				close(answered)
				_ = a.Close()
			}()
			go func() {
				if n == 0 {
					_, _ = io.CopyN(b, a, 1<<20)
					<-answered // recv has said why, and hung up
				}
				_, _ = io.Copy(b, a)
				_ = b.Close()
			}()
		}
	}()
	out, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, ln.Addr().String(), file)
	if code != 0 || !strings.Contains(errs, "the sender was idle for 1s") || !strings.Contains(out, "had arrived before") {
		t.Errorf("send: %d, %s%s", code, out, errs)
	}
	if code := recv.end(); code != 0 {
		t.Errorf("recv: %d, %s", code, recv.errs.text.String())
	}
}

// TestRecvEndsBesideSilentSenders has a recv without --keep end after one whole transfer,
// whatever others do.
func TestRecvEndsBesideSilentSenders(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	file, to := filepath.Join(t.TempDir(), "file"), t.TempDir()
	if err := os.WriteFile(file, []byte("ten bytes."), 0o600); err != nil {
		t.Fatal(err)
	}
	recv := begin(t, "recv", "--idle", "0", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	sayFrame(t, dialRecv(t, ours, theirPin, addr), `{"Files":1,"Bytes":10}`)
	if _, errs, code := runMayfly(t, "send", "--retries", "0", "--key", ours, "--peer", theirPin, addr, file); code != 0 {
		t.Fatalf("send: %d, %s", code, errs)
	}
	if code := recv.end(); code != 0 || !strings.Contains(recv.out.String(), "received 1 file, 10 bytes") {
		t.Errorf("recv: %d, %s", code, recv.errs.text.String())
	}
}

// TestRecvTellsSendersOnlyOfTheirOwn has an accepted sender ask for files by name: those that
// were in the folder, and those of another sender.
func TestRecvTellsSendersOnlyOfTheirOwn(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	curious, curiousPin := keygen(t)
	theirs, theirPin := keygen(t)
	file, to := filepath.Join(t.TempDir(), "sent"), t.TempDir()
	for _, name := range []string{file, filepath.Join(to, "local")} {
		if err := os.WriteFile(name, []byte("ten bytes."), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recv := begin(t, "recv", "--keep", "--key", theirs, "--peer", ourPin, "--peer", curiousPin, "127.0.0.1:0", to)
	addr := recv.errs.await(t, `listening on (\S+)\n`)[1]
	if _, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, addr, file); code != 0 {
		t.Fatalf("send: %d, %s", code, errs)
	}
	path := base64.StdEncoding.EncodeToString
	for key, want := range map[string][2]int64{curious: {0, 0}, ours: {0, 10}} {
		conn := dialRecv(t, key, theirPin, addr)
		sayFrame(t, conn, `{"Files":2,"Bytes":20}`)
		sayFrame(t, conn, fmt.Sprintf(`{"Entries":[{"Path":%q,"Size":10},{"Path":%q,"Size":10}]}`, path([]byte("local")), path([]byte("sent"))))
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, text); err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Parts []struct {
				Size int64
				Sum  []byte
			}
		}
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.Parts) != 2 {
			t.Fatalf("%s: %v", text, err)
		}
		for i, p := range answer.Parts {
			if p.Size != want[i] || (len(p.Sum) > 0) != (want[i] > 0) {
				t.Errorf("a sender was told of %d bytes of file %d, want %d", p.Size, i, want[i])
			}
		}
		_ = conn.NetConn().Close()
	}
	_ = recv.Process.Signal(os.Interrupt)
	recv.end()
}

// TestRecvSurvivesKills kills a recv at many points of a transfer of small files and a large
// one. Each file that has its name is complete, also after the sender was told of it, and the
// next recv goes on.
func TestRecvSurvivesKills(t *testing.T) {
	t.Parallel()
	ours, ourPin := keygen(t)
	theirs, theirPin := keygen(t)
	from, to := filepath.Join(t.TempDir(), "tree"), t.TempDir()
	random, want := rand.New(rand.NewPCG(1, 2)), make(map[string][]byte)
	for n := range 3001 {
		b, short := make([]byte, 100+random.IntN(1000)), filepath.Join(fmt.Sprint(n%10), fmt.Sprint(n))
		if n == 3000 {
			b, short = make([]byte, 3<<20), "z" // which is sent last
		}
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		name := filepath.Join(from, short)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, b, 0o644)); err != nil {
			t.Fatal(err)
		}
		want[short] = b
	}
	arrived := func() (n int) {
		root := filepath.Join(to, "tree")
		_ = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			name, _ := filepath.Rel(root, file)
			b, err := os.ReadFile(file)
			if err != nil || want[name] == nil || !bytes.Equal(b, want[name]) {
				t.Errorf("%s has its name, and is not complete: %d bytes, %v", name, len(b), err)
			}
			n++
			return nil
		})
		return n
	}
	begun := func() (*process, string) {
		recv := begin(t, "recv", "--key", theirs, "--peer", ourPin, "127.0.0.1:0", to)
		return recv, recv.errs.await(t, `listening on (\S+)\n`)[1]
	}
	before := 0
	for round := range 12 {
		if round%4 == 0 {
			to, before = t.TempDir(), 0
		}
		recv, addr := begun()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		after := 20_000 + random.Int64N(5_000_000)
		go func() {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			defer a.Close()
			b, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer b.Close()
			go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
			_, _ = io.CopyN(b, a, after)
			_ = recv.Process.Kill()
		}()
		_, errs, code := runMayfly(t, "send", "--retries", "0", "--key", ours, "--peer", theirPin, ln.Addr().String(), from)
		_ = ln.Close()
		_ = recv.Process.Kill()
		recv.end()
		now := arrived()
		if now < before {
			t.Errorf("round %d: there were %d files, and now there are %d", round, before, now)
		}
		before = now
		if code == 0 && now != len(want) {
			t.Errorf("round %d: send has ended well with %d files: %s", round, now, errs)
		}
	}
	recv, addr := begun()
	out, errs, code := runMayfly(t, "send", "--key", ours, "--peer", theirPin, addr, from)
	if code != 0 || !strings.Contains(out, "had arrived before") {
		t.Errorf("send: %d, %s%s", code, out, errs)
	}
	if code := recv.end(); code != 0 || arrived() != len(want) {
		t.Errorf("recv: %d, %s", code, recv.errs.text.String())
	}
}
