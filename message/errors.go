// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"errors"
	"fmt"
	"io"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/policy"
)

var (
	// ErrNotForKey is that of a message that is sealed for others.
	ErrNotForKey = errors.New("message: it is not sealed for this key")

	// ErrNotAuthentic is that of a message that was changed after it was sealed, or
	// whose signature is wrong.
	ErrNotAuthentic = errors.New("message: it is not authentic")

	// ErrDamaged is that of a message that cannot be parsed.
	ErrDamaged = errors.New("message: it is damaged, or is no sealed message")

	// ErrTruncated is that of a message whose end is missing. It is an
	// io.ErrUnexpectedEOF, too.
	ErrTruncated error = truncated{}

	// ErrUnsupported is that of a message of a kind that is not read here, or with an
	// algorithm that is not known.
	ErrUnsupported = errors.New("message: it is of a kind that is not supported")

	// ErrTooLarge is that of a message larger than OpenOptions allow.
	ErrTooLarge = errors.New("message: it is larger than the limit")

	// ErrNotSigned is that of a message that is not signed, where it has to be.
	ErrNotSigned = errors.New("message: it is not signed")
)

type truncated struct{}

func (truncated) Error() string { return "message: its end is missing" }

func (truncated) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// A modeError is that of a process in a mode in which this package does not work.
type modeError struct{ cause error }

func (e modeError) Error() string { return "message: " + e.cause.Error() }

func (e modeError) Is(target error) bool { return target == mayfly.ErrConfig }

// checkMode returns a modeError with GODEBUG=fips140=only, which forbids SHA-1, X25519 and
// AES in the ways of CMS.
func checkMode() error {
	if err := policy.Check(); err != nil {
		return modeError{err}
	}
	return nil
}

// because adds to one of the errors above what was the matter.
func because(err error, reason string) error { return fmt.Errorf("%w: %s", err, reason) }

// readError turns an error of the syntax into one of the errors above. Others are
// those of the reader that the caller gave.
func readError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cms.ErrTruncated), err == io.ErrUnexpectedEOF, err == io.EOF:
		return ErrTruncated
	case errors.Is(err, cms.ErrSyntax):
		return ErrDamaged
	case errors.Is(err, cms.ErrTooLarge):
		return because(ErrTooLarge, "there is more than 1 MiB of recipients or certificates")
	case errors.Is(err, cms.ErrEnvelopedData):
		return errNotAuthenticated
	case errors.Is(err, cms.ErrSignedData):
		return errOnlySigned
	case errors.Is(err, cms.ErrContentType):
		return because(ErrUnsupported, "it is CMS, but of another type")
	case errors.Is(err, content.ErrTooLong):
		return because(ErrTooLarge, "one key may not encrypt as much")
	}
	return err
}
