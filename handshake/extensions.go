// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A place is a set of messages in which an extension may stand.
type place uint16

const (
	inClientHello place = 1 << iota
	inServerHello
	inHelloRetryRequest
	inEncryptedExtensions
	inCertificateRequest
	inCertificate
	inNewSessionTicket
)

// places is the table of RFC 9846, Section 4.3, for the extensions that we
// recognise. max_fragment_length and signed_certificate_timestamp are from RFC
// 8446: RFC 9846 lists only what is recommended.
var places = map[wire.ExtensionType]place{
	wire.ExtServerName:              inClientHello | inEncryptedExtensions | inCertificateRequest,
	wire.ExtStatusRequest:           inClientHello | inCertificateRequest | inCertificate,
	wire.ExtSupportedGroups:         inClientHello | inEncryptedExtensions,
	wire.ExtSignatureAlgorithms:     inClientHello | inCertificateRequest,
	wire.ExtMaxFragmentLength:       inClientHello | inEncryptedExtensions,
	wire.ExtUseSRTP:                 inClientHello | inEncryptedExtensions,
	wire.ExtHeartbeat:               inClientHello | inEncryptedExtensions,
	wire.ExtALPN:                    inClientHello | inEncryptedExtensions,
	wire.ExtSCT:                     inClientHello | inCertificateRequest | inCertificate,
	wire.ExtClientCertificateType:   inClientHello | inEncryptedExtensions,
	wire.ExtServerCertificateType:   inClientHello | inEncryptedExtensions,
	wire.ExtPadding:                 inClientHello,
	wire.ExtCompressCertificate:     inClientHello | inCertificateRequest,
	wire.ExtRecordSizeLimit:         inClientHello | inEncryptedExtensions,
	wire.ExtPreSharedKey:            inClientHello | inServerHello,
	wire.ExtEarlyData:               inClientHello | inEncryptedExtensions | inNewSessionTicket,
	wire.ExtSupportedVersions:       inClientHello | inServerHello | inHelloRetryRequest,
	wire.ExtCookie:                  inClientHello | inHelloRetryRequest,
	wire.ExtPSKKeyExchangeModes:     inClientHello,
	wire.ExtCertificateAuthorities:  inClientHello | inCertificateRequest,
	wire.ExtOIDFilters:              inCertificateRequest,
	wire.ExtPostHandshakeAuth:       inClientHello,
	wire.ExtSignatureAlgorithmsCert: inClientHello | inCertificateRequest,
	wire.ExtKeyShare:                inClientHello | inServerHello | inHelloRetryRequest,
	wire.ExtTicketRequest:           inClientHello | inEncryptedExtensions,
	wire.ExtEncryptedClientHello:    inClientHello | inEncryptedExtensions | inHelloRetryRequest,
}

// checkIndications judges the extensions of a message that asks or tells: there
// those that we do not recognise are ignored.
func checkIndications(where place, extensions []wire.ExtensionType) error {
	for _, ext := range extensions {
		if allowed, known := places[ext]; known && allowed&where == 0 {
			return alert.New(alert.IllegalParameter, "an extension stands in a message where it has no place")
		}
	}
	return nil
}

// checkResponses judges the extensions of a message that answers: they must have
// been asked for by the message whose extensions are requested. Only a cookie may
// come unasked.
func checkResponses(where place, extensions, requested []wire.ExtensionType) error {
	if err := checkIndications(where, extensions); err != nil {
		return err
	}
	for _, ext := range extensions {
		if (!slices.Contains(requested, ext) || isGREASE(ext)) && !(ext == wire.ExtCookie && where == inHelloRetryRequest) {
			return alert.New(alert.UnsupportedExtension, "an extension answers what was not asked")
		}
	}
	return nil
}
