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
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxName is how long a name may be on the systems that there are, in bytes.
	maxName = 255

	// checkpoint is how many bytes a receiver that is killed may lose, beside one batch of
	// small files.
	checkpoint = 64 << 20

	// tellWithin bounds how long a receiver tries to say why it gives up.
	tellWithin = 5 * time.Second
)

// A Receiver receives from one sender.
type Receiver struct {
	Inbox *Inbox

	// Sender identifies who sends, in a form that another sender cannot take: the pin of
	// its key. A sender can go on with, compare and replace only what it has sent itself;
	// of other files it learns nothing. Empty: a sender without an identity, which can go
	// on with nothing.
	Sender string

	// MaxBytes is how much one transfer may bring. Zero: there is no bound.
	MaxBytes int64

	// Idle is how long the sender may make no progress: 64 KiB, or a whole frame or file.
	// The connection must have deadlines. Zero: there is no bound.
	Idle time.Duration

	// Progress and Begun are those of Sender.
	Progress func(n int64)
	Begun    func(files, bytes int64)
}

// Receive receives what one Send sends. A file takes its name, and the place of what
// had it, when it is whole, its hash is right and the disk has it. After an error, which
// the sender is told, what came stays, for the next Receive to go on from.
func (r *Receiver) Receive(conn io.ReadWriter) (*Total, error) {
	paced := &pacedConn{conn: conn, idle: r.Idle}
	t := &transfer{Receiver: r, conn: paced, in: bufio.NewReaderSize(paced, minProgress), total: new(Total), sums: newDigest(), folders: make(map[string]bool)}
	err := t.receive()
	if t.history != nil {
		if err != nil {
			err = errors.Join(err, t.flush())
		}
		r.Inbox.release(t)
		err = errors.Join(err, r.Inbox.close(t.history))
	}
	if err != nil {
		if d, ok := conn.(deadliner); ok {
			_ = d.SetWriteDeadline(time.Now().Add(tellWithin))
		}
		_ = writeFrame(conn, have{Error: strings.TrimPrefix(err.Error(), "transfer: "), Again: errors.Is(err, ErrTryAgain)})
		return nil, err
	}
	return t.total, nil
}

// A transfer is one call of Receive.
type transfer struct {
	*Receiver
	conn    *pacedConn
	in      *bufio.Reader // from conn
	history *history      // nil until the first batch
	total   *Total
	sums    *digest

	pending []*received     // whole, and not yet durable
	folders map[string]bool // those that are there
	dirty   map[string]bool // folders in which a name is new
	buffer  []byte
}

// patience is how long a transfer waits for another one's files.
func (t *transfer) patience() time.Duration {
	if t.Idle > 0 {
		return t.Idle
	}
	return time.Minute
}

// next reads a frame.
func (t *transfer) next(v any) error {
	err := readFrame(t.in, v)
	t.conn.renew()
	return err
}

func (t *transfer) receive() error {
	var first hello
	if err := t.next(&first); err != nil {
		return err
	}
	if first.Files < 0 || first.Bytes < 0 {
		return errFrame
	}
	if err := t.fits(first.Bytes); err != nil {
		return err
	}
	if t.Begun != nil {
		t.Begun(first.Files, first.Bytes)
	}
	for {
		var b batch
		if err := t.next(&b); err != nil {
			return err
		}
		if len(b.Entries) == 0 {
			return t.compare()
		}
		if t.history == nil {
			var err error
			if t.history, err = t.Inbox.open(t.Sender); err != nil {
				return err
			}
		}
		if err := t.receiveBatch(b.Entries); err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		t.Inbox.release(t)
	}
}

func (t *transfer) fits(n int64) error {
	if t.MaxBytes > 0 && n > t.MaxBytes {
		return fmt.Errorf("transfer: it is more than the %d bytes that are taken", t.MaxBytes)
	}
	return nil
}

func (t *transfer) receiveBatch(entries []entry) error {
	if len(entries) > maxBatch {
		return errFrame
	}
	keys, seen := make([]fileKey, len(entries)), make(map[filePath]bool)
	for i, e := range entries {
		if err := e.check(); err != nil {
			return err
		}
		if t.Inbox.reserved(e.Path) {
			return fmt.Errorf("transfer: the name %.*q is not taken", maxName, string(e.Path))
		}
		if seen[e.Path] {
			return errFrame // what is there of it would not be what it was
		}
		seen[e.Path] = true
		keys[i] = keyOf(e.Path)
		t.total.Bytes += e.Size
		if err := t.fits(t.total.Bytes); err != nil || t.total.Bytes < 0 {
			return errors.Join(err, errFrame)
		}
	}
	if err := t.Inbox.claim(t, keys); err != nil {
		return err
	}
	var answer have
	there := make([]found, 0, len(entries))
	for i, e := range entries {
		f, err := t.prepare(e, keys[i])
		if err != nil {
			return err
		}
		there, answer.Parts = append(there, f), append(answer.Parts, f.part)
	}
	if err := writeFrame(t.conn, answer); err != nil {
		return err
	}
	t.conn.renew()
	unflushed := int64(0)
	for i, e := range entries {
		if e.Dir {
			continue
		}
		saved, err := t.receiveFile(e, there[i])
		if err != nil {
			return err
		}
		t.total.Saved += saved
		if unflushed += e.Size - saved; unflushed >= checkpoint {
			if err := t.flush(); err != nil {
				return err
			}
			unflushed = 0
		}
	}
	return nil
}

