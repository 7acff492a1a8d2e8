// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// content is n bytes that are the same each time.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func write(t testing.TB, name string, b []byte, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, b, mode), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 2, 3, 4, 5, len(b)%60, 0, time.UTC)
	if err := os.Chtimes(name, when, when); err != nil {
		t.Fatal(err)
	}
}

// tree makes a folder with files of many kinds.
func tree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "photos")
	write(t, filepath.Join(dir, "large"), content(1, 3<<20+5), 0o644)
	write(t, filepath.Join(dir, "empty"), nil, 0o600)
	write(t, filepath.Join(dir, "a", "b", "c", "deep ü.txt"), content(2, 100), 0o755)
	for n := range 300 {
		write(t, filepath.Join(dir, "many", fmt.Sprint(n)), content(3, n), 0o640)
	}
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// same holds what has arrived against what was sent.
func same(t testing.TB, sent, arrived string) {
	t.Helper()
	list := func(root string) map[string]string {
		all := make(map[string]string)
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			below, _ := filepath.Rel(root, name)
			if below == stateFolder {
				return fs.SkipDir
			}
			info, err := d.Info()
			if err != nil || d.IsDir() {
				all[below] = "folder"
				return err
			}
			b, err := os.ReadFile(name)
			all[below] = fmt.Sprintf("%v %v %x", info.Mode(), info.ModTime().UTC(), sha256.Sum256(b))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want, got := list(sent), list(arrived)
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %s, not %s", name, got[name], w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s has arrived, and was not sent", name)
		}
	}
}

// A cable is a connection that is cut after so many bytes of the sender's.
type cable struct {
	net.Conn
	left int
}

func (c *cable) Write(p []byte) (int, error) {
	if c.left >= 0 && len(p) > c.left {
		n, _ := c.Conn.Write(p[:c.left])
		_ = c.Conn.Close()
		return n, io.ErrClosedPipe
	}
	if c.left >= 0 {
		c.left -= len(p)
	}
	return c.Conn.Write(p)
}

