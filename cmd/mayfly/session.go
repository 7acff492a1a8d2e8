// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-tls/mayfly"
)

// savedSessions are the sessions of dial in their file.
type savedSessions struct {
	file, keyFile string

	key   *mayfly.SealingKey
	cache *mayfly.SessionCache
}

// maxSaved is how many sessions a file holds.
const maxSaved = 256

func (s *savedSessions) register(f *pflag.FlagSet) {
	f.StringVar(&s.file, "session-file", "", "resume a session of this `file`, and save those to come in it, sealed")
	f.StringVar(&s.keyFile, "session-key", "", "the key under which --session-file is sealed: a `file` with 32 random bytes in base64, made where it is not there (default: the session file's name and .key)")
}

// load makes ready what --session-file says, and gives it to config. A file that is
// damaged costs a full handshake: it is left as it is, and nothing is saved over it.
func (s *savedSessions) load(config *mayfly.Config, stderr io.Writer) error {
	if s.file == "" {
		if s.keyFile != "" {
			return errors.New("--session-key goes with --session-file")
		}
		return nil
	}
	if s.keyFile == "" {
		s.keyFile = s.file + ".key"
	}
	info, err := os.Stat(s.file)
	if err == nil && info.IsDir() {
		return fmt.Errorf("--session-file: %s is a folder", s.file)
	}
	if s.key, err = sealingKey(s.keyFile, errors.Is(err, fs.ErrNotExist)); err != nil {
		return keyOf(s.file, err)
	}
	s.cache, err = mayfly.LoadSessions(s.file, s.key, maxSaved)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		s.cache = mayfly.NewSessionCache(maxSaved)
	case errors.Is(err, mayfly.ErrSessionFile):
		fmt.Fprintf(stderr, "%s: no session is resumed or saved; remove the file to begin anew\n", sentence(err))
		return nil
	default:
		return err
	}
	config.Sessions = s.cache
	return nil
}

// save writes the sessions that are left, so that none is offered twice.
func (s *savedSessions) save() error {
	if s.cache == nil {
		return nil
	}
	return mayfly.SaveSessions(s.file, s.key, s.cache)
}

// wipe destroys what is in memory.
func (s *savedSessions) wipe() {
	if s.cache != nil {
		s.cache.Wipe()
	}
	s.key.Wipe()
}

// sealingKey reads a key of 32 bytes in base64, or makes the file.
func sealingKey(file string, create bool) (*mayfly.SealingKey, error) {
	f, err := os.Open(file)
	if create && errors.Is(err, fs.ErrNotExist) {
		return newSealingKey(file)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, errors.Join(err, fmt.Errorf("%s can be read by others: chmod 600 %s", file, file))
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	defer clear(b)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	defer clear(secret)
	n, err := base64.StdEncoding.Decode(secret, []byte(strings.TrimSpace(string(b))))
	if err != nil || n != 32 {
		return nil, fmt.Errorf("%s does not hold 32 random bytes in base64", file)
	}
	return mayfly.NewSealingKey(secret[:n])
}

func newSealingKey(file string) (*mayfly.SealingKey, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	defer clear(secret)
	_, _ = rand.Read(secret)
	text := append(base64.StdEncoding.AppendEncode(nil, secret), '\n')
	defer clear(text)
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	return mayfly.NewSealingKey(secret)
}

func sessionCommand() *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use:   "session FILE",
		Short: "Show the sessions that dial has saved, without their secrets",
		Long: `Show the sessions in FILE, which dial --session-file has written: with whom they are,
since when and until when they can be resumed. No ticket and no key is shown.`,
		Example: "  mayfly session db.sessions",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyFile == "" {
				keyFile = args[0] + ".key"
			}
			if _, err := os.Stat(args[0]); err != nil {
				return err
			}
			key, err := sealingKey(keyFile, false)
			if err != nil {
				return keyOf(args[0], err)
			}
			defer key.Wipe()
			cache, err := mayfly.LoadSessions(args[0], key, maxSaved)
			if err != nil {
				return err
			}
			defer cache.Wipe()
			out, now := cmd.OutOrStdout(), time.Now()
			fmt.Fprintf(out, "%d sessions\n", cache.Len())
			cache.Each(func(_ string, s *mayfly.Session) bool {
				showSession(out, now, s)
				return true
			})
			return nil
		},
	}
	cmd.Flags().StringVar(&keyFile, "session-key", "", "the key of FILE: a `file` (default: the name of FILE and .key)")
	return cmd
}

// keyOf is an error about the key of a session file.
func keyOf(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the key under which %s is sealed: %w; --session-key names another file", file, err)
	}
	return err
}

func showSession(out io.Writer, now time.Time, s *mayfly.Session) {
	date := func(t time.Time) string { return t.Format(time.RFC3339) }
	name := s.ServerName()
	if name == "" {
		name = "a server without a name"
	}
	fmt.Fprintf(out, "\n%s\n", name)
	if pin, ok := s.Pin(); ok {
		fmt.Fprintf(out, "  key            %s, proved %s\n", pin, date(s.Authenticated()))
	} else {
		fmt.Fprintf(out, "  authenticated  %s, by a pre-shared key\n", date(s.Authenticated()))
	}
	fmt.Fprintf(out, "  suite          %s\n", tls.CipherSuiteName(s.CipherSuite()))
	if p := s.NextProto(); p != "" {
		fmt.Fprintf(out, "  protocol       %s\n", p)
	}
	state := "can be resumed"
	if !now.Before(s.Expires()) {
		state = "has expired"
	}
	fmt.Fprintf(out, "  received       %s\n  until          %s (%s)\n", date(s.Received()), date(s.Expires()), state)
	fmt.Fprintf(out, "  early data     %d bytes\n", s.MaxEarlyData())
}
