// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"crypto"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// The ways to pretend to be somebody.
const (
	otherIdentity    = iota // a key that is not accepted, well proved
	emptyCertificate        // no key
	otherType               // a certificate for a raw key, or the other way round
	otherKey                // the signature of another key
	otherRole               // the signature of the other side
	otherTranscript         // the signature of another handshake
	otherScheme             // a scheme that signs no handshake
	otherFinished           // the Finished of the other side
	zeroFinished
	shortFinished
	longFinished

	firstOfKeys            // with a pre-shared key
	otherName   = iota - 1 // a client's: the name of a key that nobody has
	otherShared            // a client's: another key
	zeroBinder             // a client's
	secondKey              // a server's: a key that was not offered
	withoutKey             // a server's: no key
	impostures
)

// shows is the credential that is shown instead of own.
func (b *breach) shows(p *peer, own *credential.Credential) *credential.Credential {
	if b.kind != impostor || own == nil {
		return own
	}
	other := people().stranger.raw
	if own.Type == credential.X509 {
		other = people().outcast.x509
	}
	switch b.arg % impostures {
	case otherIdentity:
		b.must(p, 0)
		return other
	case emptyCertificate:
		b.must(p, alert.CertificateRequired)
		if p.server {
			b.verdict.code = alert.DecodeError
		}
		return nil
	case otherType:
		b.must(p, 0)
		owner := p.clientOwner
		if p.server {
			owner = p.serverOwner
		}
		if own.Type == credential.X509 {
			return owner.raw
		}
		return owner.x509
	}
	return own
}

// offers names the key in a ClientHello, and returns it.
func (b *breach) offers(p *peer, identity *wire.PSKIdentity) []byte {
	if b.kind == impostor {
		switch b.arg % impostures {
		case otherName:
			identity.Identity = []byte("unknown")
			if b.must(p, alert.DecryptError); p.earlier != nil {
				b.verdict.code = 0 // the server would like to know the client otherwise
			}
		case otherShared:
			b.must(p, alert.DecryptError)
			return pattern(len(p.psk), 'q')
		}
	}
	return p.psk
}

// binds is the binder that is sent.
func (b *breach) binds(p *peer, binder []byte) []byte {
	if b.kind == impostor && b.arg%impostures == zeroBinder {
		b.must(p, alert.DecryptError)
		clear(binder)
	}
	return binder
}

// selects is the server's choice among the keys that were offered: the only one.
func (b *breach) selects(p *peer) *uint16 {
	index := uint16(0)
	if b.kind == impostor {
		switch b.arg % impostures {
		case secondKey:
			b.must(p, alert.IllegalParameter)
			index = 1 + uint16(b.arg/impostures)%1000
		case withoutKey:
			b.must(p, 0)
			return nil
		}
	}
	return &index
}

// signs says who signs, and as what.
func (b *breach) signs(p *peer, own *credential.Credential, server *bool, th *[]byte) (signer *credential.Credential, label credential.Scheme) {
	if b.kind != impostor {
		return own, 0
	}
	code := alert.DecryptError
	switch b.arg % impostures {
	case otherIdentity:
		return b.shows(p, own), 0
	case otherKey:
		own = like(own)
	case otherRole:
		*server = !*server
	case otherTranscript:
		*th = pattern(len(*th), 't')
	case otherScheme:
		label, code = []credential.Scheme{credential.PKCS1SHA256, 0x0201, 0x0808, 0xffff}[int(b.arg/impostures%4)], alert.IllegalParameter
	default:
		return own, 0
	}
	b.must(p, code)
	return own, label
}

// like is the credential of somebody else, with a key of the same kind.
func like(own *credential.Credential) *credential.Credential {
	cast := people()
	scheme, _ := own.SchemeFor(credential.Schemes())
	for _, o := range []*owner{cast.stranger, cast.serverP256, cast.clientP256} {
		same := o.raw.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(own.Signer.Public())
		if s, _ := o.raw.SchemeFor(credential.Schemes()); s == scheme && !same {
			return o.raw
		}
	}
	return nil
}

// finishes is the verify_data that is sent.
func (b *breach) finishes(p *peer, verify []byte) []byte {
	if b.kind != impostor {
		return verify
	}
	code := alert.DecryptError
	switch b.arg % impostures {
	case otherFinished:
		verify = p.hands[p.yours()].Finished(p.transcript.Sum())
	case zeroFinished:
		clear(verify)
	case shortFinished:
		verify, code = verify[:int(b.arg/impostures)%len(verify)], alert.DecodeError
	case longFinished:
		verify, code = append(verify, 0), alert.DecodeError
	default:
		return verify
	}
	b.must(p, code)
	return verify
}
