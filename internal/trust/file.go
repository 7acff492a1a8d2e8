// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package trust

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Line is one line of a file: a name and a pin.
type Line struct {
	Name string
	Pin  [sha256.Size]byte
}

// A File is a file of names and pins, which is read again when it has changed. It is
// safe for concurrent use.
type File struct {
	path    string
	parse   func(fields []string) (Line, error)
	mayLack bool // a file that does not exist has no lines
	unique  bool // a pin has one name

	mu     sync.Mutex
	lines  []Line
	loaded bool        // lines are good
	stamp  os.FileInfo // of the file last read, good or not
	warned string

	// recheck is until when another change may not show in the stamp. The zero time
	// means that every change shows.
	recheck time.Time
	sum     [sha256.Size]byte // of the text last parsed
	bad     error             // what its parsing returned
}

// NewKnownHosts returns a file of lines "name pin [comment]", which need not exist.
func NewKnownHosts(path string) *File {
	return &File{path: path, parse: parseKnownHost, mayLack: true}
}

// NewAuthorizedKeys returns a file of lines "pin name [comment]", in which a pin has one
// name.
func NewAuthorizedKeys(path string) *File {
	return &File{path: path, parse: parseAuthorizedKey, unique: true}
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// What a file may be. A file that changes twice within its file system's unit of
// time, two seconds at most, has the same time after both.
const (
	maxPinFile = 16 << 20
	timeUnit   = 2 * time.Second
)

// Read returns the lines as they are now. If the file is damaged, it returns those that
// it read before and warns slog; if it read none before, it returns an error.
func (f *File) Read() ([]Line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := os.Stat(f.path); err == nil && f.loaded && !f.changed(info) {
		return f.lines, nil
	}
	lines, err := f.load()
	switch {
	case err == nil:
		f.lines, f.loaded, f.warned = lines, true, ""
	case f.mayLack && errors.Is(err, fs.ErrNotExist) && f.stamp == nil:
		f.loaded = true
	case !f.loaded:
		return nil, err
	case f.warned != err.Error():
		f.warned = err.Error()
		slog.Warn("mayfly: a file of pins cannot be read again; what was read before stays in use", "error", err)
	}
	return f.lines, nil
}

func (f *File) changed(info os.FileInfo) bool {
	return !f.recheck.IsZero() || f.restamped(info)
}

func (f *File) restamped(info os.FileInfo) bool {
	return f.stamp == nil || !os.SameFile(info, f.stamp) ||
		info.Size() != f.stamp.Size() || !info.ModTime().Equal(f.stamp.ModTime())
}

// restamp notes the stamp of the file that is about to be read. A time of modification
// that is recent, or in the future by a clock that differs from ours, has the file read
// again, but only for timeUnit after it was first seen, and once more.
func (f *File) restamp(info os.FileInfo) {
	now := time.Now()
	switch {
	case !f.restamped(info):
		if now.After(f.recheck) {
			f.recheck = time.Time{}
		}
	case now.Sub(info.ModTime()) < timeUnit:
		f.recheck = now.Add(timeUnit)
	default:
		f.recheck = time.Time{}
	}
	f.stamp = info
}

func (f *File) load() ([]Line, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("mayfly: the list of peers cannot be read: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("mayfly: the list of peers cannot be read: %w", err)
	}
	f.restamp(info)
	text, err := io.ReadAll(io.LimitReader(file, maxPinFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("mayfly: the list of peers cannot be read: %w", err)
	case len(text) > maxPinFile:
		return nil, fmt.Errorf("mayfly: the list of peers %s is too large", f.path)
	}
	sum := sha256.Sum256(text)
	if (f.loaded || f.bad != nil) && sum == f.sum {
		return f.lines, f.bad
	}
	lines, err := f.parseLines(text)
	f.sum, f.bad = sum, err
	return lines, err
}

func (f *File) parseLines(text []byte) ([]Line, error) {
	lines := []Line{}
	names := make(map[[sha256.Size]byte]string)
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors write it
	number := 0
	for raw := range bytes.Lines(text) {
		number++
		fields := strings.Fields(string(raw))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		line, err := f.parse(fields)
		if other, ok := names[line.Pin]; err == nil && f.unique && ok && other != line.Name {
			err = errors.New("this pin has another name further up")
		}
		if err != nil {
			return nil, fmt.Errorf("mayfly: %s, line %d: %w", f.path, number, err)
		}
		names[line.Pin] = line.Name
		lines = append(lines, line)
	}
	return lines, nil
}

// parseKnownHost reads "name pin [comment]".
func parseKnownHost(fields []string) (Line, error) {
	if len(fields) < 2 {
		return Line{}, errors.New("a line is a name and a pin: name sha256//…")
	}
	name := HostName(fields[0])
	if name == "" {
		return Line{}, errors.New("a line begins with a host name or an IP address, without a port or a wildcard")
	}
	pin, ok := ParsePin(fields[1])
	if !ok {
		return Line{}, errBadPin
	}
	return Line{name, pin}, nil
}

// parseAuthorizedKey reads "pin name [comment]".
func parseAuthorizedKey(fields []string) (Line, error) {
	if len(fields) < 2 {
		return Line{}, errors.New("a line is a pin and a name: sha256//… name")
	}
	pin, ok := ParsePin(fields[0])
	if !ok {
		return Line{}, errBadPin
	}
	name := fields[1]
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Line{}, errors.New("a name has printable characters only")
	}
	return Line{name, pin}, nil
}

var errBadPin = errors.New(`a pin is "sha256//" and the base64 of 32 bytes`)
