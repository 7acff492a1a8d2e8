// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package alert

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestNames holds names and numbers against RFC 9846, Appendix B.2.
func TestNames(t *testing.T) {
	for code, name := range map[Code]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
		40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
		45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
		49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
		71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
		109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
		113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required",
		117: "general_error", 120: "no_application_protocol", 255: "alert(255)",
	} {
		if code.String() != name {
			t.Errorf("%d is %q, want %q", uint8(code), code, name)
		}
	}
	if len(names) != 28 {
		t.Errorf("%d alerts have names, and 28 are checked", len(names))
	}
}

func TestOf(t *testing.T) {
	err := fmt.Errorf("outer: %w", Wrap(DecodeError, "a reason", io.EOF))
	if Of(err) != DecodeError || !errors.Is(err, io.EOF) {
		t.Errorf("%v: %v", err, Of(err))
	}
	if Of(io.EOF) != InternalError || Of(New(AccessDenied, "x")) != AccessDenied {
		t.Error("the wrong alert")
	}
	if s := Wrap(DecodeError, "a reason", io.EOF).Error(); s != "a reason: EOF (decode_error)" {
		t.Error(s)
	}
}