// wire is a connection that holds something: both sides may write at a time.
func wire(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err == nil {
		b, err = ln.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

// carry sends to a folder, until so many bytes are sent; -1: all.
func carry(t testing.TB, r *Receiver, until int, names ...string) (sent, received *Total, sendErr, receiveErr error) {
	t.Helper()
	a, b := wire(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		received, receiveErr = r.Receive(b)
	}()
	sent, sendErr = send(new(Sender), &cable{a, until}, names...)
	_ = a.Close()
	<-done
	return sent, received, sendErr, receiveErr
}

func send(s *Sender, conn io.ReadWriter, names ...string) (*Total, error) {
	list, err := s.List(names...)
	if err != nil {
		return nil, err
	}
	return s.Send(conn, list)
}

func openInbox(t testing.TB, dir string) *Inbox {
	t.Helper()
	in, err := OpenInbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return in
}

func receiver(t testing.TB) (*Receiver, string) {
	t.Helper()
	dir := t.TempDir()
	return &Receiver{Inbox: openInbox(t, dir), Sender: "a sender"}, dir
}

func TestTree(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	r, to := receiver(t)
	sent, received, err, err2 := carry(t, r, -1, dir)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	same(t, dir, filepath.Join(to, "photos"))
	if sent.Files != 303 || sent.Saved != 0 || !bytes.Equal(sent.Sum, received.Sum) || sent.Bytes != received.Bytes {
		t.Errorf("%+v and %+v", sent, received)
	}
	// Once more, and nothing is sent but names.
	sent, received, err, err2 = carry(t, r, 100<<10, dir)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if sent.Saved != sent.Bytes || received.Saved != sent.Saved {
		t.Errorf("%+v and %+v", sent, received)
	}
	same(t, dir, filepath.Join(to, "photos"))
}

// The sums are those of sha256sum's lines.
func TestSum(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, []byte("hello\n"), 0o644)
	r, _ := receiver(t)
	sent, _, err, err2 := carry(t, r, -1, name)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	const line = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  file\n"
	if want := sha256.Sum256([]byte(line)); !bytes.Equal(sent.Sum, want[:]) {
		t.Errorf("%x, not %x", sent.Sum, want)
	}
}

// A transfer that is cut again and again goes on each time, and is whole in the end.
func TestCut(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	r, to := receiver(t)
	const step = 250_000
	for n := 1; ; n++ {
		sent, _, err, err2 := carry(t, r, n*70_000+step, dir)
		if err == nil && err2 == nil {
			if sent.Saved == 0 || n < 4 {
				t.Errorf("%d attempts, the last with %+v", n, sent)
			}
			break
		}
		if err == nil || err2 == nil {
			t.Fatalf("one side knows of no cut: %v, %v", err, err2)
		}
		if n == 60 {
			t.Fatal("it does not get on")
		}
	}
	same(t, dir, filepath.Join(to, "photos"))
}

// Until a file is whole, what had its name stays; what begins otherwise is sent anew.
func TestReplaced(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "file")
	write(t, from, content(1, 1<<20), 0o644)
	r, to := receiver(t)
	target := filepath.Join(to, "file")
	for name, before := range map[string][]byte{
		"other":  content(2, 1000),
		"begin":  content(1, 1000),
		"longer": content(2, 2<<20),
		"equal":  content(2, 1<<20),
	} {
		write(t, target, before, 0o644)
		if _, _, err, _ := carry(t, r, 600_000, from); err == nil {
			t.Fatal("it was not cut")
		}
		if b, err := os.ReadFile(target); err != nil || !bytes.Equal(b, before) {
			t.Errorf("%s: a cut has changed what was there: %v", name, err)
		}
		sent, _, err, err2 := carry(t, r, -1, from)
		if err != nil || err2 != nil || sent.Saved < 300_000 {
			t.Fatal(name, err, err2, sent)
		}
		same(t, filepath.Dir(from), to)
		if err := os.Remove(target); err != nil {
			t.Fatal(err)
		}
	}
	// A part of something else is no part of this.
	write(t, from, content(2, 1<<20), 0o644)
	if _, _, err, _ := carry(t, r, 600_000, from); err == nil {
		t.Fatal("it was not cut")
	}
	write(t, from, content(1, 1<<20), 0o644)
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil || sent.Saved != 0 {
		t.Error(err, err2, sent)
	}
	same(t, filepath.Dir(from), to)
}

// Links are followed where they are named, and skipped below.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real", "file"), content(1, 10), 0o644)
	if err := errors.Join(os.Symlink("/etc", filepath.Join(dir, "real", "etc")), os.Symlink("real", filepath.Join(dir, "named"))); err != nil {
		t.Skip(err)
	}
	r, to := receiver(t)
	var skipped []string
	a, b := wire(t)
	done := make(chan error, 1)
	go func() { _, err := r.Receive(b); done <- err }()
	s := &Sender{Skip: func(name, why string) { skipped = append(skipped, filepath.Base(name)+", as "+why) }}
	if _, err := send(s, a, filepath.Join(dir, "named")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(skipped) != 1 || skipped[0] != "etc, as it is neither a file nor a folder" {
		t.Error(skipped)
	}
	if _, err := os.Stat(filepath.Join(to, "named", "file")); err != nil {
		t.Error(err)
	}
}

func TestSenderErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "same"), nil, 0o644)
	write(t, filepath.Join(dir, "b", "same"), nil, 0o644)
	r, _ := receiver(t)
	if _, _, err, _ := carry(t, r, -1, filepath.Join(dir, "a", "same"), filepath.Join(dir, "b", "same")); err == nil || !strings.Contains(err.Error(), "same name") {
		t.Error(err)
	}
	if err := Check(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	r.MaxBytes = 5
	write(t, filepath.Join(dir, "large"), content(1, 6), 0o644)
	_, _, err, err2 := carry(t, r, -1, filepath.Join(dir, "large"))
	remote, ok := errors.AsType[*RemoteError](err)
	if !ok || !strings.Contains(remote.Text, "more than the 5 bytes") || err2 == nil {
		t.Error(err, err2)
	}
	if err := os.Mkdir(filepath.Join(r.Inbox.root.Name(), "large"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.MaxBytes = 0
	if _, _, err, _ = carry(t, r, -1, filepath.Join(dir, "large")); err == nil || !strings.Contains(err.Error(), "is a folder here") {
		t.Error(err)
	}
}

// Nothing that a sender says leads out of the folder, or makes a file that is not whole.
func TestHostileSender(t *testing.T) {
	t.Parallel()
	good := entry{Path: "file", Size: 4, Mode: 0o644}
	with := func(f func(e *entry)) []any {
		e := good
		f(&e)
		sum, sums := sha256.Sum256([]byte("text")), newDigest()
		sums.add(e.Path, e.Size, sum[:])
		return []any{hello{1, 4}, batch{[]entry{e}}, start{}, "text", end{Sum: sum[:]}, batch{}, sums.done()}
	}
	twice := with(func(*entry) {})
	twice[1] = batch{[]entry{good, good}}
	path := func(p filePath) []any { return with(func(e *entry) { e.Path = p }) }
	for name, frames := range map[string][]any{
		"parent":              path("../file"),
		"absolute":            path("/tmp/file"),
		"through":             path("a/../../file"),
		"unclean":             path("a//file"),
		"itself":              path("."),
		"empty":               path(""),
		"a link out":          path("out/file"),
		"a link's name":       path("link"),
		"its state":           path(stateFolder + "/file"),
		"its state by a link": path("state/file"),
		"many waits":          {hello{1, 4}, batch{[]entry{good}}, start{Wait: true}, start{}, "text", end{}},
		"deep":                path(filePath(strings.Repeat("a/", maxDepth) + "a")),
		"NUL":                 path("a\x00b"),
		"long":                path(filePath(strings.Repeat("a/", maxPath))),
		"a long name":         path(filePath(strings.Repeat("a", maxName+1))),
		"twice":               twice,
		"no base64":           {hello{1, 4}, json.RawMessage(`{"Entries": [{"Path": "*", "Size": 4}]}`)},
		"negative":            with(func(e *entry) { e.Size = -1 }),
		"folder's size":       with(func(e *entry) { e.Dir = true }),
		"too many":            {hello{}, batch{make([]entry, maxBatch+1)}},
		"from nowhere":        {hello{1, 4}, batch{[]entry{good}}, start{From: 3}, "t", end{}},
		"from before":         {hello{1, 4}, batch{[]entry{good}}, start{From: -1}, "texts", end{}},
		"wrong hash":          {hello{1, 4}, batch{[]entry{good}}, start{}, "text", end{Sum: make([]byte, 32)}},
		"no end":              {hello{1, 4}, batch{[]entry{good}}, start{}, "text"},
		"less than said":      {hello{1, 4}, batch{[]entry{good}}, start{}, "te"},
		"wrong digest":        {hello{1, 4}, batch{}, done{Files: 1}},
		"below zero":          {hello{-1, 0}},
		"no frame":            {"GET / HTTP/1.1\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			if err := os.Mkdir(filepath.Join(outside, "in"), 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(filepath.Join(outside, "in"))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			_ = os.Symlink(stateFolder, filepath.Join(outside, "in", "state"))
			_ = os.Symlink("..", filepath.Join(outside, "in", "out"))
			_ = os.Symlink("../target", filepath.Join(outside, "in", "link"))
			var stream bytes.Buffer
			for _, f := range frames {
				if text, ok := f.(string); ok {
					stream.WriteString(text)
				} else if err := writeFrame(&stream, f); err != nil {
					t.Fatal(err)
				}
			}
			conn := struct {
				io.Reader
				io.Writer
			}{&stream, io.Discard}
			replaces := name == "a link's name"
			if _, err := (&Receiver{Inbox: openInbox(t, root.Name()), Sender: "a sender"}).Receive(conn); (err == nil) != replaces {
				t.Errorf("it was taken, or should be: %v", err)
			}
			entries, err := os.ReadDir(outside)
			if err != nil || len(entries) != 1 {
				t.Errorf("outside there is %v, %v", entries, err)
			}
			if replaces {
				if info, err := root.Lstat("link"); err != nil || !info.Mode().IsRegular() {
					t.Errorf("the link was not replaced: %v, %v", info, err)
				}
			}
			if _, err := root.Lstat("file"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file was made: %v", err)
			}
		})
	}
}

// FuzzReceive gives a receiver anything.
func FuzzReceive(f *testing.F) {
	var good bytes.Buffer
	sum := sha256.Sum256([]byte("text"))
	sums := newDigest()
	sums.add("a/file", 4, sum[:])
	for _, v := range []any{hello{1, 4}, batch{[]entry{{Path: "a/file", Size: 4, Mode: 0o644}}}, start{}} {
		_ = writeFrame(&good, v)
	}
	good.WriteString("text")
	for _, v := range []any{end{Sum: sum[:]}, batch{}, sums.done()} {
		_ = writeFrame(&good, v)
	}
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		outside := t.TempDir()
		if err := os.Mkdir(filepath.Join(outside, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		in, err := OpenInbox(filepath.Join(outside, "in"))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(stream), io.Discard}
		total, err := (&Receiver{Inbox: in, Sender: "a sender", MaxBytes: 1 << 20}).Receive(conn)
		if err == nil && total.Bytes > int64(len(stream)) {
			t.Errorf("%d bytes have come of %d", total.Bytes, len(stream))
		}
		if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
			t.Errorf("outside there is %v, %v", entries, err)
		}
	})
}

