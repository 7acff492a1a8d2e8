// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// suffix is that of files which are not yet whole. They lie beside what they become.
const suffix = ".mayfly-part"

// maxName is how long a name may be on the systems that there are, in bytes.
const maxName = 255

// partOf is the name of a file while it is not whole: its own and the suffix. Where that
// would be too long, a hash stands for the end of its own.
func partOf(name string) string {
	folder, base := filepath.Split(name)
	if len(base)+len(suffix) > maxName {
		sum := sha256.Sum256([]byte(base))
		digits := hex.EncodeToString(sum[:8])
		keep := maxName - len(suffix) - len(digits)
		for keep > 0 && !utf8.RuneStart(base[keep]) {
			keep--
		}
		base = base[:keep] + digits
	}
	return folder + base + suffix
}

// A Receiver receives into a folder, which nothing that a sender says leads out of.
type Receiver struct {
	Root *os.Root

	// MaxBytes is how much one transfer may bring. Zero: there is no bound.
	MaxBytes int64

	// Progress and Begun are those of Sender.
	Progress func(n int64)
	Begun    func(files, bytes int64)
}

// Receive receives what one Send sends. A file takes its name, and the place of what
// had it, when it is whole and its hash is right. After an error, which the sender is
// told, what came stays, for the next Receive to go on from.
func (r *Receiver) Receive(conn io.ReadWriter) (*Total, error) {
	total, err := r.receive(conn)
	if err != nil {
		_ = writeFrame(conn, have{Error: strings.TrimPrefix(err.Error(), "transfer: ")})
		return nil, err
	}
	return total, nil
}

func (r *Receiver) receive(conn io.ReadWriter) (*Total, error) {
	var first hello
	if err := readFrame(conn, &first); err != nil {
		return nil, err
	}
	if first.Files < 0 || first.Bytes < 0 {
		return nil, errFrame
	}
	if err := r.fits(first.Bytes); err != nil {
		return nil, err
	}
	if r.Begun != nil {
		r.Begun(first.Files, first.Bytes)
	}
	total, sums := new(Total), newDigest()
	for {
		var b batch
		if err := readFrame(conn, &b); err != nil {
			return nil, err
		}
		if len(b.Entries) == 0 {
			return total, r.compare(conn, total, sums)
		}
		if err := r.receiveBatch(conn, b.Entries, total, sums); err != nil {
			return nil, err
		}
	}
}

func (r *Receiver) fits(n int64) error {
	if r.MaxBytes > 0 && n > r.MaxBytes {
		return fmt.Errorf("transfer: it is more than the %d bytes that are taken", r.MaxBytes)
	}
	return nil
}

func (r *Receiver) receiveBatch(conn io.ReadWriter, entries []entry, total *Total, sums *digest) error {
	if len(entries) > maxBatch {
		return errFrame
	}
	var answer have
	there, seen := make([]found, 0, len(entries)), make(map[filePath]bool)
	for _, e := range entries {
		if err := e.check(); err != nil {
			return err
		}
		if seen[e.Path] {
			return errFrame // what is there of it would not be what it was
		}
		seen[e.Path] = true
		total.Bytes += e.Size
		if err := r.fits(total.Bytes); err != nil || total.Bytes < 0 {
			return errors.Join(err, errFrame)
		}
		f, err := r.prepare(e)
		if err != nil {
			return err
		}
		there, answer.Parts = append(there, f), append(answer.Parts, f.part)
	}
	if err := writeFrame(conn, answer); err != nil {
		return err
	}
	for i, e := range entries {
		if e.Dir {
			continue
		}
		saved, err := r.receiveFile(conn, e, there[i], sums)
		if err != nil {
			return err
		}
		total.Saved += saved
	}
	return nil
}

// check refuses what is no path below the folder.
func (e *entry) check() error {
	p := string(e.Path)
	switch {
	case p == "" || len(p) > maxPath || p != path.Clean(p) || p == "." || !filepath.IsLocal(filepath.FromSlash(p)),
		strings.Contains(p, "\x00"), filepath.Separator != '/' && strings.ContainsRune(p, filepath.Separator),
		strings.HasSuffix(p, suffix):
		return fmt.Errorf("transfer: the name %.*q is not taken", maxName, p)
	case e.Size < 0, e.Dir && e.Size != 0:
		return errFrame
	}
	return nil
}

// found is what there is of a file.
type found struct {
	part
	hash  hash.Hash // of it, to go on with
	whole bool      // it is the file itself, not the part of one
}

// prepare makes the folder of an entry, and says how much of a file is there already.
func (r *Receiver) prepare(e entry) (found, error) {
	name := filepath.FromSlash(string(e.Path))
	if e.Dir {
		return found{}, r.folder(name, fs.FileMode(e.Mode)&fs.ModePerm)
	}
	if err := r.Root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return found{}, err
	}
	f, err := r.look(partOf(name), e.Size)
	if err != nil || f.Size > 0 {
		return f, err
	}
	f, err = r.look(name, e.Size)
	f.whole = true
	return f, err
}

