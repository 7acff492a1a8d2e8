// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// crypto/tls names alerts in words, the RFC with underscores.
func TestAlertCodesNameTheSameAlertsAsCryptoTLS(t *testing.T) {
	for code, name := range map[mayfly.AlertCode]string{
		mayfly.AlertCloseNotify: "close_notify", mayfly.AlertUnexpectedMessage: "unexpected_message", mayfly.AlertBadRecordMAC: "bad_record_mac",
		mayfly.AlertHandshakeFailure: "handshake_failure", mayfly.AlertCertificateRequired: "certificate_required", mayfly.AlertNoApplicationProtocol: "no_application_protocol",
		mayfly.AlertUnknownCA: "unknown_ca", mayfly.AlertInternalError: "internal_error", 250: "alert(250)",
	} {
		if code.String() != name {
			t.Errorf("%d is %s, want %s", uint8(code), code, name)
		}
		theirs := strings.TrimPrefix(tls.AlertError(code).Error(), "tls: ")
		if code == mayfly.AlertHandshakeFailure || code == mayfly.AlertInternalError {
			if strings.ReplaceAll(name, "_", " ") != theirs {
				t.Errorf("%s is %q in crypto/tls", name, theirs)
			}
		}
	}
}
