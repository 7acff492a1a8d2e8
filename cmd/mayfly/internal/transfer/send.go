// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Sender sends.
type Sender struct {
	// Progress, where set, is told of bytes that are done, sent or found at the
	// receiver, after all was Begun.
	Progress func(n int64)
	Begun    func(files, bytes int64)

	// Skip is told of what in a folder is not sent, and why.
	Skip func(path, why string)

	// Fail is told of what cannot be read, or has changed while it was sent. Send goes on
	// with the rest. sent says that the file has arrived, as it was read.
	Fail func(path string, err error, sent bool)
}

func (s *Sender) fail(path string, err error, sent bool) {
	if s.Fail != nil {
		s.Fail(path, err, sent)
	}
}

var errChanged = errors.New("it changed while it was sent")

// A source is an entry, and where it is.
type source struct {
	entry
	name string
}

// A List is what is to be sent.
type List struct {
	sources []source
	total   Total
}

// Send sends the files and folders of a List. An error leaves at the receiver what it has:
// the next Send of the same goes on from there.
func (s *Sender) Send(conn io.ReadWriter, list *List) (*Total, error) {
	sources, total := list.sources, new(list.total)
	conn = newBufferedConn(conn)
	if s.Begun != nil {
		s.Begun(total.Files, total.Bytes)
	}
	if err := writeFrame(conn, hello{total.Files, total.Bytes}); err != nil {
		return nil, explained(conn, err)
	}
	sums := newDigest()
	for len(sources) > 0 {
		n := nextBatch(sources)
		saved, err := s.sendBatch(conn, sources[:n], sums)
		if err != nil {
			return nil, err
		}
		total.Saved += saved
		sources = sources[n:]
	}
	ours := sums.done()
	if err := errors.Join(writeFrame(conn, batch{}), writeFrame(conn, ours)); err != nil {
		return nil, explained(conn, err)
	}
	var theirs done
	if err := readFrame(conn, &theirs); err != nil {
		return nil, err
	}
	if theirs.Error != "" {
		return nil, &RemoteError{theirs.Error, theirs.Again}
	}
	if theirs.Files != ours.Files || theirs.Bytes != ours.Bytes || !bytes.Equal(theirs.Sum, ours.Sum) {
		return nil, errors.New("transfer: what the receiver has is not what was sent")
	}
	total.Sum = ours.Sum
	return total, nil
}

// A named is what Send was asked for.
type named struct{ base, root string }

// Check returns the error for which Send would refuse to begin with some names.
func Check(names ...string) error {
	_, err := check(names)
	return err
}

func check(names []string) ([]named, error) {
	var all []named
	seen := make(map[string]string)
	for _, name := range names {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		root, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(root)
		base := filepath.Base(abs)
		other, twice := seen[base]
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() && !info.IsDir():
			return nil, fmt.Errorf("transfer: %s is neither a file nor a folder", name)
		case base == filepath.Dir(abs):
			return nil, fmt.Errorf("transfer: %s has no name that it could arrive under: send what is in it", name)
		case base == stateFolder:
			return nil, fmt.Errorf("transfer: %s is what recv keeps of its senders: send what is beside it", name)
		case twice:
			return nil, fmt.Errorf("transfer: %s and %s have the same name: send one after the other", other, name)
		}
		seen[base] = name
		all = append(all, named{base, root})
	}
	return all, nil
}

