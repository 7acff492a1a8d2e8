// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package fuzz

import (
	"bytes"
	"crypto/rand"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
)

// serve is the script of a server.
func (p *peer) serve() {
	hello := p.readClientHello()
	if hello == nil {
		return
	}
	p.transcript.Select(p.cipher.NewHash)
	if p.retry || p.cookie {
		p.transcript.HelloRetryRequest()
		p.play(say(wire.ServerHelloType, func() []byte { return p.helloRetryRequest(hello) }).ends(), act(p.ccs))
		if hello = p.readClientHello(); hello == nil {
			return
		}
	}
	i := slices.IndexFunc(hello.KeyShares, func(k wire.KeyShare) bool { return kex.Group(k.Group) == p.group })
	if i < 0 {
		p.err = errScript
		return
	}
	share, secret, err := kex.Respond(p.group, nil, hello.KeyShares[i].Data)
	if err != nil {
		p.err = err
		return
	}
	steps := []step{
		say(wire.ServerHelloType, func() []byte { return p.serverHello(hello, share) }).ends(),
		act(func() {
			p.handshakeKeys(secret)
			p.ccs()
			p.send(p.hands[1])
			p.opener.SetKeys(p.hands[0].Keys())
		}),
		say(wire.EncryptedExtensionsType, func() []byte { return p.encryptedExtensions(hello) }),
	}
	if p.clientAuth != unasked {
		steps = append(steps, say(wire.CertificateRequestType, p.certificateRequest))
	}
	if !p.scenario.psk {
		steps = append(steps, say(wire.CertificateType, p.certificate), say(wire.CertificateVerifyType, p.certificateVerify))
	}
	steps = append(steps, say(wire.FinishedType, p.finished).ends(),
		act(func() { p.applicationKeys(); p.send(p.apps[1]); p.done = true }))
	p.play(append(steps, p.afterwards()...)...)
}

// connect is the script of a client.
func (p *peer) connect() {
	p.cipher = suite.ByID(p.suite)
	key, err := kex.Generate(p.group, nil)
	if err != nil {
		p.err = err
		return
	}
	hello := p.clientHello()
	if !p.retry {
		hello.KeyShares = []wire.KeyShare{{Group: uint16(p.group), Data: key.Share()}}
	}
	p.play(say(wire.ClientHelloType, func() []byte { return p.marshal(hello) }).ends())
	p.transcript.Select(p.cipher.NewHash)
	answer := p.readServerHello()
	if answer != nil && answer.IsHelloRetryRequest() {
		p.transcript.HelloRetryRequest()
		p.transcript.Add(answer.Raw)
		hello.KeyShares = []wire.KeyShare{{Group: uint16(p.group), Data: key.Share()}}
		hello.Cookie = answer.Cookie
		p.ccs()
		p.play(say(wire.ClientHelloType, func() []byte { return p.marshal(hello) }).ends())
		answer = p.readServerHello()
	}
	if answer == nil || answer.KeyShare == nil {
		return
	}
	secret, err := key.Agree(answer.KeyShare.Data)
	if err != nil {
		p.err = err
		return
	}
	p.transcript.Add(answer.Raw)
	p.handshakeKeys(secret)
	p.opener.SetKeys(p.hands[1].Keys())
	p.readServerFlight()
	if p.err != nil && p.breach.verdict.outcome == succeed {
		return
	}
	p.err = nil // go on with what there is: the victim cannot be talked into anything
	p.applicationKeys()
	p.opener.SetKeys(p.apps[1].Keys())
	if !p.retry {
		p.ccs()
	}
	p.send(p.hands[0])
	var steps []step
	if p.clientAuth != unasked {
		steps = append(steps, say(wire.CertificateType, p.certificate))
	}
	if p.clientAuth == shown {
		steps = append(steps, say(wire.CertificateVerifyType, p.certificateVerify))
	}
	steps = append(steps, say(wire.FinishedType, p.finished).ends(), act(func() {
		p.send(p.apps[0])
		p.resumption = p.main.Resumption(p.transcript.Sum())
		p.done = true
	}))
	p.play(append(steps, p.afterwards()...)...)
}

