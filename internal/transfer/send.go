// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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
}

// A source is an entry, and where it is.
type source struct {
	entry
	name string
}

// Send sends files and folders, each under the last part of its name. An error leaves
// at the receiver what it has: the next Send of the same goes on from there.
func (s *Sender) Send(conn io.ReadWriter, names ...string) (*Total, error) {
	sources, total, err := s.list(names)
	if err != nil {
		return nil, err
	}
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
		return nil, &RemoteError{theirs.Error}
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
		case strings.HasSuffix(base, suffix):
			return nil, fmt.Errorf("transfer: %s has the name of a file that has not arrived whole: rename it", name)
		case twice:
			return nil, fmt.Errorf("transfer: %s and %s have the same name: send one after the other", other, name)
		}
		seen[base] = name
		all = append(all, named{base, root})
	}
	return all, nil
}

// list finds what is to be sent. Symbolic links are followed where they are named, and
// skipped below.
func (s *Sender) list(names []string) ([]source, *Total, error) {
	all, err := check(names)
	if err != nil {
		return nil, nil, err
	}
	var sources []source
	total := new(Total)
	for _, n := range all {
		err := filepath.WalkDir(n.root, func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
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
			if len(e.Path) > maxPath {
				return fmt.Errorf("transfer: the path of %s is too long", file)
			}
			if !e.Dir {
				e.Size = info.Size()
				total.Files++
				total.Bytes += e.Size
			}
			sources = append(sources, source{e, file})
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return sources, total, nil
}

// unfit says why something in a folder is not sent, if it is not.
func unfit(info fs.FileInfo) string {
	switch {
	case !info.Mode().IsRegular() && !info.IsDir():
		return "it is neither a file nor a folder"
	case strings.HasSuffix(info.Name(), suffix):
		return "it has the name of a file that has not arrived whole"
	}
	return ""
}

// nextBatch is how many entries go together.
func nextBatch(sources []source) int {
	size := int64(0)
	for n, s := range sources {
		if size += s.Size; n == maxBatch || n > 0 && size > batchSize {
			return n
		}
	}
	return len(sources)
}

func (s *Sender) sendBatch(conn io.ReadWriter, sources []source, sums *digest) (saved int64, err error) {
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
		return 0, &RemoteError{theirs.Error}
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

// sendFile sends what the receiver does not have of a file.
func (s *Sender) sendFile(conn io.ReadWriter, source source, theirs part, sums *digest) (saved int64, err error) {
	f, err := os.Open(source.name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := sha256.New()
	if theirs.Size > 0 && theirs.Size <= source.Size {
		if _, err := io.CopyN(h, f, theirs.Size); err != nil {
			return 0, changed(source, err)
		}
		saved = theirs.Size
		if !bytes.Equal(h.Sum(nil), theirs.Sum) {
			saved = 0 // it has something else
			h.Reset()
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return 0, err
			}
		}
	}
	if err := writeFrame(conn, start{saved}); err != nil {
		return 0, explained(conn, err)
	}
	s.tell(saved)
	w := &failing{w: conn}
	if _, err := io.CopyN(io.MultiWriter(w, h, counter(s.tell)), f, source.Size-saved); err != nil {
		if w.err != nil {
			return 0, explained(conn, w.err)
		}
		return 0, changed(source, err)
	}
	sum := h.Sum(nil)
	if err := writeFrame(conn, end{sum}); err != nil {
		return 0, explained(conn, err)
	}
	sums.add(source.Path, source.Size, sum)
	return saved, nil
}

func (s *Sender) tell(n int64) {
	if s.Progress != nil {
		s.Progress(n)
	}
}

// changed is the error of a file that is shorter than it was.
func changed(s source, err error) error {
	if err == io.EOF {
		return fmt.Errorf("transfer: %s has become shorter while it was sent", s.name)
	}
	return err
}

// explained is err, or what the receiver said before it hung up.
func explained(conn io.Reader, err error) error {
	var last have
	if readFrame(conn, &last) == nil && last.Error != "" {
		return &RemoteError{last.Error}
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