// TestProgress counts what both sides tell, where some of it is there already.
func TestProgress(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, content(1, 1<<20), 0o644)
	r, _ := receiver(t)
	for n, until := range []int{300 << 10, -1, -1} {
		a, b := wire(t)
		var sent, received, files, size int64
		r.Progress = func(n int64) { received += n }
		s := &Sender{Progress: func(n int64) { sent += n }, Begun: func(f, b int64) { files, size = f, b }}
		done := make(chan error, 1)
		go func() {
			_, err := r.Receive(b)
			_ = b.Close()
			done <- err
		}()
		_, err := send(s, &cable{a, until}, name)
		_ = a.Close()
		err2 := <-done
		if until >= 0 {
			if err == nil || err2 == nil || received >= 1<<20 {
				t.Errorf("cut: %v, %v, %d bytes", err, err2, received)
			}
			continue
		}
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if files != 1 || size != 1<<20 || sent != size || received != size {
			t.Errorf("transfer %d: %d files of %d bytes, told of %d sent and %d received", n, files, size, sent, received)
		}
	}
}

// A file that becomes shorter while it is sent is named, and is no file at the receiver.
// The others arrive. One that has become longer arrives as it was, and is named.
func TestFilesThatChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"grows", "shrinks", "vanishes", "zz-stays"} {
		write(t, filepath.Join(dir, name), content(1, 1<<20), 0o644)
	}
	write(t, filepath.Join(dir, "aa-first"), content(2, 10), 0o644)
	r, to := receiver(t)
	a, b := wire(t)
	done := make(chan error, 1)
	go func() {
		_, err := r.Receive(b)
		done <- err
	}()
	failed := make(map[string]bool)
	once := false
	s := &Sender{Progress: func(int64) {
		if once {
			return
		}
		once = true
		err := errors.Join(os.Truncate(filepath.Join(dir, "grows"), 2<<20), os.Truncate(filepath.Join(dir, "shrinks"), 1<<10), os.Remove(filepath.Join(dir, "vanishes")))
		if err != nil {
			t.Error(err)
		}
	}, Fail: func(path string, err error, sent bool) {
		if err == nil {
			t.Errorf("%s: no reason", path)
		}
		failed[filepath.Base(path)] = sent
	}}
	total, err := send(s, a, dir)
	_ = a.Close()
	if err != nil || total.Files != 5 {
		t.Errorf("the sender: %v, %v", total, err)
	}
	if err := <-done; err != nil {
		t.Errorf("the receiver: %v", err)
	}
	if !maps.Equal(failed, map[string]bool{"grows": true, "shrinks": false, "vanishes": false}) {
		t.Errorf("named are %v", failed)
	}
	for name, want := range map[string][]byte{"aa-first": content(2, 10), "grows": content(1, 1<<20), "zz-stays": content(1, 1<<20)} {
		if got, err := os.ReadFile(filepath.Join(to, filepath.Base(dir), name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(to, filepath.Base(dir))); err != nil || len(entries) != 3 {
		t.Errorf("there is %v, %v", entries, err)
	}
}