// afterwards is what is said when the handshake is done.
func (p *peer) afterwards() []step {
	var steps []step
	tickets, updates := p.scenario.tickets, p.updates
	if !p.server {
		tickets = 0
	}
	for i, data := range append(p.data, nil) {
		if tickets > 0 {
			tickets--
			steps = append(steps, say(wire.NewSessionTicketType, func() []byte {
				p.tickets = append(p.tickets, ticket(i))
				return ticket(i).Marshal()
			}))
		}
		if updates > 0 {
			updates--
			steps = append(steps, say(wire.KeyUpdateType, (&wire.KeyUpdate{Requested: p.request}).Marshal).ends(), act(func() {
				p.apps[p.mine()].Update()
				p.send(p.apps[p.mine()])
			}))
		}
		if data != nil {
			steps = append(steps, step{say: func() { p.write(data) }})
		}
	}
	for range p.empties {
		steps = append(steps, step{say: func() { p.record(record.ApplicationData, nil) }})
	}
	return append(steps, step{say: func() {
		p.closing = true
		p.record(record.Alert, []byte{1, byte(alert.CloseNotify)})
	}})
}

func ticket(i int) *wire.NewSessionTicket {
	return &wire.NewSessionTicket{Lifetime: 3600, AgeAdd: uint32(i), Nonce: []byte{byte(i)}, Ticket: pattern(100, byte(i))}
}

// write says application data.
func (p *peer) write(data []byte) {
	for len(data) > 0 {
		n := min(p.manner.size(), len(data), p.room())
		p.record(record.ApplicationData, data[:n])
		data = data[n:]
	}
}

// ccs says the dummy change_cipher_spec of RFC 9846, Appendix E.4.
func (p *peer) ccs() {
	if p.compat {
		p.record(record.ChangeCipherSpec, []byte{1})
	}
}

func (p *peer) handshakeKeys(shared *volatile.Secret) {
	stage := schedule.NewEarly(p.cipher, p.psk).Handshake(shared)
	th := p.hash(wire.ServerHelloType)
	p.hands = [2]*schedule.Traffic{stage.ClientTraffic(th), stage.ServerTraffic(th)}
	p.main = stage.Main()
}

// marshal makes a ClientHello's binder.
func (p *peer) marshal(hello *wire.ClientHello) []byte {
	if p.earlier != nil {
		hello.PSKModes = []uint8{1}
	}
	if !p.scenario.psk {
		return hello.Marshal()
	}
	hello.PSKModes = []uint8{1}
	identity, kind := p.offer()
	p.psk = p.keyOf(identity.Identity)
	key := p.breach.offers(p, &identity)
	hello.PSK = &wire.PreSharedKeys{Identities: []wire.PSKIdentity{identity}, Binders: [][]byte{make([]byte, p.cipher.HashLen)}}
	draft, err := wire.ParseClientHello(hello.Marshal())
	if err != nil {
		panic(err)
	}
	hello.PSK.Binders[0] = p.breach.binds(p, p.binder(key, kind, draft))
	return hello.Marshal()
}

// takeOffer finds the key that the victim offers, and holds it against its binder.
func (p *peer) takeOffer(hello *wire.ClientHello) {
	p.err = errScript
	if hello.PSK == nil {
		return
	}
	if p.psk = p.keyOf(hello.PSK.Identities[0].Identity); p.psk == nil {
		return
	}
	if _, kind := p.offer(); bytes.Equal(hello.PSK.Binders[0], p.binder(p.psk, kind, hello)) {
		p.err = nil
	}
}

// binder is that of RFC 9846, Section 4.3.11.2, for a ClientHello that is not yet in
// the transcript.
func (p *peer) binder(key []byte, kind schedule.BinderLabel, hello *wire.ClientHello) []byte {
	early := schedule.NewEarly(p.cipher, key)
	defer early.Wipe()
	return early.Binder(kind, p.transcript.SumWith(hello.BinderPrefix(), p.cipher.NewHash))
}

// applicationKeys is called when the transcript reaches to the server's Finished.
func (p *peer) applicationKeys() {
	th := p.hash(wire.FinishedType)
	p.apps = [2]*schedule.Traffic{p.main.ClientTraffic(th), p.main.ServerTraffic(th)}
	p.exporter = p.main.Exporter(th)
}

func (p *peer) readClientHello() *wire.ClientHello {
	msg := p.next()
	if msg == nil {
		return nil
	}
	hello, err := wire.ParseClientHello(msg.Raw)
	if err != nil {
		p.err = err
		return nil
	}
	if p.cipher = suite.ByID(p.suite); p.scenario.psk {
		if p.takeOffer(hello); p.err != nil {
			return nil
		}
	}
	p.transcript.Add(msg.Raw)
	return hello
}

// readServerHello does not add it to the transcript.
func (p *peer) readServerHello() *wire.ServerHello {
	msg := p.next()
	if msg == nil {
		return nil
	}
	hello, err := wire.ParseServerHello(msg.Raw)
	if err != nil {
		p.err = err
	}
	return hello
}

