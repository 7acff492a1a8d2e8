// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package transfer sends files and folders over a connection, and goes on after a cut
// where it was. The connection authenticates who sends; each file's SHA-256 is compared
// all the same, of what was read from one disk and written to the other. A receiver knows
// the hash of what a sender has sent before, and the sender hashes what it would send.
//
// A sender says what comes in batches of entries. For each the receiver answers what it
// has. Then the files of the batch follow, each with its hash behind it. At the end
// both sides compare the digest of all that was sent. Each answer of the receiver
// acknowledges all earlier batches: their files are durable, with their names.
//
// It must not know what the connection is, nor how progress is shown.
package transfer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"
)

// Proto is the application protocol (ALPN) of a transfer.
const Proto = "mayfly-files/1"

// Bounds on what a receiver takes.
const (
	maxFrame   = 4 << 20
	maxBatch   = 1024      // entries, and
	batchSize  = 256 << 20 // bytes in the files of one, if there are several
	batchNames = 2 << 20   // bytes in the paths of one
	maxPath    = 4096
	maxDepth   = 256  // folders in a path
	maxFolders = 4096 // of which a receiver remembers that they are there

	// hashPiece is how much of a file a sender may hash before it must say that it is
	// still there.
	hashPiece = 16 << 20
)

// A Total is what a transfer comes to.
type Total struct {
	Files int64
	Bytes int64 // in files
	Saved int64 // bytes that did not have to be sent again
	Sum   []byte
}

// An entry is a file or a folder.
type entry struct {
	Path     filePath
	Dir      bool
	Mode     uint32 // permissions
	Size     int64
	Modified time.Time
	Sparse   bool `json:",omitempty"` // has holes, which the receiver makes of zeros
}

// A filePath has slashes, and is relative to the receiver's folder. It travels in base64:
// JSON would put other bytes in place of a name that is not UTF-8.
type filePath string

// MarshalText writes base64.
func (p filePath) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(p)), nil
}

// UnmarshalText reads base64.
func (p *filePath) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.DecodeString(string(text))
	*p = filePath(b)
	return err
}

// The frames of a transfer. Each is sent with its length before it.
type (
	// hello is what the sender says first.
	hello struct {
		Files, Bytes int64 // to come, for the receiver's progress
	}

	// batch is a list of what comes next; empty at the end.
	batch struct{ Entries []entry }

	// have answers a batch: for each entry how much of it is there, and its hash.
	have struct {
		Parts []part
		Error string // why the receiver gives up
		Again bool   `json:",omitempty"` // the same may work later
	}

	part struct {
		Size int64
		Sum  []byte
	}

	// start stands before a file's bytes: those from an offset on. Wait says that the
	// sender still hashes what the receiver has: it sends one for each hashPiece.
	start struct {
		From int64
		Wait bool `json:",omitempty"`
	}

	// end stands behind them: the whole file's SHA-256; or Dropped, where the sender was
	// not able to read the file, and has made up its bytes.
	end struct {
		Sum     []byte
		Dropped bool `json:",omitempty"`
	}

	// done is what both sides say at the end.
	done struct {
		Files, Bytes int64
		Sum          []byte
		Error        string
		Again        bool `json:",omitempty"`
	}
)

var errFrame = errors.New("transfer: the other side does not speak this protocol")

// A RemoteError is what the other side gave up for, in its words.
type RemoteError struct {
	Text  string
	Again bool // the same may work later: then it is ErrTryAgain, too
}

// Is makes the error ErrTryAgain where the receiver says so.
func (e *RemoteError) Is(target error) bool { return e.Again && target == ErrTryAgain }

// Error leaves out of the text what a terminal would obey.
func (e *RemoteError) Error() string {
	return "transfer: the other side gave up: " + strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, e.Text)
}

func writeFrame(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxFrame {
		return errors.Join(errFrame, err)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return cut(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return errFrame
	}
	// What is claimed is not allocated before it is there.
	text, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return err
	}
	if len(text) < int(n) {
		return io.ErrUnexpectedEOF
	}
	if json.Unmarshal(text, v) != nil {
		return errFrame
	}
	return nil
}

// cut is an error of a connection that ended where a transfer does not.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