// List finds files and folders to send, each under the last part of its name. Symbolic links
// are followed where they are named, and skipped below.
func (s *Sender) List(names ...string) (*List, error) {
	names = slices.Clone(names)
	names = slices.DeleteFunc(names, func(name string) bool {
		err := Check(name)
		if err != nil { // it was there when its name was given
			s.fail(name, err, false)
		}
		return err != nil
	})
	all, err := check(names)
	if err != nil {
		return nil, err
	}
	list := new(List)
	for _, n := range all {
		err := filepath.WalkDir(n.root, func(file string, d fs.DirEntry, err error) error {
			if err != nil { // a folder that cannot be read is sent without what is in it
				s.fail(file, err, false)
				return nil
			}
			info, err := d.Info()
			if err != nil {
				s.fail(file, err, false)
				return nil
			}
			if why := unfit(info); why != "" {
				if s.Skip != nil {
					s.Skip(file, why)
				}
				if info.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			below, err := filepath.Rel(n.root, file)
			if err != nil {
				return err
			}
			e := entry{Path: filePath(path.Join(n.base, filepath.ToSlash(below))), Dir: info.IsDir(), Mode: uint32(info.Mode().Perm()), Modified: info.ModTime()}
			if len(e.Path) > maxPath || strings.Count(string(e.Path), "/") >= maxDepth {
				s.fail(file, errors.New("its path is too long"), false)
				if e.Dir {
					return fs.SkipDir
				}
				return nil
			}
			if !e.Dir {
				e.Size, e.Sparse = info.Size(), hasHoles(info)
				list.total.Files++
				list.total.Bytes += e.Size
			}
			list.sources = append(list.sources, source{e, file})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// unfit says why something in a folder is not sent, if it is not.
func unfit(info fs.FileInfo) string {
	switch {
	case !info.Mode().IsRegular() && !info.IsDir():
		return "it is neither a file nor a folder"
	case info.IsDir() && info.Name() == stateFolder:
		return "it is what recv keeps of its senders"
	}
	return ""
}

// nextBatch is how many entries go together.
func nextBatch(sources []source) int {
	size, names := int64(0), 0
	for n, s := range sources {
		size, names = size+s.Size, names+len(s.Path)
		if n == maxBatch || n > 0 && (size > batchSize || names > batchNames) {
			return n
		}
	}
	return len(sources)
}

func (s *Sender) sendBatch(conn io.ReadWriter, sources []source, sums *digest) (saved int64, err error) {
	sources = slices.DeleteFunc(slices.Clone(sources), func(source source) bool {
		if source.Dir {
			return false
		}
		f, _, err := source.open() // before the receiver is told of it
		if err != nil {
			s.fail(source.name, err, false)
			return true
		}
		_ = f.Close()
		return false
	})
	if len(sources) == 0 {
		return 0, nil
	}
	var b batch
	for _, source := range sources {
		b.Entries = append(b.Entries, source.entry)
	}
	if err := writeFrame(conn, b); err != nil {
		return 0, explained(conn, err)
	}
	var theirs have
	if err := readFrame(conn, &theirs); err != nil {
		return 0, err
	}
	if theirs.Error != "" {
		return 0, &RemoteError{theirs.Error, theirs.Again}
	}
	if len(theirs.Parts) != len(sources) {
		return 0, errFrame
	}
	for i, source := range sources {
		if source.Dir {
			continue
		}
		n, err := s.sendFile(conn, source, theirs.Parts[i], sums)
		if err != nil {
			return 0, err
		}
		saved += n
	}
	return saved, nil
}

// open opens a file to read from.
func (s source) open() (*os.File, fs.FileInfo, error) {
	if info, err := os.Lstat(s.name); err != nil || !info.Mode().IsRegular() {
		return nil, nil, errors.Join(err, notRegular(info)) // a pipe would block
	}
	f, err := os.Open(s.name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = notRegular(info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func notRegular(info fs.FileInfo) error {
	if info == nil || info.Mode().IsRegular() {
		return nil
	}
	return errors.New("it is no longer a file")
}

// same reports whether a file is as it was when it was listed.
func (s source) same(info fs.FileInfo) bool {
	return info.Size() == s.Size && info.ModTime().Equal(s.Modified)
}

// sendFile sends what the receiver does not have of a file. An error is that of the
// connection. A file that cannot be read to its end is made up with zeros, and the
// receiver is told to drop it: the connection has to go on with the next.
func (s *Sender) sendFile(conn io.ReadWriter, source source, theirs part, sums *digest) (saved int64, err error) {
	f, _, failed := source.open()
	if failed == nil {
		defer f.Close()
	}
	h := sha256.New()
	if failed == nil && theirs.Size > 0 && theirs.Size <= source.Size {
		for left := theirs.Size; left > 0 && failed == nil; left -= hashPiece {
			if left < theirs.Size {
				if err := writeFrame(conn, start{Wait: true}); err != nil {
					return 0, explained(conn, err)
				}
			}
			_, failed = io.CopyN(h, f, min(left, hashPiece))
		}
		saved = theirs.Size
		if failed != nil || !bytes.Equal(h.Sum(nil), theirs.Sum) {
			saved = 0 // it has something else
			h.Reset()
			if failed == nil {
				_, failed = f.Seek(0, io.SeekStart)
			}
		}
	}
	if err := writeFrame(conn, start{From: saved}); err != nil {
		return 0, explained(conn, err)
	}
	s.tell(saved)
	w := &failing{w: conn}
	rest := source.Size - saved
	if failed == nil {
		var n int64
		n, failed = io.CopyN(io.MultiWriter(w, h, counter(s.tell)), f, rest)
		rest -= n
		if w.err != nil {
			return 0, explained(conn, w.err)
		}
	}
	if failed != nil {
		return 0, s.drop(conn, source, rest, failed)
	}
	info, err := f.Stat()
	if err != nil || !source.same(info) {
		s.fail(source.name, errors.Join(errChanged, err), true)
	}
	sum := h.Sum(nil)
	if err := writeFrame(conn, end{Sum: sum}); err != nil {
		return 0, explained(conn, err)
	}
	sums.add(source.Path, source.Size, sum)
	return saved, nil
}

// drop ends a file that cannot be read to its end.
func (s *Sender) drop(conn io.ReadWriter, source source, rest int64, failed error) error {
	if failed == io.EOF {
		failed = errors.New("it has become shorter while it was sent")
	}
	s.fail(source.name, failed, false)
	if _, err := io.CopyN(io.MultiWriter(conn, counter(s.tell)), zeros{}, rest); err != nil {
		return explained(conn, err)
	}
	if err := writeFrame(conn, end{Dropped: true}); err != nil {
		return explained(conn, err)
	}
	return nil
}

// zeros reads as zeros without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (s *Sender) tell(n int64) {
	if s.Progress != nil {
		s.Progress(n)
	}
}

// explained is err, or what the receiver said before it hung up.
func explained(conn io.Reader, err error) error {
	var last have
	if readFrame(conn, &last) == nil && last.Error != "" {
		return &RemoteError{last.Error, last.Again}
	}
	return err
}

// counter is a writer that counts.
type counter func(int64)

func (c counter) Write(p []byte) (int, error) { c(int64(len(p))); return len(p), nil }

// failing notes the error of a writer.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.err = err
	return n, err
}

// A bufferedConn puts small writes together. It sends them before it reads.
type bufferedConn struct {
	*bufio.Writer
	conn io.ReadWriter
}

func newBufferedConn(conn io.ReadWriter) *bufferedConn {
	return &bufferedConn{bufio.NewWriterSize(conn, 64<<10), conn}
}

// Read reads also where nothing can be sent any more: the receiver may have said why.
func (b *bufferedConn) Read(p []byte) (int, error) {
	flushed := b.Flush()
	n, err := b.conn.Read(p)
	if n == 0 && err != nil && flushed != nil {
		err = flushed
	}
	return n, err
}
