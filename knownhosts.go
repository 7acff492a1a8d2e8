// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
)

// KnownHosts accepts a server by a file of names and pins. It is a client's. A
// line is
//
//	name pin [comment]
//
// where name is a host name or an IP address, and may have several lines; there
// are no wildcards. Empty lines, and lines that begin with #, are passed over.
//
// The line is looked up by Config.ServerName, which must be set, and never by the
// address that was dialled: so one member of a fleet cannot pose as another. A
// server without a line is refused with an error that gives the line to add; a
// server with another key is refused. A file that does not exist knows nobody.
//
// The file is read again when it has changed. If it is damaged then, the lines read
// before stay in use, and slog has a warning. If it is damaged when the Config is
// first used, that is an error with the number of the line.
func KnownHosts(path string) Peers {
	return &knownHosts{pinFile{path: path, parse: parseKnownHost, mayLack: true}}
}

// AuthorizedKeys accepts a client by a file of pins and names. It is a server's. A
// line is
//
//	pin name [comment]
//
// where name, which is for the application alone, becomes Peer.Name. Several
// pins may have the same name. Empty lines, and lines that begin with #, are
// passed over.
//
// The file must exist when the Config is first used; a damaged line is an error
// with its number. It is read again when it has changed. If it is damaged or gone
// then, the lines read before stay in use, and slog has a warning: to revoke all
// keys, empty it. A change counts from the next handshake on; Listener.CloseIf ends
// connections that stand.
func AuthorizedKeys(path string) Peers {
	return &authorizedKeys{pinFile{path: path, parse: parseAuthorizedKey, unique: true}}
}

type knownHosts struct{ file pinFile }

func (k *knownHosts) validate(server bool, facts configFacts) error {
	switch {
	case server:
		return configError("KnownHosts is a client's: a server sets AuthorizedKeys")
	case facts.ServerName == "":
		return configError("KnownHosts goes by the server's name, never by the address: set ServerName")
	}
	_, err := k.file.read()
	return err
}

func (k *knownHosts) explicitName() bool    { return true }
func (k *knownHosts) authorities() [][]byte { return nil }

func (k *knownHosts) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (k *knownHosts) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err != nil {
		return Peer{}, err
	}
	lines, err := k.file.read()
	if err != nil {
		return Peer{}, alert.Wrap(alert.InternalError, "the peer could not be judged", err)
	}
	name := hostName(facts.ServerName)
	known, found := false, false
	for _, line := range lines {
		if line.name == name {
			known = true
			found = line.pin.is(peer.Pin) || found
		}
	}
	switch {
	case name == "" || !known:
		return Peer{}, refuse(byFile, fmt.Sprintf(
			"%s has no line for this server: if you have checked that this is its key, add the line: %s %s",
			k.file.path, name, peer.Pin), nil)
	case !found:
		return Peer{}, refuse(byFile, fmt.Sprintf(
			"%s has another key for %s than %s: the server's key was changed, or somebody else answers in its place",
			k.file.path, name, peer.Pin), nil)
	}
	peer.Name = facts.ServerName
	return peer, nil
}

type authorizedKeys struct{ file pinFile }

func (a *authorizedKeys) validate(server bool, _ configFacts) error {
	if !server {
		return configError("AuthorizedKeys is a server's: a client sets KnownHosts, or Pins")
	}
	_, err := a.file.read()
	return err
}

func (a *authorizedKeys) explicitName() bool    { return false }
func (a *authorizedKeys) authorities() [][]byte { return nil }

func (a *authorizedKeys) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (a *authorizedKeys) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err != nil {
		return Peer{}, err
	}
	lines, err := a.file.read()
	if err != nil {
		return Peer{}, alert.Wrap(alert.InternalError, "the peer could not be judged", err)
	}
	for _, line := range lines {
		if line.pin.is(peer.Pin) {
			peer.Name = line.name
		}
	}
	if peer.Name == "" {
		return Peer{}, refuse(byFile, fmt.Sprintf("its key %s is not in %s", peer.Pin, a.file.path), nil)
	}
	return peer, nil
}

