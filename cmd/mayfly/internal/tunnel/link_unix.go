// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package tunnel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A Link joins a process to the one that takes over from it, which it has started: nobody
// else has this socket. What goes over it is not encrypted but for the secrets of the
// connections, which are sealed for the heir.
type Link struct{ conn *net.UnixConn }

// A message goes over a Link, with descriptors beside it. Each has one of these.
type message struct {
	Ready   bool       `json:",omitempty"` // from the heir: it can begin
	Sockets []string   `json:",omitempty"` // to the heir: the names of the listeners beside
	Offer   []byte     `json:",omitempty"` // from the heir: it serves, and takes a connection
	Pair    *pairState `json:",omitempty"` // to the heir: with the secure and the plain connection beside
	Done    bool       `json:",omitempty"` // to the heir: there are no more
}

// A pairState is what goes on in another process.
type pairState struct {
	Blob     []byte // of mayfly.Conn.Detach
	Age      time.Duration
	Up, Down flowState
}

type flowState struct {
	Pending     []byte
	Ended, Told bool
	Bytes       uint64
}

const (
	maxMessage     = 4 << 20
	maxDescriptors = 8
)

// NewLink makes a Link, and its other end for the heir, which LinkOf makes a Link of
// there.
func NewLink() (*Link, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "link")
	l, err := LinkOf(os.NewFile(uintptr(fds[0]), "link"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return l, theirs, nil
}

// LinkOf makes a Link of its descriptor, which is closed.
func LinkOf(f *os.File) (*Link, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("the descriptor for the hand-over is no Unix socket")
	}
	return &Link{conn}, nil
}

// Close closes the Link.
func (l *Link) Close() error { return l.conn.Close() }

// send sends a message with copies of descriptors.
func (l *Link) send(m message, files ...syscall.Conn) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return withDescriptors(nil, files, func(fds []int) error {
		var rights []byte
		if len(fds) > 0 {
			rights = syscall.UnixRights(fds...)
		}
		head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		if _, _, err := l.conn.WriteMsgUnix(head, rights, nil); err != nil {
			return err
		}
		_, err := l.conn.Write(body)
		return err
	})
}

// withDescriptors calls f while all descriptors are held.
func withDescriptors(fds []int, files []syscall.Conn, f func(fds []int) error) error {
	if len(files) == 0 {
		return f(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = withDescriptors(append(fds, int(fd)), files[1:], f)
	})
	return errors.Join(err, inner)
}

// receive receives a message, and its descriptors, of which there must be so many as
// want says of the message.
func (l *Link) receive() (m message, files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	head, rights := make([]byte, 4), make([]byte, syscall.CmsgSpace(4*maxDescriptors))
	n, r, _, _, err := l.conn.ReadMsgUnix(head, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return m, nil, err
	}
	if files, err = descriptors(rights[:r]); err != nil {
		return m, files, err
	}
	if _, err = io.ReadFull(l.conn, head[n:]); err != nil {
		return m, files, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxMessage {
		return m, files, errors.New("a message of the hand-over is too long")
	}
	body := make([]byte, size)
	if _, err = io.ReadFull(l.conn, body); err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err == nil && m.Pair != nil && len(m.Sockets) > 0 {
		err = errors.New("a message of the hand-over has both listeners and a connection")
	}
	if err == nil && len(files) != m.descriptors() {
		err = fmt.Errorf("a message of the hand-over has %d descriptors beside it", len(files))
	}
	return m, files, err
}

// descriptors is how many stand beside a message.
func (m *message) descriptors() int {
	if m.Pair != nil {
		return 2
	}
	return len(m.Sockets)
}

func descriptors(rights []byte) ([]*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
