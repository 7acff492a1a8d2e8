// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// ErrTruncated is what Read returns when the transport ended without a
// close_notify alert: the peer crashed, the path broke, or somebody cut the
// stream. What was read before is authentic, but it may not be all that the
// peer sent. errors.Is(ErrTruncated, io.ErrUnexpectedEOF) holds. A Read never
// answers such a cut with io.EOF (RFC 9846, Section 6.1).
var ErrTruncated error = truncated{}

type truncated struct{}

func (truncated) Error() string {
	return "mayfly: the connection was cut before the peer's close_notify"
}
func (truncated) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// ErrHandshakeTimeout is returned when a handshake took longer than
// Config.HandshakeTimeout. It implements net.Error with Timeout() == true, and
// errors.Is(err, os.ErrDeadlineExceeded) holds. The connection cannot be used
// after it.
var ErrHandshakeTimeout error = handshakeTimeout{}

type handshakeTimeout struct{}

func (handshakeTimeout) Error() string        { return "mayfly: the handshake took too long" }
func (handshakeTimeout) Timeout() bool        { return true }
func (handshakeTimeout) Temporary() bool      { return false }
func (handshakeTimeout) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// ErrWriteClosed is returned by Write and Flush after CloseWrite.
var ErrWriteClosed = errors.New("mayfly: the connection is closed for writing")

// ErrLifetime is returned when Config.MaxLifetime has passed.
var ErrLifetime = errors.New("mayfly: the connection has reached its MaxLifetime")

// An AlertCode is an AlertDescription of RFC 9846, Section 6.
type AlertCode uint8

// The alerts of RFC 9846, Section 6. No AlertError has AlertCloseNotify or AlertUserCanceled.
const (
	AlertCloseNotify                  AlertCode = 0
	AlertUnexpectedMessage            AlertCode = 10
	AlertBadRecordMAC                 AlertCode = 20
	AlertRecordOverflow               AlertCode = 22
	AlertHandshakeFailure             AlertCode = 40
	AlertBadCertificate               AlertCode = 42
	AlertUnsupportedCertificate       AlertCode = 43
	AlertCertificateRevoked           AlertCode = 44
	AlertCertificateExpired           AlertCode = 45
	AlertCertificateUnknown           AlertCode = 46
	AlertIllegalParameter             AlertCode = 47
	AlertUnknownCA                    AlertCode = 48
	AlertAccessDenied                 AlertCode = 49
	AlertDecodeError                  AlertCode = 50
	AlertDecryptError                 AlertCode = 51
	AlertProtocolVersion              AlertCode = 70
	AlertInsufficientSecurity         AlertCode = 71
	AlertInternalError                AlertCode = 80
	AlertInappropriateFallback        AlertCode = 86
	AlertUserCanceled                 AlertCode = 90
	AlertMissingExtension             AlertCode = 109
	AlertUnsupportedExtension         AlertCode = 110
	AlertUnrecognizedName             AlertCode = 112
	AlertBadCertificateStatusResponse AlertCode = 113
	AlertUnknownPSKIdentity           AlertCode = 115
	AlertCertificateRequired          AlertCode = 116
	AlertGeneralError                 AlertCode = 117
	AlertNoApplicationProtocol        AlertCode = 120
)

// String returns the RFC's name of the alert, "bad_certificate" for one, or its number.
func (c AlertCode) String() string { return alert.Code(c).String() }

// An AlertError is the failure of a connection, by either side.
//
// With Remote it is the peer that gave up and sent the alert Code; the reason is
// known to the peer alone. Without Remote it was this side: Code is what the
// peer was told, Reason says what was wrong, and Err is the cause where there
// is one (see Unwrap). No bytes that the peer chose stand in the error's text.
//
// A callback that refuses a handshake (Verify, VerifyConnection, GetConfig and the
// like) chooses the alert by an error with an AlertError in its chain: &AlertError{Code:
// AlertCertificateUnknown, Reason: "…"}. One with Remote, of another connection, chooses nothing.
type AlertError struct {
	Remote bool
	Code   AlertCode
	Reason string
	Err    error
}

// Error says who gave up, and why.
func (e *AlertError) Error() string {
	if e.Remote {
		return "mayfly: the peer refused with the alert " + e.Code.String()
	}
	s := "mayfly: " + e.Reason
	if e.Reason == "" {
		s = "mayfly: failed"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + " (sent " + e.Code.String() + ")"
}

// Unwrap returns the cause, nil for an alert of the peer's.
func (e *AlertError) Unwrap() error { return e.Err }

// localError makes the AlertError of a failure that this side found.
func localError(err error) *AlertError {
	if e, ok := err.(*AlertError); ok {
		return e
	}
	if e, ok := errors.AsType[*alert.Error](err); ok {
		code := AlertCode(e.Code)
		if chosen, ok := errors.AsType[*AlertError](e.Err); ok && !chosen.Remote && chosen.Code != AlertCloseNotify && chosen.Code != AlertUserCanceled {
			code = chosen.Code
		}
		return &AlertError{Code: code, Reason: e.Reason, Err: e.Err}
	}
	if e, ok := errors.AsType[*AlertError](err); ok {
		return e
	}
	return &AlertError{Code: AlertInternalError, Reason: "internal error", Err: err}
}

// ErrConfig is in the chain of an error (errors.Is) where a Config cannot work, or a list
// of peers or another thing that one is made of. Such a Config is refused before anything
// is sent or, where GetConfig gave it, in that handshake; trying again changes nothing.
// The error itself says what to set.
var ErrConfig = errors.New("mayfly: the Config cannot work")

// A configError is a Config that cannot work: a sentence that says what to set.
type configError string

func (e configError) Error() string        { return "mayfly: " + string(e) }
func (e configError) Is(target error) bool { return target == ErrConfig }

// A configCause is an error of something else, a file, because of which a Config cannot
// work.
type configCause struct{ error }

func (e configCause) Unwrap() error        { return e.error }
func (e configCause) Is(target error) bool { return target == ErrConfig }

// isTimeout reports whether err is a deadline that passed: the operation can
// be tried again, and nothing was lost.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	// TCP's own ETIMEDOUT is not a deadline: the connection is dead.
	return ok && ne.Timeout() && !errors.Is(err, syscall.ETIMEDOUT)
}