// A pinLine is one line of a file.
type pinLine struct {
	name string
	pin  Pin
}

// A pinFile is a file of names and pins, read again when it has changed.
type pinFile struct {
	path    string
	parse   func(fields []string) (pinLine, error)
	mayLack bool // a file that does not exist has no lines
	unique  bool // a pin has one name

	mu     sync.Mutex
	lines  []pinLine
	loaded bool        // lines are good
	stamp  os.FileInfo // of the file last read, good or not
	warned string

	// recheck is until when another change may not show in the stamp. The zero time
	// means that every change shows.
	recheck time.Time
	sum     [sha256.Size]byte // of the text last parsed
	bad     error             // what its parsing returned
}

// What a file may be. A file that changes twice within its file system's unit of
// time, two seconds at most, has the same time after both.
const (
	maxPinFile = 16 << 20
	timeUnit   = 2 * time.Second
)

// read returns the lines as they are now, or those read before if the file is
// damaged.
func (f *pinFile) read() ([]pinLine, error) {
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

func (f *pinFile) changed(info os.FileInfo) bool {
	return !f.recheck.IsZero() || f.restamped(info)
}

func (f *pinFile) restamped(info os.FileInfo) bool {
	return f.stamp == nil || !os.SameFile(info, f.stamp) ||
		info.Size() != f.stamp.Size() || !info.ModTime().Equal(f.stamp.ModTime())
}

// restamp notes the stamp of the file that is about to be read. A time of modification
// that is recent, or in the future by a clock that differs from ours, has the file read
// again, but only for timeUnit after it was first seen, and once more.
func (f *pinFile) restamp(info os.FileInfo) {
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

func (f *pinFile) load() ([]pinLine, error) {
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

func (f *pinFile) parseLines(text []byte) ([]pinLine, error) {
	lines := []pinLine{}
	names := make(map[Pin]string)
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors write it
	number := 0
	for raw := range bytes.Lines(text) {
		number++
		fields := strings.Fields(string(raw))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		line, err := f.parse(fields)
		if other, ok := names[line.pin]; err == nil && f.unique && ok && other != line.name {
			err = errors.New("this pin has another name further up")
		}
		if err != nil {
			return nil, fmt.Errorf("mayfly: %s, line %d: %w", f.path, number, err)
		}
		names[line.pin] = line.name
		lines = append(lines, line)
	}
	return lines, nil
}

// parseKnownHost reads "name pin [comment]".
func parseKnownHost(fields []string) (pinLine, error) {
	if len(fields) < 2 {
		return pinLine{}, errors.New("a line is a name and a pin: name sha256//…")
	}
	name := hostName(fields[0])
	if name == "" {
		return pinLine{}, errors.New("a line begins with a host name or an IP address, without a port or a wildcard")
	}
	pin, err := ParsePin(fields[1])
	if err != nil {
		return pinLine{}, errBadPin
	}
	return pinLine{name, pin}, nil
}

// parseAuthorizedKey reads "pin name [comment]".
func parseAuthorizedKey(fields []string) (pinLine, error) {
	if len(fields) < 2 {
		return pinLine{}, errors.New("a line is a pin and a name: sha256//… name")
	}
	pin, err := ParsePin(fields[0])
	if err != nil {
		return pinLine{}, errBadPin
	}
	name := fields[1]
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return pinLine{}, errors.New("a name has printable characters only")
	}
	return pinLine{name, pin}, nil
}

var errBadPin = errors.New(`a pin is "sha256//" and the base64 of 32 bytes`)

// hostName is a name as files have it: small letters, addresses in their one
// form. It is empty if this is no name of a host.
func hostName(name string) string {
	name = canonicalName(name)
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		if ip.Zone() != "" && !isLabel(ip.Zone()) {
			return ""
		}
		return ip.String()
	}
	if len(name) > 253 {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return ""
		}
	}
	return name
}

// isLabel reports whether s is the part of a host name between two dots.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
