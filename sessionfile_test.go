// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// savedRig is a rig whose client has two sessions, and the file that they are in.
func savedRig(t *testing.T) (r *rig, file string, key *mayfly.SealingKey) {
	t.Helper()
	r = newRig(t)
	r.connect(t)
	file, key = filepath.Join(t.TempDir(), "sessions"), mayfly.GenerateSealingKey()
	if err := mayfly.SaveSessions(file, key, r.cache); err != nil {
		t.Fatal(err)
	}
	return r, file, key
}

// TestSessionFile resumes in what could be another process.
func TestSessionFile(t *testing.T) {
	t.Parallel()
	r, file, key := savedRig(t)
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	before := shown(r.cache)
	loaded, err := mayfly.LoadSessions(file, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	if after := shown(loaded); !slices.Equal(after, before) || len(after) != 2 {
		t.Errorf("%v were saved, %v loaded", before, after)
	}
	r.cache.Wipe()
	r.client.Sessions = loaded
	client, server := r.connect(t)
	mustBe(t, true, client, server)
	if client.Peer().Pin != r.server.Identity.Pin() {
		t.Errorf("the server is %v", client.Peer().Pin)
	}
	// A file is replaced, and what was used is not in it.
	if err := mayfly.SaveSessions(file, key, loaded); err != nil {
		t.Fatal(err)
	}
	again, err := mayfly.LoadSessions(file, key, 1)
	if err != nil || again.Len() != 1 {
		t.Fatalf("%d sessions, %v: want the newest", again.Len(), err)
	}
	if want := shown(loaded); !slices.Equal(shown(again), want[1:]) {
		t.Errorf("%v were loaded of %v", shown(again), want)
	}
	if left, _ := filepath.Glob(file + "*"); len(left) != 1 {
		t.Errorf("files are left behind: %v", left)
	}
	// An empty cache is a file, too.
	if err := mayfly.SaveSessions(file, key, mayfly.NewSessionCache(1)); err != nil {
		t.Fatal(err)
	}
	if empty, err := mayfly.LoadSessions(file, key, 0); err != nil || empty.Len() != 0 {
		t.Errorf("%v, %v", empty, err)
	}
}

// shown is what can be seen of sessions.
func shown(c *mayfly.SessionCache) (list []string) {
	c.Each(func(name string, s *mayfly.Session) bool {
		pin, ok := s.Pin()
		list = append(list, fmt.Sprint(name, s.ServerName(), s.NextProto(), s.CipherSuite(), s.Received().UnixMilli(),
			s.Expires().UnixMilli(), s.Authenticated().Unix(), s.MaxEarlyData(), pin, ok, mayfly.TicketOf(s)))
		return true
	})
	return list
}

// TestDamagedSessionFile has each byte of a file altered, and the file cut at each:
// that is said clearly, the file stays, and a handshake goes on in full.
func TestDamagedSessionFile(t *testing.T) {
	t.Parallel()
	r, file, key := savedRig(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(what string, b []byte, key *mayfly.SealingKey) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cache, err := mayfly.LoadSessions(file, key, 0)
		if cache != nil || !errors.Is(err, mayfly.ErrSessionFile) || !strings.Contains(err.Error(), file) {
			t.Fatalf("%s: %v, %v", what, cache, err)
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, b) {
			t.Fatalf("%s: the file was changed, %v", what, err)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		bad(fmt.Sprint("altered at ", i), b, key)
		bad(fmt.Sprint("cut at ", i), good[:i], key)
	}
	bad("longer", append(bytes.Clone(good), 0), key)
	bad("another key", good, mayfly.GenerateSealingKey())
	wiped := mayfly.GenerateSealingKey()
	wiped.Wipe()
	bad("a wiped key", good, wiped)

	// What was sealed for something else is no file of sessions.
	sealed, err := newest(t, r.cache).Seal(key, "")
	if err != nil {
		t.Fatal(err)
	}
	bad("a single session", append([]byte("mayfly sessions 1\n"), sealed...), key)

	r.client.Sessions = mayfly.NewSessionCache(0)
	client, server := r.connect(t)
	mustBe(t, false, client, server)

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := mayfly.LoadSessions(file, key, 0); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, mayfly.ErrSessionFile) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestFailedSave leaves what was there.
func TestFailedSave(t *testing.T) {
	t.Parallel()
	r, file, key := savedRig(t)
	wiped := mayfly.GenerateSealingKey()
	wiped.Wipe()
	folder := filepath.Join(filepath.Dir(file), "folder")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a wiped key":       mayfly.SaveSessions(file, wiped, r.cache),
		"no key":            mayfly.SaveSessions(file, nil, r.cache),
		"no cache":          mayfly.SaveSessions(file, key, nil),
		"no folder":         mayfly.SaveSessions(filepath.Join(file, "sessions"), key, r.cache),
		"a folder in place": mayfly.SaveSessions(folder, key, r.cache),
	} {
		if err == nil {
			t.Errorf("%s: it was saved", what)
		}
	}
	if _, err := mayfly.LoadSessions(file, nil, 0); err == nil {
		t.Error("loaded without a key")
	}
	if loaded, err := mayfly.LoadSessions(file, key, 0); err != nil || loaded.Len() != 2 {
		t.Errorf("what was there is lost: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*.new-*")); len(left) != 0 {
		t.Errorf("files are left behind: %v", left)
	}
	if r.cache.Len() != 2 {
		t.Errorf("the cache has %d sessions left", r.cache.Len())
	}
}

// TestNoSecretInSessions looks for a session's secret in the file, and for anything but
// a constant in what is printed.
func TestNoSecretInSessions(t *testing.T) {
	t.Parallel()
	r, file, key := savedRig(t)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newest(t, r.cache)
	secret := mayfly.SecretOf(s)
	if bytes.Contains(b, secret) || bytes.Contains(b, mayfly.TicketOf(s)) || bytes.Contains(b, []byte("db.example")) {
		t.Error("the file can be read without the key")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{s, *s, struct{ s *mayfly.Session }{s}, key, *key, struct{ k *mayfly.SealingKey }{key}, []any{s, key}} {
			if said := fmt.Sprintf(verb, v); strings.Contains(said, hex.EncodeToString(secret)) || strings.Contains(said, strings.Trim(fmt.Sprint(secret), "[]")) {
				t.Errorf("%s of %T prints the secret", verb, v)
			}
		}
	}
}

// TestSealedSession is what a store needs that keeps sessions elsewhere.
func TestSealedSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &farStore{key: mayfly.GenerateSealingKey(), put: make(chan struct{}, 8)}
	r.client.Sessions = store
	for n := range 3 {
		client, server := r.connect(t)
		mustBe(t, n > 0, client, server)
		<-store.put
		if n == 0 {
			<-store.put // where a session is resumed, one ticket takes the place of the one that was used
		}
	}
	name, sealed := store.names[0], store.sealed[0]
	for what, err := range map[string]error{
		"another name": second(mayfly.OpenSession(store.key, name+"x", sealed)),
		"another key":  second(mayfly.OpenSession(mayfly.GenerateSealingKey(), name, sealed)),
		"altered":      second(mayfly.OpenSession(store.key, name, append([]byte{sealed[0] ^ 1}, sealed[1:]...))),
		"cut":          second(mayfly.OpenSession(store.key, name, sealed[:len(sealed)-1])),
		"empty":        second(mayfly.OpenSession(store.key, name, nil)),
	} {
		if !errors.Is(err, mayfly.ErrSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if second(mayfly.OpenSession(nil, name, sealed)) == nil {
		t.Error("opened without a key")
	}
}

func second(_ *mayfly.Session, err error) error { return err }

// A farStore keeps sealed sessions alone.
type farStore struct {
	key    *mayfly.SealingKey
	put    chan struct{}
	mu     sync.Mutex
	names  []string
	sealed [][]byte
}

func (f *farStore) Put(_ context.Context, name string, s *mayfly.Session) error {
	defer func() { f.put <- struct{}{} }()
	defer s.Wipe()
	sealed, err := s.Seal(f.key, name)
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.names, f.sealed = append(f.names, name), append(f.sealed, sealed)
	}
	return err
}

func (f *farStore) Take(_ context.Context, name string) (*mayfly.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.names, name)
	if i < 0 {
		return nil, nil
	}
	s, err := mayfly.OpenSession(f.key, name, f.sealed[i])
	f.names, f.sealed = slices.Delete(f.names, i, i+1), slices.Delete(f.sealed, i, i+1)
	return s, err
}