// folder makes a folder that only those can look into who can do so at the sender. Its
// owner can always write to it, as files are to come.
func (r *Receiver) folder(name string, mode fs.FileMode) error {
	mode |= 0o700
	if err := r.Root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := r.Root.Mkdir(name, mode); err == nil {
		return r.Root.Chmod(name, mode) // whatever umask says
	}
	return r.Root.MkdirAll(name, mode) // it is there, or what is there is none
}

// look hashes a file that is no longer than size.
func (r *Receiver) look(name string, size int64) (found, error) {
	info, err := r.Root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found{}, nil
	case err != nil:
		return found{}, err
	case info.IsDir():
		return found{}, fmt.Errorf("transfer: %q is a folder here", name)
	case !info.Mode().IsRegular() || info.Size() > size:
		return found{}, nil
	}
	f, err := r.Root.Open(name)
	if err != nil {
		return found{}, nil // it is replaced
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyN(h, f, info.Size())
	if err != nil {
		return found{}, nil
	}
	return found{part: part{n, h.Sum(nil)}, hash: h}, nil
}

// receiveFile receives what is not there of a file.
func (r *Receiver) receiveFile(conn io.Reader, e entry, there found, sums *digest) (saved int64, err error) {
	var first start
	if err := readFrame(conn, &first); err != nil {
		return 0, err
	}
	if first.From != 0 && first.From != there.Size {
		return 0, errFrame
	}
	name := filepath.FromSlash(string(e.Path))
	r.tell(first.From)
	if there.whole && first.From > 0 && first.From == e.Size {
		return first.From, r.keep(conn, e, name, there, sums)
	}
	f, h, err := r.open(name, first.From, there)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.MultiWriter(f, h, counter(r.tell)), conn, e.Size-first.From); err != nil {
		return 0, cut(err)
	}
	var last end
	if err := readFrame(conn, &last); err != nil {
		return 0, err
	}
	if last.Dropped {
		return 0, errors.Join(f.Close(), r.Root.Remove(partOf(name)))
	}
	if !bytes.Equal(h.Sum(nil), last.Sum) {
		_ = r.Root.Remove(partOf(name))
		return 0, fmt.Errorf("transfer: %q has not arrived as it was sent", name)
	}
	if err := errors.Join(f.Sync(), f.Close(), r.mark(partOf(name), e)); err != nil {
		return 0, err
	}
	sums.add(e.Path, e.Size, last.Sum)
	return first.From, r.Root.Rename(partOf(name), name)
}

// keep leaves a file that is the sender's already.
func (r *Receiver) keep(conn io.Reader, e entry, name string, there found, sums *digest) error {
	var last end
	if err := readFrame(conn, &last); err != nil {
		return err
	}
	if last.Dropped {
		return nil
	}
	if !bytes.Equal(there.Sum, last.Sum) {
		return errFrame
	}
	sums.add(e.Path, e.Size, last.Sum)
	return r.mark(name, e)
}

// mark gives a file the permissions and the time that it has at the sender.
func (r *Receiver) mark(name string, e entry) error {
	return errors.Join(r.Root.Chmod(name, fs.FileMode(e.Mode)&fs.ModePerm), r.Root.Chtimes(name, e.Modified, e.Modified))
}

// open opens the part of a file for what comes behind an offset, with the hash to there.
func (r *Receiver) open(name string, from int64, there found) (*os.File, hash.Hash, error) {
	h := there.hash
	switch {
	case from == 0:
		h = sha256.New()
		_ = r.Root.Remove(partOf(name)) // whatever it is
	case there.whole:
		// The beginning is that of the file itself, which stays until this is whole.
		_ = r.Root.Remove(partOf(name))
		if err := r.copy(name, from); err != nil {
			return nil, nil, err
		}
	}
	f, err := r.Root.OpenFile(partOf(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	_, err = f.Seek(from, io.SeekStart)
	if err = errors.Join(err, f.Truncate(from)); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, h, nil
}

// copy makes the part of a file of its first bytes.
func (r *Receiver) copy(name string, n int64) error {
	from, err := r.Root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := r.Root.OpenFile(partOf(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(to, from, n)
	return errors.Join(err, to.Close())
}

func (r *Receiver) tell(n int64) {
	if r.Progress != nil {
		r.Progress(n)
	}
}

// compare ends the transfer.
func (r *Receiver) compare(conn io.ReadWriter, total *Total, sums *digest) error {
	ours := sums.done()
	var theirs done
	if err := readFrame(conn, &theirs); err != nil {
		return err
	}
	if theirs.Files != ours.Files || theirs.Bytes != ours.Bytes || !bytes.Equal(theirs.Sum, ours.Sum) {
		err := errors.New("transfer: what was sent is not what has arrived")
		_ = writeFrame(conn, done{Error: err.Error()})
		return err
	}
	total.Files, total.Sum = ours.Files, ours.Sum
	return writeFrame(conn, ours)
}
