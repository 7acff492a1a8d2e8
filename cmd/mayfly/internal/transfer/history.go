// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bufio"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// A fileKey stands for a path of a sender.
type fileKey [16]byte

func keyOf(p filePath) fileKey {
	sum := sha256.Sum256([]byte(p))
	return fileKey(sum[:16])
}

func (k fileKey) part() string  { return hex.EncodeToString(k[:]) + ".part" }
func (k fileKey) state() string { return hex.EncodeToString(k[:]) + ".state" }

// An arrival is what a sender has sent under a path: whole, and durable.
type arrival struct {
	size, modified, changed int64 // of the file that was made; times in nanoseconds
	sum                     [sha256.Size]byte
}

const (
	arrivalsFile = "arrived"
	arrivalSize  = len(fileKey{}) + 3*8 + sha256.Size
	maxArrivals  = 1 << 20 // the latest are kept; others are sent anew
)

func (a arrival) append(b []byte, key fileKey) []byte {
	b = append(b, key[:]...)
	for _, v := range []int64{a.size, a.modified, a.changed} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return append(b, a.sum[:]...)
}

func parseArrival(b []byte) (key fileKey, a arrival) {
	n := copy(key[:], b)
	for _, v := range []*int64{&a.size, &a.modified, &a.changed} {
		*v = int64(binary.BigEndian.Uint64(b[n:]))
		n += 8
	}
	copy(a.sum[:], b[n:])
	return key, a
}

// see notes what a file looks like while it is as it was made.
func (a *arrival) see(info fs.FileInfo) {
	a.size, a.modified, a.changed = info.Size(), info.ModTime().UnixNano(), changedAt(info)
}

// unchanged reports whether a file is as it was made.
func (a arrival) unchanged(info fs.FileInfo) bool {
	now := a
	now.see(info)
	return info.Mode().IsRegular() && now == a
}

// A history is what one sender has sent, and all that it may learn about. It holds the
// parts of files, how far each is, and a list of the files that are whole.
type history struct {
	inbox  *Inbox
	name   string
	folder *os.Root

	// Guarded by inbox.mu.
	transfers int
	claims    map[fileKey]*transfer

	mu      sync.Mutex
	arrived map[fileKey]arrival
	parts   map[fileKey]bool
	log     *os.File // of arrivals; the last of a key counts
}

// load reads the history from its folder, and removes parts of which it is not known how
// far they are.
func (h *history) load() error {
	h.arrived, h.parts = make(map[fileKey]arrival), make(map[fileKey]bool)
	entries, err := fs.ReadDir(h.folder.FS(), ".")
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for _, e := range entries {
		there[e.Name()] = true
	}
	for name := range there {
		base, _, _ := strings.Cut(name, ".")
		switch {
		case name == arrivalsFile:
		case there[base+".part"] && there[base+".state"]:
			var key fileKey
			if n, err := hex.Decode(key[:], []byte(base[:min(len(base), 2*len(key))])); err == nil && n == len(key) {
				h.parts[key] = true
			}
		default:
			_ = h.folder.Remove(name)
		}
	}
	return h.loadArrivals()
}

func (h *history) loadArrivals() error {
	log, err := h.folder.OpenFile(arrivalsFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return errors.Join(err, log.Close())
	}
	lines := info.Size() / int64(arrivalSize)
	first := max(0, lines-maxArrivals)
	in := bufio.NewReader(io.NewSectionReader(log, first*int64(arrivalSize), (lines-first)*int64(arrivalSize)))
	b := make([]byte, arrivalSize)
	for range lines - first {
		if _, err := io.ReadFull(in, b); err != nil {
			return errors.Join(err, log.Close())
		}
		key, a := parseArrival(b)
		h.arrived[key] = a
	}
	if lines > 2*int64(len(h.arrived))+1024 { // most of it is out of date
		if err := errors.Join(log.Close(), h.rewrite()); err != nil {
			return err
		}
		if log, err = h.folder.OpenFile(arrivalsFile, os.O_RDWR, 0o600); err != nil {
			return err
		}
		lines = int64(len(h.arrived))
	}
	_, err = log.Seek(lines*int64(arrivalSize), io.SeekStart) // over what a crash has cut
	if err != nil {
		return errors.Join(err, log.Close())
	}
	h.log = log
	return nil
}

func (h *history) rewrite() error {
	var b []byte
	for key, a := range h.arrived {
		b = a.append(b, key)
	}
	return h.replace(arrivalsFile, b)
}

// replace writes a file of the history anew.
func (h *history) replace(name string, b []byte) error {
	f, err := h.folder.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, h.inbox.sync(f), f.Close()); err != nil {
		return err
	}
	return h.folder.Rename(name+".new", name)
}

func (h *history) close() error { return errors.Join(h.log.Close(), h.folder.Close()) }

// add notes files that are whole and durable.
func (h *history) add(files []*received) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b []byte
	for _, f := range files {
		if _, known := h.arrived[f.key]; !known && len(h.arrived) >= maxArrivals {
			continue
		}
		h.arrived[f.key] = f.arrival
		b = f.append(b, f.key)
	}
	if len(b) == 0 {
		return nil
	}
	_, err := h.log.Write(b)
	return errors.Join(err, h.inbox.sync(h.log))
}

// whole returns what has arrived under a key, where the file is still as it was made.
func (h *history) whole(key fileKey, info fs.FileInfo) (arrival, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.arrived[key]
	return a, ok && info != nil && a.unchanged(info)
}

// A partState says how much of a part is durable, with the state of the hash there: a part
// is never read again.
type partState struct {
	Size int64
	Hash []byte
}

// save notes that the first n bytes of a part are durable.
func (h *history) save(key fileKey, n int64, sum hash.Hash) error {
	state, err := sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	text, err := json.Marshal(partState{n, state})
	if err != nil {
		return err
	}
	if err := h.replace(key.state(), text); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[key] = true
	return nil
}

// part returns how much of a file of at most size bytes is there.
func (h *history) part(key fileKey, size int64) (n int64, sum hash.Hash, ok bool) {
	h.mu.Lock()
	known := h.parts[key]
	h.mu.Unlock()
	if !known {
		return 0, nil, false
	}
	f, err := h.folder.Open(key.state())
	if err != nil {
		return 0, nil, false
	}
	defer f.Close()
	var s partState
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || json.Unmarshal(text, &s) != nil || s.Size <= 0 || s.Size > size {
		return 0, nil, false
	}
	info, err := h.folder.Lstat(key.part())
	if err != nil || !info.Mode().IsRegular() || info.Size() < s.Size {
		return 0, nil, false
	}
	sum = sha256.New()
	if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.Hash); err != nil {
		return 0, nil, false
	}
	return s.Size, sum, true
}

// forget removes the part of a file.
func (h *history) forget(key fileKey) {
	_ = h.folder.Remove(key.part())
	h.forgetState(key)
}

// forgetState removes what says how far a part is.
func (h *history) forgetState(key fileKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parts[key] {
		delete(h.parts, key)
		_ = h.folder.Remove(key.state())
	}
}

// A received file is whole, and becomes durable and takes its name with others.
type received struct {
	entry
	arrival
	key  fileKey
	info fs.FileInfo // of the part, once it is durable
}

// makeDurable gives a part the permissions and the time that the file has at the sender, and
// waits until the disk has it.
func (h *history) makeDurable(r *received) error {
	f, err := h.folder.OpenFile(r.key.part(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(fs.FileMode(r.Mode)&fs.ModePerm), h.folder.Chtimes(r.key.part(), time.Time{}, r.Modified), h.inbox.sync(f))
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return err
	}
	r.info = info
	return nil
}
