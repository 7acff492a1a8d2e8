// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package transfer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// syncers is how many files are synced at the same time: file systems write such calls to
// the disk together.
const syncers = 32

// flush makes what has arrived durable, gives it its names, and makes those durable. Only
// then the sender is told of it.
func (t *transfer) flush() error {
	var mu sync.Mutex
	var errs []error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	synced := make(chan *received, len(t.pending))
	concurrently(t.pending, func(r *received) {
		if err := t.history.makeDurable(r); err != nil {
			fail(err)
			return
		}
		synced <- r
	})
	close(synced)
	var named []*received
	for r := range synced {
		name := filepath.FromSlash(string(r.Path))
		if err := t.Inbox.root.Rename(stateFolder+"/"+t.history.name+"/"+r.key.part(), name); err != nil {
			fail(err)
			continue
		}
		t.history.forgetState(r.key)
		t.changed(filepath.Dir(name))
		t.changed(filepath.Join(stateFolder, t.history.name))
		if info, err := t.Inbox.root.Lstat(name); err == nil && os.SameFile(info, r.info) { // else another sender has replaced it
			r.see(info)
			named = append(named, r)
		}
	}
	concurrently(slices.Collect(maps.Keys(t.dirty)), func(folder string) {
		if err := t.Inbox.syncFolder(t.Inbox.root, folder); err != nil {
			fail(err)
		}
	})
	t.pending, t.dirty = nil, nil
	if err := t.history.add(named); err != nil {
		fail(err)
	}
	return errors.Join(errs...)
}

// concurrently calls do for each item, for a number of them at the same time.
func concurrently[T any](items []T, do func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(syncers, len(items)) {
		wg.Go(func() {
			for item := range next {
				do(item)
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
}

// syncFolder makes the names in a folder durable. Windows has no such call.
func (in *Inbox) syncFolder(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(in.sync(f), f.Close())
}