// readServerFlight reads up to the server's Finished, and judges nothing in it but
// that.
func (p *peer) readServerFlight() {
	for {
		msg := p.next()
		if msg == nil {
			return
		}
		if msg.Type == wire.FinishedType {
			m, err := wire.ParseFinished(msg.Raw)
			if err != nil || string(m.VerifyData) != string(p.hands[1].Finished(p.transcript.Sum())) {
				p.err = errScript
			}
		}
		p.transcript.Add(msg.Raw)
		if msg.Type == wire.FinishedType {
			return
		}
	}
}

func (p *peer) clientHello() *wire.ClientHello {
	h := &wire.ClientHello{
		LegacyVersion: 0x0303, CipherSuites: []uint16{uint16(p.suite)}, CompressionMethods: []byte{0},
		ServerName: serverName, SupportedGroups: []uint16{uint16(p.group)}, KeyShares: []wire.KeyShare{},
		SupportedVersions: []uint16{0x0304},
	}
	_, _ = rand.Read(h.Random[:])
	if p.compat {
		h.SessionID = pattern(32, 's')
	}
	for _, s := range credential.Schemes() {
		h.SignatureAlgorithms = append(h.SignatureAlgorithms, uint16(s))
	}
	if p.protocols {
		h.ALPN = []string{"three", "two"}
	}
	if p.serverType == credential.RawPublicKey {
		h.ServerCertTypes = []uint8{uint8(credential.RawPublicKey)}
	}
	if p.clientAuth == shown && p.clientType == credential.RawPublicKey {
		h.ClientCertTypes = []uint8{uint8(credential.RawPublicKey)}
	}
	if p.limit > 0 {
		h.RecordSizeLimit = 1 << 14
	}
	return h
}

func (p *peer) helloRetryRequest(hello *wire.ClientHello) []byte {
	m := &wire.ServerHello{
		LegacyVersion: 0x0303, Random: wire.RetryRandom, SessionID: hello.SessionID,
		CipherSuite: uint16(p.suite), SupportedVersion: 0x0304,
	}
	if p.retry {
		m.SelectedGroup = uint16(p.group)
	}
	if p.cookie {
		m.Cookie = []byte("a cookie")
	}
	return m.Marshal()
}

func (p *peer) serverHello(hello *wire.ClientHello, share []byte) []byte {
	m := &wire.ServerHello{
		LegacyVersion: 0x0303, SessionID: hello.SessionID, CipherSuite: uint16(p.suite),
		SupportedVersion: 0x0304, KeyShare: &wire.KeyShare{Group: uint16(p.group), Data: share},
	}
	_, _ = rand.Read(m.Random[:])
	if p.scenario.psk {
		m.SelectedPSK = p.breach.selects(p)
	}
	return m.Marshal()
}

func (p *peer) encryptedExtensions(hello *wire.ClientHello) []byte {
	m := &wire.EncryptedExtensions{ServerName: true}
	if p.protocols {
		m.ALPN = "two"
	}
	raw := uint8(credential.RawPublicKey)
	if p.serverType == credential.RawPublicKey {
		m.ServerCertType = &raw
	}
	if p.clientAuth == shown && p.clientType == credential.RawPublicKey {
		m.ClientCertType = &raw
	}
	if p.limit > 0 {
		m.RecordSizeLimit = 1 << 14
	}
	return m.Marshal()
}

func (p *peer) certificateRequest() []byte {
	m := new(wire.CertificateRequest)
	for _, s := range credential.Schemes() {
		m.SignatureAlgorithms = append(m.SignatureAlgorithms, uint16(s))
	}
	return m.Marshal()
}

func (p *peer) certificate() []byte {
	m := new(wire.Certificate)
	if own := p.breach.shows(p, p.own()); own != nil {
		for _, der := range own.Entries {
			m.Entries = append(m.Entries, wire.CertificateEntry{Data: der})
		}
	}
	return m.Marshal()
}

func (p *peer) certificateVerify() []byte {
	server, th := p.server, p.transcript.Sum()
	own := p.own()
	signer, label := p.breach.signs(p, own, &server, &th)
	scheme, _ := signer.SchemeFor(credential.Schemes())
	signature, err := signer.Sign(nil, scheme, credential.SignedContent(server, th))
	if err != nil {
		panic(err)
	}
	if label != 0 {
		scheme = label
	}
	return (&wire.CertificateVerify{Scheme: uint16(scheme), Signature: signature}).Marshal()
}

func (p *peer) finished() []byte {
	verify := p.breach.finishes(p, p.hands[p.mine()].Finished(p.transcript.Sum()))
	return (&wire.Finished{VerifyData: verify}).Marshal()
}
