// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// ErrSessionFile is in the chain of an error (errors.Is) of LoadSessions where a file
// was read and is damaged, is no file of SaveSessions, or was sealed under another key.
var ErrSessionFile = errors.New("mayfly: the file of sessions cannot be opened")

// The beginning of a file of sessions, and what that and a single one are sealed for.
const (
	sessionMagic   = "mayfly sessions 1\n"
	filePurpose    = "session file"
	sessionPurpose = "session"
	maxSessionFile = 64 << 20
)

// ErrSession is in the chain of an error (errors.Is) of OpenSession.
var ErrSession = errors.New("mayfly: the session cannot be opened")

// Seal writes a session for a SessionStore that keeps it elsewhere, under the name that
// the store was given. s stays as it is: the store wipes it.
func (s *Session) Seal(key *SealingKey, name string) ([]byte, error) {
	if key == nil {
		return nil, errNoSealingKey
	}
	text := s.state.Marshal()
	defer text.Wipe()
	if text.Len() == 0 {
		return nil, errLargeSession
	}
	sealed, err := key.held().Seal(rand.Reader, text.Bytes(), sessionPurpose, name)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the session cannot be sealed: %w", err)
	}
	return sealed, nil
}

// OpenSession reads a session that Seal has written under the same name and key. Its
// error is ErrSession.
func OpenSession(key *SealingKey, name string, sealed []byte) (*Session, error) {
	if key == nil {
		return nil, errNoSealingKey
	}
	text, err := key.held().Open(sealed, sessionPurpose, name)
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged, or the key or the name is another one", ErrSession)
	}
	defer text.Wipe()
	state, err := resumption.Parse(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: it is of another version", ErrSession)
	}
	return &Session{state}, nil
}

var (
	errNoSealingKey = configError("sessions are sealed under a key: give a SealingKey, of NewSealingKey")
	errLargeSession = errors.New("mayfly: a session is too large to be saved")
)

// SaveSessions writes the sessions of a cache to a file, sealed under key, for
// LoadSessions. The file is replaced in one step, or stays as it was. It can be read by
// its owner alone. It holds at most 64 MiB: of more, the newest sessions. The cache keeps the sessions; a program that goes on using them
// should save again, so that none is used twice.
func SaveSessions(path string, key *SealingKey, cache *SessionCache) error {
	switch {
	case key == nil:
		return errNoSealingKey
	case cache == nil:
		return configError("SaveSessions was given no SessionCache")
	}
	text, err := cache.marshal()
	if err != nil {
		return err
	}
	defer text.Wipe()
	sealed, err := key.held().Seal(rand.Reader, text.Bytes(), filePurpose, "")
	if err != nil {
		return fmt.Errorf("mayfly: the sessions cannot be sealed: %w", err)
	}
	return writeFile(path, append([]byte(sessionMagic), sealed...))
}

// LoadSessions reads a file of SaveSessions into a new cache for capacity sessions (see
// NewSessionCache). A file that is not there is an error for which errors.Is(err,
// fs.ErrNotExist) holds, a damaged one ErrSessionFile: either way a new cache serves as
// well, at the price of full handshakes. The file is left as it is.
func LoadSessions(path string, key *SealingKey, capacity int) (*SessionCache, error) {
	if key == nil {
		return nil, errNoSealingKey
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the file of sessions: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSessionFile+1))
	if err != nil {
		return nil, fmt.Errorf("mayfly: the file of sessions: %w", err)
	}
	sealed, ok := bytes.CutPrefix(b, []byte(sessionMagic))
	if !ok || len(b) > maxSessionFile {
		return nil, fmt.Errorf("%w: %s is not one", ErrSessionFile, path)
	}
	text, err := key.held().Open(sealed, filePurpose, "")
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged, or the key is another one", ErrSessionFile, path)
	}
	defer text.Wipe()
	cache := NewSessionCache(capacity)
	if !cache.parse(text.Bytes()) {
		cache.Wipe()
		return nil, fmt.Errorf("%w: %s is of another version", ErrSessionFile, path)
	}
	return cache, nil
}

// marshal writes all sessions, each behind its name, but for those that were wiped.
func (c *SessionCache) marshal() (*volatile.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := slices.DeleteFunc(slices.Clone(c.entries), func(e cacheEntry) bool { return e.session.state.Secret.Len() == 0 })
	states := make([]*volatile.Secret, len(whole))
	defer func() {
		for _, s := range states {
			s.Wipe()
		}
	}()
	n, first := 0, len(whole)
	for i, e := range slices.Backward(whole) {
		if states[i] = e.session.state.Marshal(); states[i] == nil {
			return nil, errLargeSession
		}
		size := 2 + len(e.name) + 3 + states[i].Len()
		if n+size > maxSessionFile-len(sessionMagic)-resumption.Overhead {
			break
		}
		n, first = n+size, i
	}
	out := volatile.New(n)
	b := cryptobyte.NewFixedBuilder(out.Bytes()[:0])
	for i, e := range whole[first:] {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.name)) })
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(states[first+i].Bytes()) })
	}
	if _, err := b.Bytes(); err != nil {
		out.Wipe()
		return nil, errLargeSession
	}
	return out, nil
}

// parse puts what marshal has written into the cache, and reports whether it could.
func (c *SessionCache) parse(text []byte) bool {
	s := cryptobyte.String(text)
	for !s.Empty() {
		var name, state cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&name) || !s.ReadUint24LengthPrefixed(&state) {
			return false
		}
		parsed, err := resumption.Parse(state)
		if err != nil {
			return false
		}
		_ = c.Put(context.Background(), string(name), &Session{parsed}) // it has no errors
	}
	return true
}

// writeFile replaces a file in one step, and makes sure that it is on the disk.
func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return fmt.Errorf("mayfly: the file of sessions: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("mayfly: the file of sessions: %w", err)
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if dir, e := os.Open(filepath.Dir(path)); e == nil {
		_ = dir.Sync() // not every system can
		_ = dir.Close()
	}
	return nil
}
