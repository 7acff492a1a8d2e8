// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto"
	"strconv"
)

// givens are flags that ask for what mayfly never does otherwise, and why.
var givens = map[string]string{
	"no-tls1":            "it speaks TLS 1.3 alone",
	"no-tls11":           "it speaks TLS 1.3 alone",
	"no-tls12":           "it speaks TLS 1.3 alone",
	"use-early-callback": "the shim's servers always decide in GetConfig, which sees the ClientHello first",
	"server-preference":  "a server always goes by its own order of groups",
	"use-export-context": "an empty context and none are the same: RFC 9846, Section 7.5",
}

// options are the flags that are implemented.
func options() map[string]option {
	return map[string]option{
		// The connection.
		"port":                    number(func(f *flags) *int { return &f.port }),
		"ipv6":                    boolean(func(f *flags) *bool { return &f.ipv6 }),
		"shim-id":                 option{true, func(f *flags, arg string) (err error) { f.shimID, err = strconv.ParseUint(arg, 10, 64); return err }},
		"resume-count":            number(func(f *flags) *int { return &f.resumeCount }),
		"is-handshaker-supported": boolean(func(f *flags) *bool { return &f.isHandshakerSupported }),

		// Who this side is.
		"server":                       boolean(func(f *flags) *bool { return &f.server }),
		"new-x509-credential":          newCredential("x509"),
		"new-rpk-credential":           newCredential("rpk"),
		"new-psk-credential":           newCredential("psk"),
		"cert-file":                    text(func(f *flags) *string { return &f.present().certFile }),
		"key-file":                     text(func(f *flags) *string { return &f.present().keyFile }),
		"ocsp-response":                encoded(func(f *flags) *[]byte { return &f.present().ocspResponse }),
		"signed-cert-timestamps":       encoded(func(f *flags) *[]byte { return &f.present().scts }),
		"signing-prefs":                numbers(func(f *flags) *[]int { return &f.present().signingPrefs }),
		"must-match-issuer":            boolean(func(f *flags) *bool { return &f.present().mustMatchIssuer }),
		"psk-importer-identity":        encoded(func(f *flags) *[]byte { return &f.present().pskIdentity }),
		"psk-importer-key":             encoded(func(f *flags) *[]byte { return &f.present().pskKey }),
		"psk-importer-context":         encoded(func(f *flags) *[]byte { return &f.present().pskContext }),
		"psk-importer-sha256":          option{set: func(f *flags, _ string) error { f.present().pskHash = crypto.SHA256; return nil }},
		"psk-importer-sha384":          option{set: func(f *flags, _ string) error { f.present().pskHash = crypto.SHA384; return nil }},
		"use-old-client-cert-callback": boolean(func(f *flags) *bool { return &f.useOldClientCertCallback }),
		"fail-early-callback":          boolean(func(f *flags) *bool { return &f.failEarlyCallback }),
		"fail-cert-callback":           boolean(func(f *flags) *bool { return &f.failCertCallback }),
		"host-name":                    text(func(f *flags) *string { return &f.hostName }),
		"use-ocsp-callback":            boolean(func(f *flags) *bool { return &f.useOCSPCallback }),
		"set-ocsp-in-callback":         boolean(func(f *flags) *bool { return &f.setOCSPInCallback }),
		"decline-ocsp-callback":        boolean(func(f *flags) *bool { return &f.declineOCSPCallback }),
		"fail-ocsp-callback":           boolean(func(f *flags) *bool { return &f.failOCSPCallback }),

		// Whom it accepts.
		"trust-cert":                       text(func(f *flags) *string { return &f.trustCert }),
		"verify-peer":                      boolean(func(f *flags) *bool { return &f.verifyPeer }),
		"require-any-client-certificate":   boolean(func(f *flags) *bool { return &f.requireAnyClientCertificate }),
		"verify-fail":                      boolean(func(f *flags) *bool { return &f.verifyFail }),
		"use-custom-verify-callback":       boolean(func(f *flags) *bool { return &f.useCustomVerifyCallback }),
		"reverify-on-resume":               boolean(func(f *flags) *bool { return &f.reverifyOnResume }),
		"use-client-ca-list":               names(func(f *flags) *[][]byte { return &f.clientCAs }),
		"verify-prefs":                     numbers(func(f *flags) *[]int { return &f.verifyPrefs }),
		"accepted-peer-cert-types":         numbers(func(f *flags) *[]int { return &f.acceptedPeerCertTypes }),
		"available-client-cert-types":      numbers(func(f *flags) *[]int { return &f.availableClientCertTypes }),
		"enable-ocsp-stapling":             boolean(func(f *flags) *bool { return &f.enableOCSPStapling }),
		"enable-signed-cert-timestamps":    boolean(func(f *flags) *bool { return &f.enableSCT }),
		"install-cert-compression-algs":    boolean(func(f *flags) *bool { return &f.installCompressions }),
		"install-one-cert-compression-alg": number(func(f *flags) *int { return &f.installCompression }),

		// What it negotiates.
		"min-version":                  atMost13(),
		"max-version":                  number(func(f *flags) *int { return &f.maxVersion }),
		"curves":                       numbers(func(f *flags) *[]int { return &f.curves }),
		"key-shares":                   numbers(func(f *flags) *[]int { return &f.keyShares }),
		"no-key-shares":                boolean(func(f *flags) *bool { return &f.noKeyShares }),
		"server-supported-groups-hint": numbers(func(f *flags) *[]int { return &f.serverGroupsHint }),
		"advertise-alpn":               text(func(f *flags) *string { return &f.advertiseALPN }),
		"select-alpn":                  text(func(f *flags) *string { return &f.selectALPN }),
		"select-empty-alpn":            boolean(func(f *flags) *bool { return &f.selectEmptyALPN }),
		"enable-grease":                boolean(func(f *flags) *bool { return &f.enableGREASE }),
		"enable-ech-grease":            boolean(func(f *flags) *bool { return &f.enableECHGREASE }),
		"decline-alpn":                 boolean(func(f *flags) *bool { return &f.declineALPN }),
		"reject-alpn":                  boolean(func(f *flags) *bool { return &f.rejectALPN }),
		"no-ticket":                    boolean(func(f *flags) *bool { return &f.noTicket }),
		"use-ticket-callback":          boolean(func(f *flags) *bool { return &f.useTicketCallback }),
		"use-ticket-aead-callback":     boolean(func(f *flags) *bool { return &f.useTicketCallback }),
		"renew-ticket":                 boolean(func(f *flags) *bool { return &f.renewTicket }),
		"skip-ticket":                  boolean(func(f *flags) *bool { return &f.skipTicket }),
		"enable-early-data":            boolean(func(f *flags) *bool { return &f.enableEarlyData }),
		"resumption-delay":             number(func(f *flags) *int { return &f.resumptionDelay }),

		// What it does.
		"async":                      boolean(func(f *flags) *bool { return &f.async }),
		"implicit-handshake":         boolean(func(f *flags) *bool { return &f.implicitHandshake }),
		"no-op-extra-handshake":      boolean(func(f *flags) *bool { return &f.noOpExtraHandshake }),
		"shim-writes-first":          boolean(func(f *flags) *bool { return &f.shimWritesFirst }),
		"shim-initial-write":         text(func(f *flags) *string { return &f.shimInitialWrite }),
		"repeat-shim-initial-write":  number(func(f *flags) *int { return &f.repeatShimInitialWrite }),
		"read-with-unfinished-write": boolean(func(f *flags) *bool { return &f.readWithUnfinishedWrite }),
		"shim-shuts-down":            boolean(func(f *flags) *bool { return &f.shimShutsDown }),
		"check-close-notify":         boolean(func(f *flags) *bool { return &f.checkCloseNotify }),
		"send-alert":                 boolean(func(f *flags) *bool { return &f.sendAlert }),
		"max-send-fragment":          number(func(f *flags) *int { return &f.maxSendFragment }),
		"key-update":                 boolean(func(f *flags) *bool { return &f.keyUpdate }),
		"read-size":                  number(func(f *flags) *int { return &f.readSize }),
		"export-keying-material":     number(func(f *flags) *int { return &f.exportKeyingMaterial }),
		"export-label":               text(func(f *flags) *string { return &f.exportLabel }),
		"export-context":             text(func(f *flags) *string { return &f.exportContext }),
		"export-traffic-secrets":     boolean(func(f *flags) *bool { return &f.exportTrafficSecrets }),

		// What it must find out.
		"expect-server-name":                text(func(f *flags) *string { return &f.expect.serverName }),
		"expect-no-server-name":             boolean(func(f *flags) *bool { return &f.expect.noServerName }),
		"expect-alpn":                       text(func(f *flags) *string { return &f.expect.alpn }),
		"expect-advertised-alpn":            text(func(f *flags) *string { return &f.expect.advertisedALPN }),
		"expect-version":                    number(func(f *flags) *int { return &f.expect.version }),
		"expect-cipher":                     number(func(f *flags) *int { return &f.expect.cipher }),
		"expect-cipher-aes":                 number(func(f *flags) *int { return &f.expect.cipherAES }),
		"expect-cipher-no-aes":              number(func(f *flags) *int { return &f.expect.cipherNoAES }),
		"expect-curve-id":                   number(func(f *flags) *int { return &f.expect.curveID }),
		"expect-hrr":                        boolean(func(f *flags) *bool { return &f.expect.hrr }),
		"expect-no-hrr":                     boolean(func(f *flags) *bool { return &f.expect.noHRR }),
		"expect-extended-master-secret":     boolean(func(f *flags) *bool { return &f.expect.extendedMasterSecret }),
		"expect-secure-renegotiation":       boolean(func(f *flags) *bool { return &f.expect.secureRenegotiation }),
		"expect-ocsp-response":              encoded(func(f *flags) *[]byte { return &f.expect.ocspResponse }),
		"expect-signed-cert-timestamps":     encoded(func(f *flags) *[]byte { return &f.expect.scts }),
		"expect-verify-result":              boolean(func(f *flags) *bool { return &f.expect.verifyResult }),
		"expect-peer-cert-file":             text(func(f *flags) *string { return &f.expect.peerCertFile }),
		"expect-no-peer-cert":               boolean(func(f *flags) *bool { return &f.expect.noPeerCert }),
		"expect-peer-rpk-sha256":            encoded(func(f *flags) *[]byte { return &f.expect.peerRPK }),
		"expect-client-ca-list":             text(func(f *flags) *string { return &f.expect.clientCAList }),
		"expect-peer-verify-pref":           numbers(func(f *flags) *[]int { return &f.expect.peerVerifyPrefs }),
		"expect-session-miss":               boolean(func(f *flags) *bool { return &f.expect.sessionMiss }),
		"expect-no-session":                 boolean(func(f *flags) *bool { return &f.expect.noSession }),
		"expect-no-session-id":              boolean(func(f *flags) *bool { return &f.expect.noSessionID }),
		"expect-ticket-supports-early-data": boolean(func(f *flags) *bool { return &f.expect.ticketSupportsEarlyData }),
		"expect-accept-early-data":          boolean(func(f *flags) *bool { return &f.expect.acceptEarlyData }),
		"expect-reject-early-data":          boolean(func(f *flags) *bool { return &f.expect.rejectEarlyData }),
		"expect-no-offer-early-data":        boolean(func(f *flags) *bool { return &f.expect.noOfferEarlyData }),
		"expect-peer-certificate-type":      optional(func(f *flags) **int { return &f.expect.peerCertType }, strconv.Atoi),
		"expect-early-data-reason":          text(func(f *flags) *string { return &f.expect.earlyDataReason }),
		"expect-ticket-age-skew":            number(func(f *flags) *int { return &f.expect.ticketAgeSkew }),
		"expect-no-ech-name-override":       boolean(func(f *flags) *bool { return &f.expect.noNameOverride }),
		"expect-peer-signature-algorithm":   number(func(f *flags) *int { return &f.expect.peerScheme }),
		"expect-selected-credential":        optional(func(f *flags) **int { return &f.expect.selectedCredential }, strconv.Atoi),
	}
}