// check refuses what is no path below the folder.
func (e *entry) check() error {
	p := string(e.Path)
	switch {
	case p == "" || len(p) > maxPath || strings.Count(p, "/") >= maxDepth,
		p != path.Clean(p) || p == "." || !filepath.IsLocal(filepath.FromSlash(p)),
		strings.Contains(p, "\x00"), filepath.Separator != '/' && strings.ContainsRune(p, filepath.Separator):
		return fmt.Errorf("transfer: the name %.*q is not taken", maxName, p)
	case e.Size < 0, e.Dir && e.Size != 0:
		return errFrame
	}
	return nil
}

// found is what the sender has sent of a file before.
type found struct {
	part
	key   fileKey
	hash  hash.Hash // of the part, to go on with
	whole bool      // it is the file itself, not the part of one
}

// prepare makes the folder of an entry, and says how much of a file is there already.
func (t *transfer) prepare(e entry, key fileKey) (found, error) {
	name := filepath.FromSlash(string(e.Path))
	if err := t.makeFolder(filepath.Dir(name), 0o755, false); err != nil {
		return found{}, err
	}
	if e.Dir {
		return found{}, t.makeFolder(name, fs.FileMode(e.Mode)&fs.ModePerm|0o700, true)
	}
	f := found{key: key}
	info, err := t.Inbox.root.Lstat(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return f, err
	case err == nil && info.IsDir():
		return f, fmt.Errorf("transfer: %q is a folder here", name)
	}
	if n, sum, ok := t.history.part(key, e.Size); ok {
		f.part, f.hash = part{n, sum.Sum(nil)}, sum
		return f, nil
	}
	if a, ok := t.history.whole(key, info); ok && a.size == e.Size {
		f.part, f.whole = part{a.size, a.sum[:]}, true
	}
	return f, nil
}

// makeFolder makes a folder, and those that it is in. exact makes its permissions those of
// the sender's, whatever umask says: only users who can look into it there can do so here.
// Its owner can always write to it, as files are to come.
func (t *transfer) makeFolder(name string, mode fs.FileMode, exact bool) error {
	if name == "." || t.folders[name] {
		return nil
	}
	parent := filepath.Dir(name)
	if err := t.makeFolder(parent, 0o755, false); err != nil {
		return err
	}
	root := t.Inbox.root
	switch err := root.Mkdir(name, mode); {
	case err == nil:
		t.changed(parent)
		if exact {
			if err := root.Chmod(name, mode); err != nil {
				return err
			}
		}
	case errors.Is(err, fs.ErrExist):
		info, err := root.Stat(name)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("transfer: %q is no folder here", name)
		}
		if err != nil {
			return err
		}
	default:
		return err
	}
	if len(t.folders) >= maxFolders {
		clear(t.folders)
	}
	t.folders[name] = true
	return nil
}

// changed notes that a name in a folder is new.
func (t *transfer) changed(folder string) {
	if t.dirty == nil {
		t.dirty = make(map[string]bool)
	}
	t.dirty[folder] = true
}

// receiveFile receives what is not there of a file.
func (t *transfer) receiveFile(e entry, there found) (saved int64, err error) {
	from, err := t.start(there)
	if err != nil {
		return 0, err
	}
	t.tell(from)
	if there.whole && from > 0 {
		return from, t.keep(e, there)
	}
	sum, err := t.receiveContent(e, there, from)
	if err != nil {
		return 0, err
	}
	var last end
	if err := t.next(&last); err != nil {
		return 0, err
	}
	if last.Dropped {
		t.history.forget(there.key)
		return 0, nil
	}
	r := &received{entry: e, key: there.key}
	sum.Sum(r.sum[:0])
	if !bytes.Equal(r.sum[:], last.Sum) {
		t.history.forget(there.key)
		return 0, fmt.Errorf("transfer: %q has not arrived as it was sent", string(e.Path))
	}
	t.sums.add(e.Path, e.Size, last.Sum)
	t.pending = append(t.pending, r)
	return from, nil
}

// start reads where the sender begins. It may take its time where it has to hash what is
// there, and says so for each piece.
func (t *transfer) start(there found) (from int64, err error) {
	for pieces := there.Size / hashPiece; ; pieces-- {
		var first start
		if err := t.next(&first); err != nil {
			return 0, err
		}
		if first.Wait && pieces > 0 {
			continue
		}
		if first.Wait || first.From != 0 && first.From != there.Size {
			return 0, errFrame
		}
		return first.From, nil
	}
}

