// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package alert names the TLS alerts (RFC 9846, Section 6) and gives every
// error its alert where the error is born.
//
// It knows nothing of connections: which alert is sent, and when, is decided
// by the one function of the root package that sends them.
package alert

import (
	"errors"
	"strconv"
)

// A Code is an AlertDescription of RFC 9846, Section 6.
type Code uint8

// The alerts of RFC 9846, Section 6.
const (
	CloseNotify                  Code = 0
	UnexpectedMessage            Code = 10
	BadRecordMAC                 Code = 20
	RecordOverflow               Code = 22
	HandshakeFailure             Code = 40
	BadCertificate               Code = 42
	UnsupportedCertificate       Code = 43
	CertificateRevoked           Code = 44
	CertificateExpired           Code = 45
	CertificateUnknown           Code = 46
	IllegalParameter             Code = 47
	UnknownCA                    Code = 48
	AccessDenied                 Code = 49
	DecodeError                  Code = 50
	DecryptError                 Code = 51
	ProtocolVersion              Code = 70
	InsufficientSecurity         Code = 71
	InternalError                Code = 80
	InappropriateFallback        Code = 86
	UserCanceled                 Code = 90
	MissingExtension             Code = 109
	UnsupportedExtension         Code = 110
	UnrecognizedName             Code = 112
	BadCertificateStatusResponse Code = 113
	UnknownPSKIdentity           Code = 115
	CertificateRequired          Code = 116
	GeneralError                 Code = 117
	NoApplicationProtocol        Code = 120
)

var names = map[Code]string{
	CloseNotify:                  "close_notify",
	UnexpectedMessage:            "unexpected_message",
	BadRecordMAC:                 "bad_record_mac",
	RecordOverflow:               "record_overflow",
	HandshakeFailure:             "handshake_failure",
	BadCertificate:               "bad_certificate",
	UnsupportedCertificate:       "unsupported_certificate",
	CertificateRevoked:           "certificate_revoked",
	CertificateExpired:           "certificate_expired",
	CertificateUnknown:           "certificate_unknown",
	IllegalParameter:             "illegal_parameter",
	UnknownCA:                    "unknown_ca",
	AccessDenied:                 "access_denied",
	DecodeError:                  "decode_error",
	DecryptError:                 "decrypt_error",
	ProtocolVersion:              "protocol_version",
	InsufficientSecurity:         "insufficient_security",
	InternalError:                "internal_error",
	InappropriateFallback:        "inappropriate_fallback",
	UserCanceled:                 "user_canceled",
	MissingExtension:             "missing_extension",
	UnsupportedExtension:         "unsupported_extension",
	UnrecognizedName:             "unrecognized_name",
	BadCertificateStatusResponse: "bad_certificate_status_response",
	UnknownPSKIdentity:           "unknown_psk_identity",
	CertificateRequired:          "certificate_required",
	GeneralError:                 "general_error",
	NoApplicationProtocol:        "no_application_protocol",
}

// String returns the name that the RFC gives the alert, or "alert(N)".
func (c Code) String() string {
	if s, ok := names[c]; ok {
		return s
	}
	return "alert(" + strconv.Itoa(int(c)) + ")"
}

// An Error is a failure together with the alert that tells the peer of it.
// Reason is a fixed sentence that never holds bytes chosen by the peer.
type Error struct {
	Code   Code
	Reason string
	Err    error // the cause, if there is one
}

// New returns an error that is to be told to the peer as code.
func New(code Code, reason string) *Error {
	return &Error{Code: code, Reason: reason}
}

// Wrap is New with a cause.
func Wrap(code Code, reason string, err error) *Error {
	return &Error{Code: code, Reason: reason, Err: err}
}

// Error gives the reason, the cause and the name of the alert.
func (e *Error) Error() string {
	s := e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + " (" + e.Code.String() + ")"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the alert that err carries, internal_error if it carries none.
func Of(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return InternalError
}