// TestSessionCache lets go of the oldest, and destroys it.
func TestSessionCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	small := mayfly.NewSessionCache(3)
	r.client.Sessions = small
	r.server.Tickets.Count = 1
	var all []*mayfly.Session
	for n := range 4 {
		r.client.ServerName = fmt.Sprint("host", n, ".example")
		r.connect(t)
		all = append(all, newest(t, small))
		r.clock.advance(time.Second)
	}
	if small.Len() != 3 || !mayfly.SessionWiped(all[0]) || mayfly.SessionWiped(all[1]) {
		t.Errorf("%d sessions, the first wiped: %v", small.Len(), mayfly.SessionWiped(all[0]))
	}
	if s, err := small.Take(t.Context(), "host2.example"); s != nil || err != nil {
		t.Errorf("a session of another client: %v, %v", s, err)
	}
	if err := small.Put(t.Context(), "x", nil); err == nil {
		t.Error("nothing was put into the cache")
	}
	small.Wipe()
	if small.Len() != 0 || !mayfly.SessionWiped(all[3]) {
		t.Error("Wipe leaves sessions")
	}
}

// TestSessionFileOfOddities saves what a server, or the program, has made of sessions,
// beside good ones: none of it costs the file.
func TestSessionFileOfOddities(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Tickets.Count = 3
	cert := testCertificate(t, "db.example", time.Now().Add(time.Hour))
	for n := range 1000 { // more than anybody has
		cert.SignedCertificateTimestamps = append(cert.SignedCertificateTimestamps, []byte{byte(n)})
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	r.server.Certificates, r.server.Identity = []tls.Certificate{cert}, nil
	r.client.Peers = mayfly.Roots(pool)
	r.connect(t)
	newest(t, r.cache).Wipe()
	file, key := filepath.Join(t.TempDir(), "sessions"), mayfly.GenerateSealingKey()
	if err := mayfly.SaveSessions(file, key, r.cache); err != nil {
		t.Fatal(err)
	}
	want := r.cache.Len() - 1
	loaded, err := mayfly.LoadSessions(file, key, 0)
	if err != nil || loaded.Len() != want || want < 2 {
		t.Fatalf("%v, %v, want %d sessions", loaded, err, want)
	}
	r.client.Sessions = loaded
	client, server := r.connect(t)
	mustBe(t, true, client, server)
	if got := client.ConnectionState().SignedCertificateTimestamps; len(got) != 1000 {
		t.Errorf("%d timestamps", len(got))
	}
}

// TestSessionFileAtOnce saves and loads one file from many sides: each finds a whole one.
// A symbolic link in its place is replaced, not followed.
func TestSessionFileAtOnce(t *testing.T) {
	t.Parallel()
	r, file, key := savedRig(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte("not ours"), 0o644), os.Remove(file), os.Symlink(other, file)); err != nil {
		t.Skip(err) // not every system has such links
	}
	if err := mayfly.SaveSessions(file, key, r.cache); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "not ours" {
		t.Errorf("the link was followed: %q, %v", b, err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if err := mayfly.SaveSessions(file, key, r.cache); err != nil {
					t.Error(err)
				}
				if cache, err := mayfly.LoadSessions(file, key, 0); err != nil || cache.Len() != 2 {
					t.Error(cache, err)
				}
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(file + "*"); len(left) != 1 {
		t.Errorf("files are left behind: %v", left)
	}
}
