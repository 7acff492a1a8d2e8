// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// stateFolder is in the inbox, and has a folder for each sender. No sender can name it.
const stateFolder = ".mayfly-recv"

// anonymous begins the name of the state of a sender without an identity.
const anonymous = "anonymous-"

// Bounds on the transfers of one inbox.
const (
	maxTransfers          = 16
	maxTransfersPerSender = 4

	// takeOverAfter is how long a transfer may wait for its sender before another
	// connection of the same sender takes its files over: this, or a quarter of
	// Receiver.Idle.
	takeOverAfter = 5 * time.Second
)

// ErrTryAgain is the error of a transfer that has failed for a reason that passes: others are
// in its place, or its sender was idle.
var ErrTryAgain = errors.New("transfer: the same may work later")

var (
	errTakenOver = errors.New("transfer: a later connection of the same sender sends the same files")
	errBusy      = passing("too many transfers at a time")
	errInUse     = passing("another connection of the same sender sends the same files")
)

// A passing error is ErrTryAgain.
type passing string

func (p passing) Error() string        { return "transfer: " + string(p) }
func (p passing) Is(target error) bool { return target == ErrTryAgain }

// An Inbox is a folder into which several senders send at the same time. Nothing that a
// sender says leads out of it.
type Inbox struct {
	root  *os.Root
	guard *os.File // locked for this process; nil where the system has no such lock
	sync  func(*os.File) error

	mu        sync.Mutex
	state     fs.FileInfo // of the state folder, once it is there
	histories map[string]*history
	transfers int
	released  chan struct{} // closed, and replaced, when files are released
}

// OpenInbox opens a folder for the Receivers of this process. It fails if another process
// receives into the same folder.
func OpenInbox(folder string) (*Inbox, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	in := &Inbox{root: root, sync: (*os.File).Sync, histories: make(map[string]*history), released: make(chan struct{})}
	if in.guard, err = lockFolder(root); err != nil {
		return nil, errors.Join(fmt.Errorf("transfer: %s: %w", folder, err), root.Close())
	}
	entries, _ := fs.ReadDir(root.FS(), stateFolder)
	for _, e := range entries { // an earlier process was killed
		if strings.HasPrefix(e.Name(), anonymous) {
			_ = root.RemoveAll(stateFolder + "/" + e.Name())
		}
	}
	return in, nil
}

// Close releases the folder. No transfer may be under way.
func (in *Inbox) Close() error {
	err := in.root.Close()
	if in.guard != nil {
		err = errors.Join(err, in.guard.Close())
	}
	return err
}

// open returns what the inbox knows of a sender, for one transfer more. The empty sender is
// a new one each time.
func (in *Inbox) open(sender string) (*history, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	name := anonymous + strings.ToLower(rand.Text())
	if sender != "" {
		sum := sha256.Sum256([]byte(sender))
		name = hex.EncodeToString(sum[:16])
	}
	h := in.histories[name]
	if in.transfers == maxTransfers || h != nil && h.transfers == maxTransfersPerSender {
		return nil, errBusy
	}
	if h == nil {
		var err error
		if h, err = in.load(name); err != nil {
			return nil, err
		}
		in.histories[name] = h
	}
	in.transfers++
	h.transfers++
	return h, nil
}

func (in *Inbox) load(name string) (*history, error) {
	for _, folder := range []string{stateFolder, stateFolder + "/" + name} {
		if err := in.root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	var err error
	if in.state, err = in.root.Stat(stateFolder); err != nil {
		return nil, err
	}
	folder, err := in.root.OpenRoot(stateFolder + "/" + name)
	if err != nil {
		return nil, err
	}
	h := &history{inbox: in, name: name, folder: folder, claims: make(map[fileKey]*transfer)}
	if err := h.load(); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return h, nil
}

// close ends one transfer of a sender.
func (in *Inbox) close(h *history) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.transfers--
	if h.transfers--; h.transfers > 0 {
		return nil
	}
	delete(in.histories, h.name)
	err := h.close()
	if strings.HasPrefix(h.name, anonymous) {
		err = errors.Join(err, in.root.RemoveAll(stateFolder+"/"+h.name))
	}
	return err
}

// reserved reports whether the first part of a path is the state folder. On some systems
// that has more names than one.
func (in *Inbox) reserved(path filePath) bool {
	first, _, _ := strings.Cut(string(path), "/")
	if strings.EqualFold(first, stateFolder) {
		return true
	}
	info, err := in.root.Stat(first)
	in.mu.Lock()
	defer in.mu.Unlock()
	return err == nil && in.state != nil && os.SameFile(info, in.state)
}

// claim gives a transfer some files for itself. It waits while another connection of the
// same sender has one of them. One that is idle is cut: its sender has most likely lost it,
// and has come again.
func (in *Inbox) claim(t *transfer, keys []fileKey) error {
	patience := t.patience()
	after := min(takeOverAfter, patience/4)
	for deadline := time.Now().Add(patience); ; {
		in.mu.Lock()
		var holder *transfer
		for _, key := range keys {
			if other := t.history.claims[key]; other != nil && other != t {
				holder = other
			}
		}
		if holder == nil {
			for _, key := range keys {
				t.history.claims[key] = t
			}
			in.mu.Unlock()
			return nil
		}
		released := in.released
		in.mu.Unlock()
		if holder.conn.waited() >= after {
			holder.conn.interrupt(errTakenOver)
		}
		if !time.Now().Before(deadline) {
			return errInUse
		}
		select {
		case <-released:
		case <-time.After(after / 10):
		}
	}
}

// release gives up the files that a transfer has claimed.
func (in *Inbox) release(t *transfer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for key, holder := range t.history.claims {
		if holder == t {
			delete(t.history.claims, key)
		}
	}
	close(in.released)
	in.released = make(chan struct{})
}
