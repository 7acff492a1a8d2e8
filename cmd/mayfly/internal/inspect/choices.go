// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A Choice is one thing that the two sides have agreed on.
type Choice struct {
	What    string
	Offered []string // by the client, the most wanted first
	Taken   string   // by the server
	Why     string
}

// choices tells from the messages what was negotiated.
func choices(messages []*Message) (all []Choice) {
	hello := parsed(messages, dissect.Client, "ClientHello", wire.ParseClientHello)
	answer := parsed(messages, dissect.Server, "ServerHello", wire.ParseServerHello)
	if hello == nil {
		return nil
	}
	retry := parsed(messages, dissect.Server, "HelloRetryRequest", wire.ParseServerHello)
	all = append(all, version(hello, answer), cipher(hello, answer), exchange(hello, answer, retry))
	ee := parsed(messages, dissect.Server, "EncryptedExtensions", wire.ParseEncryptedExtensions)
	if ee == nil {
		return all
	}
	verify := parsed(messages, dissect.Server, "CertificateVerify", wire.ParseCertificateVerify)
	all = append(all, kind(hello, ee), signature(hello, verify), protocol(hello, ee), serverName(hello, ee))
	if hello.RecordSizeLimit > 0 {
		all = append(all, recordSize(hello, ee))
	}
	return append(all, clientIdentity(messages))
}

func version(hello *wire.ClientHello, answer *wire.ServerHello) Choice {
	c := Choice{What: "version", Offered: each(hello.SupportedVersions, dissect.Version)}
	switch {
	case answer == nil:
		c.Why = "no ServerHello that could be read"
	case answer.SupportedVersion == 0:
		c.Taken, c.Why = dissect.Version(answer.LegacyVersion), "the server does not know TLS 1.3"
	default:
		c.Taken, c.Why = dissect.Version(answer.SupportedVersion), "the only one that this client offers"
	}
	return c
}

func cipher(hello *wire.ClientHello, answer *wire.ServerHello) Choice {
	c := Choice{What: "cipher suite", Offered: each(hello.CipherSuites, dissect.Suite)}
	if answer != nil {
		c.Taken = dissect.Suite(answer.CipherSuite)
		c.Why = ranked(slices.Index(hello.CipherSuites, answer.CipherSuite))
	}
	return c
}

func exchange(hello *wire.ClientHello, answer, retry *wire.ServerHello) Choice {
	c := Choice{What: "key exchange", Offered: each(hello.SupportedGroups, dissect.Group)}
	if answer == nil || answer.KeyShare == nil {
		return c
	}
	c.Taken = dissect.Group(answer.KeyShare.Group)
	c.Why = ranked(slices.Index(hello.SupportedGroups, answer.KeyShare.Group))
	switch {
	case retry != nil && retry.SelectedGroup != 0:
		c.Why += "; its share was not with the first ClientHello, so that a HelloRetryRequest asked for it, at the cost of a round trip"
	case retry != nil:
		c.Why += "; a HelloRetryRequest came before"
	default:
		c.Why += "; its share came with the ClientHello"
	}
	return c
}

// ranked says whose wish a choice was.
func ranked(i int) string {
	switch i {
	case -1:
		return "not offered"
	case 0:
		return "what the client wants most"
	}
	return fmt.Sprintf("the client's choice number %d: the server does not know, or does not want, what stands before it", i+1)
}

func kind(hello *wire.ClientHello, ee *wire.EncryptedExtensions) Choice {
	names := map[uint8]string{0: "X.509 certificate", 2: "raw public key (RFC 7250)"}
	c := Choice{What: "server's credential", Taken: names[0], Why: "what a server shows that says nothing else"}
	for _, t := range hello.ServerCertTypes {
		c.Offered = append(c.Offered, names[t])
	}
	if len(c.Offered) == 0 {
		c.Offered = []string{names[0]}
	}
	if ee.ServerCertType != nil {
		c.Taken, c.Why = names[*ee.ServerCertType], "the server named it in its EncryptedExtensions"
	}
	return c
}

func signature(hello *wire.ClientHello, verify *wire.CertificateVerify) Choice {
	c := Choice{What: "signature", Offered: each(hello.SignatureAlgorithms, dissect.Scheme)}
	if verify == nil {
		c.Why = "the server has signed nothing that could be read"
		return c
	}
	c.Taken, c.Why = dissect.Scheme(verify.Scheme), "what the server's key can do"
	return c
}

func protocol(hello *wire.ClientHello, ee *wire.EncryptedExtensions) Choice {
	c := Choice{What: "application protocol", Offered: each(hello.ALPN, dissect.Quote)}
	switch {
	case len(hello.ALPN) == 0:
		c.Why = "none was offered (--alpn)"
	case ee.ALPN == "":
		c.Why = "the server took none"
	default:
		c.Taken, c.Why = dissect.Quote(ee.ALPN), ranked(slices.Index(hello.ALPN, ee.ALPN))
	}
	return c
}

func serverName(hello *wire.ClientHello, ee *wire.EncryptedExtensions) Choice {
	c := Choice{What: "server name"}
	asked := dissect.Quote(hello.ServerName)
	switch {
	case hello.ServerName == "":
		c.Why = "none was sent: addresses are not"
	case ee.ServerName:
		c.Taken, c.Why = asked, "the client asked for it, and the server says that it went by it"
	default:
		c.Taken, c.Why = asked, "the client asked for it; the server does not say whether it went by it"
	}
	return c
}

func recordSize(hello *wire.ClientHello, ee *wire.EncryptedExtensions) Choice {
	c := Choice{What: "record size limit", Offered: []string{fmt.Sprintf("%d bytes", hello.RecordSizeLimit)}, Why: "the server sets none, and need not heed the client's"}
	if ee.RecordSizeLimit > 0 {
		c.Taken, c.Why = fmt.Sprintf("%d bytes", ee.RecordSizeLimit), "each side has its own limit"
	}
	return c
}

// clientIdentity says what became of the client's side of authentication.
func clientIdentity(messages []*Message) Choice {
	c := Choice{What: "client's credential", Why: "the server asked for none"}
	if find(messages, dissect.Server, "CertificateRequest") == nil {
		return c
	}
	own := parsed(messages, dissect.Client, "Certificate", wire.ParseCertificate)
	switch {
	case own == nil:
		c.Why = "the server asked for one; no answer was sent"
	case len(own.Entries) == 0:
		c.Why = "the server asked for one; this client has none that suits, and showed an empty list"
	default:
		c.Why = "the server asked for one, and was shown one"
		if verify := parsed(messages, dissect.Client, "CertificateVerify", wire.ParseCertificateVerify); verify != nil {
			c.Taken = "signed by " + dissect.Scheme(verify.Scheme)
		}
	}
	return c
}

func each[T any](values []T, name func(T) string) (all []string) {
	for _, v := range values {
		all = append(all, name(v))
	}
	return all
}

// list is entries in one line.
func list(entries []string) string { return strings.Join(entries, ", ") }