// receiveContent writes the part of a file from an offset on. A part that is cut stays.
func (t *transfer) receiveContent(e entry, there found, from int64) (hash.Hash, error) {
	h := t.history
	sum := there.hash
	if from == 0 {
		sum = sha256.New()
		if err := t.restart(there.key); err != nil {
			return nil, err
		}
	}
	f, err := h.folder.OpenFile(there.key.part(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(from); err != nil {
		return nil, err
	}
	if t.buffer == nil {
		t.buffer = make([]byte, 256<<10)
	}
	at, saved := from, from
	for at < e.Size {
		n, readErr := t.in.Read(t.buffer[:min(int64(len(t.buffer)), e.Size-at)])
		if err := writeContent(f, t.buffer[:n], at, e.Sparse); err != nil {
			if saved == 0 {
				h.forget(there.key)
			}
			return nil, err
		}
		_, _ = sum.Write(t.buffer[:n])
		at += int64(n)
		t.tell(int64(n))
		if at > saved && (readErr != nil || at-saved >= checkpoint) {
			err := endInHole(f, at, e.Sparse)
			if err = errors.Join(err, t.Inbox.sync(f)); err == nil {
				err = h.save(there.key, at, sum)
			}
			if err != nil {
				return nil, errors.Join(cut(readErr), err)
			}
			saved = at
		}
		if readErr != nil {
			return nil, cut(readErr)
		}
	}
	t.conn.renew()
	if err := endInHole(f, e.Size, e.Sparse); err != nil {
		return nil, err
	}
	return sum, f.Close()
}

// holeSize is the least zeros that become a hole: a page of memory, and on most file systems
// a block.
const holeSize = 4096

var zeroPage [holeSize]byte

// writeContent writes at an offset of a file that has nothing there. In a sparse one it leaves
// out blocks of zeros: they become holes.
func writeContent(f *os.File, b []byte, at int64, sparse bool) error {
	if !sparse {
		_, err := f.WriteAt(b, at)
		return err
	}
	begin := 0 // of what is not yet written
	for i := 0; i < len(b); {
		n := min(len(b)-i, holeSize-int((at+int64(i))%holeSize))
		if bytes.Equal(b[i:i+n], zeroPage[:n]) {
			if _, err := f.WriteAt(b[begin:i], at+int64(begin)); i > begin && err != nil {
				return err
			}
			begin = i + n
		}
		i += n
	}
	if begin == len(b) {
		return nil
	}
	_, err := f.WriteAt(b[begin:], at+int64(begin))
	return err
}

// endInHole gives a sparse file its size: its last bytes may be left out.
func endInHole(f *os.File, size int64, sparse bool) error {
	if !sparse {
		return nil
	}
	return f.Truncate(size)
}

// restart removes what is there of a part, so that no crash brings back how far it was.
func (t *transfer) restart(key fileKey) error {
	h := t.history
	h.mu.Lock()
	known := h.parts[key]
	h.mu.Unlock()
	h.forget(key)
	if !known {
		return nil
	}
	return t.Inbox.syncFolder(h.folder, ".")
}

// keep leaves a file that is the sender's already.
func (t *transfer) keep(e entry, there found) error {
	var last end
	if err := t.next(&last); err != nil {
		return err
	}
	if last.Dropped {
		return nil
	}
	if !bytes.Equal(there.Sum, last.Sum) {
		return errFrame
	}
	t.sums.add(e.Path, e.Size, last.Sum)
	name := filepath.FromSlash(string(e.Path))
	root := t.Inbox.root
	info, err := root.Lstat(name)
	a, still := t.history.whole(there.key, info)
	mode := fs.FileMode(e.Mode) & fs.ModePerm
	if err != nil || !still || info.Mode().Perm() == mode && info.ModTime().Equal(e.Modified) {
		return nil // another sender may have sent its own just now
	}
	if err := errors.Join(root.Chmod(name, mode), root.Chtimes(name, time.Time{}, e.Modified)); err != nil {
		return err
	}
	if info, err = root.Lstat(name); err != nil {
		return err
	}
	a.see(info)
	return t.history.add([]*received{{entry: e, arrival: a, key: there.key}})
}

func (t *transfer) tell(n int64) {
	if t.Progress != nil {
		t.Progress(n)
	}
}

// compare ends the transfer.
func (t *transfer) compare() error {
	ours := t.sums.done()
	var theirs done
	if err := t.next(&theirs); err != nil {
		return err
	}
	if theirs.Files != ours.Files || theirs.Bytes != ours.Bytes || !bytes.Equal(theirs.Sum, ours.Sum) {
		err := errors.New("transfer: what was sent is not what has arrived")
		_ = writeFrame(t.conn, done{Error: err.Error()})
		return err
	}
	t.total.Files, t.total.Sum = ours.Files, ours.Sum
	return writeFrame(t.conn, ours)
}
