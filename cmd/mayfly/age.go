// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/mayfly-tls/mayfly/message"
)

// sealAge returns a writer of a file in the age format.
func sealAge(w io.Writer, to []*message.Recipient) (io.WriteCloser, error) {
	var recipients []age.Recipient
	for _, r := range to {
		if r.Age() == "" {
			return nil, errors.New("the age format is for X25519 keys, and a recipient's is on P-256")
		}
		recipient, err := age.ParseX25519Recipient(r.Age())
		if err != nil {
			return nil, fmt.Errorf("the recipient cannot be one of the age format: %w", err)
		}
		recipients = append(recipients, recipient)
	}
	return age.Encrypt(w, recipients...)
}

// openAge returns a reader of a file in the age format, which authenticates chunk by
// chunk.
func openAge(r io.Reader, k *message.Key) (io.Reader, error) {
	text := k.AgeIdentity()
	if text == "" {
		return nil, message.ErrNotForKey
	}
	id, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, message.ErrNotForKey
	}
	raw := &errorKeeper{r: r}
	plain, err := age.Decrypt(raw, id)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, message.ErrNotForKey
	case err != nil:
		return nil, raw.because(err, message.ErrDamaged)
	}
	return &ageReader{raw, plain}, nil
}

// An ageReader has package message's errors: those of age quote what they have read.
type ageReader struct {
	raw   *errorKeeper
	plain io.Reader
}

func (a *ageReader) Read(p []byte) (int, error) {
	n, err := a.plain.Read(p)
	if err != nil && err != io.EOF {
		err = a.raw.because(err, message.ErrNotAuthentic)
	}
	return n, err
}

// An errorKeeper remembers why a file could not be read.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// because says what was the matter where age returned an error: with the file, or what
// is in it.
func (k *errorKeeper) because(err, otherwise error) error {
	switch {
	case errors.As(k.err, new(*armor.Error)) && errors.Is(k.err, io.ErrUnexpectedEOF):
		return message.ErrTruncated
	case errors.As(k.err, new(*armor.Error)) && !errors.As(k.err, new(*fs.PathError)) && !errors.Is(k.err, context.Canceled):
		return message.ErrDamaged // the armor's own error quotes what is there
	case k.err != nil:
		return k.err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return message.ErrTruncated
	}
	return otherwise
}
