// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mayfly-tls/mayfly"
)

// defaultReadSize is small, so that a record comes in several reads.
const defaultReadSize = 512

// transfer does what the test wants with a connection: writes what is to be compared,
// and then echoes what it reads, each bit of it turned around.
func (c *connection) transfer() error {
	if err := c.export(); err != nil {
		return err
	}
	if c.flags.sendAlert {
		if err := c.patiently(c.conn.Handshake); err != nil {
			return err
		}
		c.transport.dribbles = false // nobody repeats an Abort
		return c.conn.Abort(decompressionFailure)
	}
	unfinished := c.flags.readWithUnfinishedWrite
	if unfinished {
		if err := c.writeUnfinished(); err != nil {
			return err
		}
	} else if c.flags.shimWritesFirst {
		if err := c.write(c.initialWrite()[c.earlyWritten:]); err != nil {
			return err
		}
	}
	if c.flags.shimShutsDown {
		return nil
	}
	return c.echo(unfinished)
}

// echo answers until the peer has ended.
func (c *connection) echo(unfinished bool) error {
	size := defaultReadSize
	if c.flags.readSize > 0 {
		size = c.flags.readSize
	}
	buf := make([]byte, size)
	for {
		n, err := c.read(buf)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, mayfly.ErrTruncated) && !c.flags.checkCloseNotify:
			return nil
		case err != nil:
			return err
		}
		if c.flags.implicitHandshake && c.judgedImplicitly() {
			if err := c.check(); err != nil {
				return err
			}
		}
		if unfinished {
			c.transport.allowance.Store(-1)
			if err := c.patiently(c.conn.Flush); err != nil {
				return err
			}
			unfinished = false
		}
		if c.flags.keyUpdate {
			if err := c.conn.Rekey(context.Background()); err != nil {
				return err
			}
		}
		if err := c.write(turned(buf[:n])); err != nil {
			return err
		}
	}
}

// judgedImplicitly reports, once, that a handshake which nobody asked for is done.
func (c *connection) judgedImplicitly() bool {
	first := !c.checked
	c.checked = true
	return first
}

// answerEarly echoes early data before the handshake is done.
func (c *connection) answerEarly() error {
	buf := make([]byte, defaultReadSize)
	for {
		n := 0
		err := c.patiently(func() (err error) { n, err = c.conn.ReadEarly(buf); return err })
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		answer := turned(buf[:n])
		err = c.patiently(func() error {
			sealed, err := c.conn.WriteEarly(answer)
			answer = answer[sealed:]
			return err
		})
		if err != nil {
			return err
		}
	}
}

func (c *connection) read(p []byte) (n int, err error) {
	err = c.patiently(func() (err error) { n, err = c.conn.Read(p); return err })
	return n, err
}

func (c *connection) write(p []byte) error {
	err := c.patiently(func() error {
		n, err := c.conn.Write(p)
		p = p[n:]
		return err
	})
	if err != nil {
		return err
	}
	return c.patiently(c.conn.Flush)
}

// writeUnfinished lets one byte of a record through.
func (c *connection) writeUnfinished() error {
	if err := c.patiently(c.conn.Flush); err != nil {
		return err
	}
	c.transport.allowance.Store(1)
	_, err := c.conn.Write(c.initialWrite())
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("bogoshim: a write is not unfinished: %w", err)
	}
	return nil
}

// shutDown ends this side's half, and waits for the peer's end where the test says so.
func (c *connection) shutDown() error {
	if err := c.patiently(c.conn.CloseWrite); err != nil {
		return err
	}
	if !c.flags.checkCloseNotify {
		return nil
	}
	n, err := c.read(make([]byte, defaultReadSize))
	switch {
	case err == io.EOF:
		return nil
	case err == nil:
		return unexpected("what comes instead of close_notify", n, io.EOF)
	}
	return fmt.Errorf("bogoshim: close_notify did not come: %w", err)
}

// export writes what the tests compare with their own.
func (c *connection) export() error {
	if n := c.flags.exportKeyingMaterial; n > 0 {
		material, err := c.conn.ExportKeyingMaterial(c.flags.exportLabel, []byte(c.flags.exportContext), n)
		if err != nil {
			return err
		}
		if err := c.write(material); err != nil {
			return err
		}
	}
	if !c.flags.exportTrafficSecrets {
		return nil
	}
	read, err := c.secrets.find("SERVER_TRAFFIC_SECRET_0")
	if err != nil {
		return err
	}
	write, err := c.secrets.find("CLIENT_TRAFFIC_SECRET_0")
	if err != nil {
		return err
	}
	if c.flags.server {
		read, write = write, read
	}
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(read)))
	return c.write(append(append(out, read...), write...))
}

// turned turns each bit around.
func turned(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0xff
	}
	return out
}
