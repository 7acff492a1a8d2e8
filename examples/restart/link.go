// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// A link joins two processes that trust each other: one has started the other, and
// nobody else has its socket. A message is a descriptor and two strings, or an offer.
type link struct{ *net.UnixConn }

func newLink(fd int) (*link, error) {
	f := os.NewFile(uintptr(fd), "link")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("the link is no Unix socket")
	}
	return &link{unix}, nil
}

// send gives away a socket, and two strings.
func (l *link) send(socket syscall.Conn, a, b []byte) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(a)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(b)))
	var failed error
	err = raw.Control(func(fd uintptr) {
		_, _, failed = l.WriteMsgUnix(head, syscall.UnixRights(int(fd)), nil)
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	_, err = l.Write(append(append([]byte(nil), a...), b...))
	return err
}

// take receives what send has sent. Its error is io.EOF when there is no more.
func (l *link) take() (f *os.File, a, b []byte, err error) {
	head, oob := make([]byte, 8), make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := l.ReadMsgUnix(head, oob)
	switch {
	case errors.Is(err, io.EOF), err == nil && n == 0:
		return nil, nil, nil, io.EOF
	case err != nil:
		return nil, nil, nil, err
	}
	if _, err := io.ReadFull(l, head[n:]); err != nil {
		return nil, nil, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, nil, nil, errors.New("a message without a descriptor")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, nil, nil, errors.New("a message without a descriptor")
	}
	syscall.CloseOnExec(fds[0])
	f = os.NewFile(uintptr(fds[0]), "socket")
	if a, err = l.read(head[:4]); err == nil {
		b, err = l.read(head[4:])
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, nil, err
	}
	return f, a, b, nil
}

// maxMessage bounds what is received at once.
const maxMessage = 4 << 20

// read reads as many bytes as length says.
func (l *link) read(length []byte) ([]byte, error) {
	n := binary.BigEndian.Uint32(length)
	if n > maxMessage {
		return nil, errors.New("a message of the link is too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(l, b)
	return b, err
}

// offer sends an offer, receive receives one.
func (l *link) offer(b []byte) error {
	_, err := l.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func (l *link) receive() ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(l, head); err != nil {
		return nil, err
	}
	return l.read(head)
}
