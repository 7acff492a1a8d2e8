// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A scripted sender says what a test has it say.
type scripted struct {
	t    testing.TB
	conn net.Conn
	done chan error // of the receiver
}

func script(t testing.TB, r *Receiver) *scripted {
	t.Helper()
	a, b := wire(t)
	s := &scripted{t, a, make(chan error, 1)}
	go func() {
		_, err := r.Receive(b)
		_ = b.Close()
		s.done <- err
	}()
	return s
}

func (s *scripted) say(frames ...any) {
	s.t.Helper()
	for _, f := range frames {
		var err error
		if b, ok := f.([]byte); ok {
			_, err = s.conn.Write(b)
		} else {
			err = writeFrame(s.conn, f)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// ask announces files, and returns what the receiver has of them.
func (s *scripted) ask(entries ...entry) have {
	s.t.Helper()
	s.say(hello{}, batch{entries})
	var answer have
	if err := readFrame(s.conn, &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// cut ends the connection, and waits for the receiver.
func (s *scripted) cut() error {
	_ = s.conn.Close()
	return <-s.done
}

func sumOf(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] }

func of(r *Receiver, sender string) *Receiver {
	other := *r
	other.Sender = sender
	return &other
}

// A sender is told only of what it has sent itself: not of files that were there, nor of
// files and parts of another sender, whatever size it claims.
func TestSendersLearnOnlyOfTheirOwn(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	secret, theirs := content(1, 5000), content(2, 6000)
	write(t, filepath.Join(to, "local"), secret, 0o600)
	from := filepath.Join(t.TempDir(), "theirs")
	write(t, from, theirs, 0o600)
	if _, _, err, err2 := carry(t, of(r, "first"), -1, from); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	write(t, from+"-part", content(3, 200_000), 0o600)
	if _, _, err, _ := carry(t, of(r, "first"), 100_000, from+"-part"); err == nil {
		t.Fatal("it was not cut")
	}
	for _, sender := range []string{"second", ""} {
		for _, size := range []int64{0, 1, 5000, 6000, 1 << 40} {
			s := script(t, of(r, sender))
			answer := s.ask(entry{Path: "local", Size: size}, entry{Path: "theirs", Size: size}, entry{Path: "theirs-part", Size: size})
			for i, p := range answer.Parts {
				if p.Size != 0 || len(p.Sum) != 0 {
					t.Errorf("sender %q was told of %d bytes of file %d", sender, p.Size, i)
				}
			}
			if len(answer.Parts) != 3 || answer.Error != "" {
				t.Errorf("%+v", answer)
			}
			_ = s.cut()
		}
	}
	s := script(t, of(r, "first"))
	answer := s.ask(entry{Path: "local", Size: 5000}, entry{Path: "theirs", Size: 6000}, entry{Path: "theirs-part", Size: 200_000})
	if p := answer.Parts; p[0].Size != 0 || p[1].Size != 6000 || !bytes.Equal(p[1].Sum, sumOf(theirs)) || p[2].Size < 50_000 {
		t.Errorf("the sender of the files was told of %+v", answer.Parts)
	}
	_ = s.cut()
	for name, want := range map[string][]byte{"local": secret, "theirs": theirs} {
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
}

// What has arrived is hashed once, when it arrives: a receiver that is asked again answers
// without reading it. The test changes the bytes on the disk and sees the old hash.
func TestWhatHasArrivedIsNotHashedAgain(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	b := content(1, 1<<20)
	e := entry{Path: "file", Size: 2 << 20, Mode: 0o600}
	s := script(t, r)
	s.ask(e)
	s.say(start{}, b)
	if err := s.cut(); err == nil {
		t.Fatal("it was not cut")
	}
	parts, err := filepath.Glob(filepath.Join(to, stateFolder, "*", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	if err := os.WriteFile(parts[0], make([]byte, len(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		s := script(t, r)
		if answer := s.ask(e); answer.Parts[0].Size != 1<<20 || !bytes.Equal(answer.Parts[0].Sum, sumOf(b)) {
			t.Fatalf("%+v", answer)
		}
		_ = s.cut()
	}
}

// A sender that makes no progress is cut wherever it stops, and so is one that sends a byte
// now and then, or does not read.
func TestIdleSendersAreCut(t *testing.T) {
	t.Parallel()
	e := entry{Path: "file", Size: 1 << 20}
	head := func(frames ...any) []byte {
		var b bytes.Buffer
		for _, f := range frames {
			_ = writeFrame(&b, f)
		}
		return b.Bytes()
	}
	for name, said := range map[string][]byte{
		"nothing":           nil,
		"half of a frame":   head(hello{})[:3],
		"hello":             head(hello{}),
		"a batch":           head(hello{}, batch{[]entry{e}}),
		"a start":           head(hello{}, batch{[]entry{e}}, start{}),
		"a beginning":       append(head(hello{}, batch{[]entry{e}}, start{}), make([]byte, 1000)...),
		"all but the end":   append(head(hello{}, batch{[]entry{e}}, start{}), make([]byte, 1<<20)...),
		"a large frame":     {0, 0x3f, 0xff, 0xff, '{'},
		"all but the total": append(append(head(hello{}, batch{[]entry{e}}, start{}), make([]byte, 1<<20)...), head(end{Sum: sumOf(make([]byte, 1<<20))}, batch{})...),
	} {
		for _, trickles := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, trickles %v", name, trickles), func(t *testing.T) {
				t.Parallel()
				r, _ := receiver(t)
				r.Idle = 300 * time.Millisecond
				s := script(t, r)
				s.say(said)
				stop := make(chan struct{})
				var trickle sync.WaitGroup
				trickle.Go(func() {
					for trickles {
						select {
						case <-stop:
							return
						case <-time.After(10 * time.Millisecond):
							_, _ = s.conn.Write([]byte{0})
						}
					}
				})
				err := <-s.done
				close(stop)
				trickle.Wait()
				if content := name == "a start" || name == "a beginning" || name == "a large frame"; trickles && !content {
					if err == nil {
						t.Error("zeros were taken for frames")
					}
				} else if !errors.Is(err, ErrTryAgain) || err.Error() != "transfer: the sender was idle for 300ms" {
					t.Errorf("%v", err)
				}
			})
		}
	}
	t.Run("does not read", func(t *testing.T) {
		t.Parallel()
		r, _ := receiver(t)
		r.Idle = 100 * time.Millisecond
		a, b := net.Pipe() // which holds nothing
		defer a.Close()
		done := make(chan error, 1)
		go func() {
			_, err := r.Receive(b)
			_ = b.Close()
			done <- err
		}()
		if err := errors.Join(writeFrame(a, hello{}), writeFrame(a, batch{[]entry{e}})); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A slow sender that goes on is not cut, also while it hashes what the receiver has.
func TestSlowSendersAreNotCut(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	r.Idle = 2 * time.Second
	b := content(1, hashPiece+1<<20)
	e := entry{Path: "file", Size: int64(len(b)), Mode: 0o600}
	s := script(t, r)
	s.ask(e)
	s.say(start{}, b[:hashPiece])
	_ = s.cut()
	s = script(t, r)
	if answer := s.ask(e); answer.Parts[0].Size != hashPiece {
		t.Fatalf("%+v", answer)
	}
	pause := func() { time.Sleep(r.Idle / 2) }
	pause()
	s.say(start{Wait: true})
	pause()
	s.say(start{From: hashPiece})
	for rest := b[hashPiece:]; len(rest) > 0; rest = rest[min(len(rest), 300<<10):] {
		pause()
		s.say(rest[:min(len(rest), 300<<10)])
	}
	sums := newDigest()
	sums.add(e.Path, e.Size, sumOf(b))
	s.say(end{Sum: sumOf(b)}, batch{}, sums.done())
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, b) {
		t.Error(len(got), err)
	}
}

// The time that the receiver's own disk takes is none in which the sender is idle.
func TestSlowDiskDoesNotCutSenders(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	r.Idle = 500 * time.Millisecond
	r.Inbox.sync = func(*os.File) error { time.Sleep(2 * r.Idle); return nil }
	from := filepath.Join(t.TempDir(), "file")
	write(t, from, make([]byte, checkpoint+checkpoint/4), 0o600) // so that a sync comes in between
	if _, _, err, err2 := carry(t, r, -1, from); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	same(t, filepath.Dir(from), to)
}

// Many senders send files of the same names at the same time, beside silent ones: each file
// is one of theirs, whole.
func TestSeveralSendersAtOnce(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	for n := range 4 {
		s := script(t, of(r, fmt.Sprintf("silent %d", n)))
		s.ask(entry{Path: "many/0", Size: 10})
		defer s.cut()
	}
	var wanted [8]map[string]string
	var senders sync.WaitGroup
	for n := range wanted {
		wanted[n] = make(map[string]string)
		dir := filepath.Join(t.TempDir(), "many")
		for i := range 20 {
			b := content(byte(n), 50_000+i)
			name := fmt.Sprint(i)
			write(t, filepath.Join(dir, name), b, 0o644)
			wanted[n][name] = string(b)
		}
		senders.Go(func() {
			if _, _, err, err2 := carry(t, of(r, fmt.Sprint(n)), -1, dir); err != nil || err2 != nil {
				t.Errorf("sender %d: %v, %v", n, err, err2)
			}
		})
	}
	senders.Wait()
	for i := range 20 {
		b, err := os.ReadFile(filepath.Join(to, "many", fmt.Sprint(i)))
		whole := false
		for _, w := range wanted {
			whole = whole || w[fmt.Sprint(i)] == string(b)
		}
		if err != nil || !whole {
			t.Errorf("file %d is none of those that were sent: %v", i, err)
		}
	}
	// A sender whose file another has replaced sends it again.
	s := script(t, of(r, "0"))
	defer s.cut()
	if answer := s.ask(entry{Path: "many/0", Size: 50_000}); answer.Parts[0].Size != 0 {
		if b, err := os.ReadFile(filepath.Join(to, "many", "0")); err != nil || string(b) != wanted[0]["0"] {
			t.Error("a sender was told of a file that another has replaced")
		}
	}
}

// Two connections of the same sender that send the same files follow each other, and both
// are whole.
func TestOneSenderTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	dir := tree(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, _, err, err2 := carry(t, r, -1, dir); err != nil || err2 != nil {
				t.Error(err, err2)
			}
		})
	}
	both.Wait()
	same(t, dir, filepath.Join(to, "photos"))
}

// A sender that has lost its connection, and comes again before the receiver knows, goes on
// where it was. The lost connection ends.
func TestLostConnectionIsTakenOver(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	r.Idle = 4 * time.Second // a quarter of which is waited
	b := content(1, 1<<20)
	from := filepath.Join(t.TempDir(), "file")
	write(t, from, b, 0o600)
	lost := script(t, r)
	lost.ask(entry{Path: "file", Size: int64(len(b)), Mode: 0o600})
	lost.say(start{}, b[:500_000])
	sent, _, err, err2 := carry(t, r, -1, from)
	if err != nil || err2 != nil || sent.Saved != 500_000 {
		t.Errorf("%v, %v, %+v", err, err2, sent)
	}
	if err := <-lost.done; !errors.Is(err, errTakenOver) {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, b) {
		t.Error(len(got), err)
	}
}

// One sender takes no place of others: of too many transfers the sender is told to come
// again.
func TestTooManyTransfers(t *testing.T) {
	t.Parallel()
	r, _ := receiver(t)
	for n := range maxTransfersPerSender {
		s := script(t, r)
		s.ask(entry{Path: filePath(fmt.Sprint(n)), Size: 10})
		defer s.cut()
	}
	refused := func(r *Receiver) {
		t.Helper()
		from := filepath.Join(t.TempDir(), "file")
		write(t, from, content(1, 10), 0o600)
		if _, _, err, err2 := carry(t, r, -1, from); !errors.Is(err, ErrTryAgain) || !errors.Is(err2, ErrTryAgain) {
			t.Errorf("%v, %v", err, err2)
		}
	}
	refused(r)
	for n := range maxTransfers - maxTransfersPerSender {
		s := script(t, of(r, fmt.Sprint("other ", n)))
		s.ask(entry{Path: "x", Size: 10})
		defer s.cut()
	}
	refused(of(r, "one more"))
}

// A sender without an identity leaves nothing behind that a later one could go on with.
func TestAnonymousSendersLeaveNothing(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	from := filepath.Join(t.TempDir(), "file")
	write(t, from, content(1, 500_000), 0o600)
	if _, _, err, _ := carry(t, of(r, ""), 300_000, from); err == nil {
		t.Fatal("it was not cut")
	}
	if entries, err := os.ReadDir(filepath.Join(to, stateFolder)); err != nil || len(entries) != 0 {
		t.Error(entries, err)
	}
	sent, _, err, err2 := carry(t, of(r, ""), -1, from)
	if err != nil || err2 != nil || sent.Saved != 0 {
		t.Error(err, err2, sent)
	}
}

// A receiver that starts again goes on with what an earlier one has, and its list of files
// does not grow without bound.
func TestInboxIsOpenedAgain(t *testing.T) {
	t.Parallel()
	dir, to := tree(t), t.TempDir()
	r := &Receiver{Sender: "a sender"}
	for n := range 12 {
		in, err := OpenInbox(to)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := OpenInbox(to); err == nil && lockable(in) {
			_ = other.Close()
			t.Error("two receivers have the same inbox")
		}
		r.Inbox = in
		if n%2 == 1 { // so that all are noted again
			when := time.Date(2021, 1, n, 0, 0, 0, 0, time.UTC)
			for i := range 300 {
				if err := os.Chtimes(filepath.Join(dir, "many", fmt.Sprint(i)), when, when); err != nil {
					t.Fatal(err)
				}
			}
		}
		sent, _, err, err2 := carry(t, r, -1, dir)
		if err != nil || err2 != nil || n > 0 && sent.Saved != sent.Bytes {
			t.Fatalf("%d: %v, %v, %+v", n, err, err2, sent)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	same(t, dir, filepath.Join(to, "photos"))
	lists, _ := filepath.Glob(filepath.Join(to, stateFolder, "*", arrivalsFile))
	if len(lists) != 1 {
		t.Fatal(lists)
	}
	if info, err := os.Stat(lists[0]); err != nil || info.Size() == 0 || info.Size() > int64(arrivalSize)*(1024+3*303) {
		t.Errorf("%v, %v", info, err)
	}
}

func lockable(in *Inbox) bool { return in.guard != nil }

// A file that was changed here is sent again, even if its size and its time are the same.
func TestChangedFilesAreSentAgain(t *testing.T) {
	t.Parallel()
	r, to := receiver(t)
	from := filepath.Join(t.TempDir(), "file")
	write(t, from, content(1, 1000), 0o644)
	for what, change := range map[string]func(name string){
		"removed":       func(name string) { _ = os.Remove(name) },
		"other":         func(name string) { write(t, name, content(2, 1000), 0o644) },
		"longer":        func(name string) { write(t, name, content(1, 1001), 0o644) },
		"a link":        func(name string) { _ = os.Remove(name); _ = os.Symlink(from, name) },
		"other in time": func(name string) { write(t, name, content(1, 900), 0o644) },
	} {
		if what == "other" && runtime.GOOS == "windows" {
			continue // which has no time that users cannot set
		}
		if _, _, err, err2 := carry(t, r, -1, from); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		change(filepath.Join(to, "file"))
		sent, _, err, err2 := carry(t, r, -1, from)
		if err != nil || err2 != nil || sent.Saved != 0 {
			t.Errorf("%s: %v, %v, %+v", what, err, err2, sent)
		}
		same(t, filepath.Dir(from), to)
	}
}
