// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/testvec"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/internal/wire"
	"github.com/mayfly-tls/mayfly/record"
	"github.com/mayfly-tls/mayfly/transcript"
)

// The traces of RFC 8448, replayed. The handshake machine does not take part:
// the hellos in the traces are NSS's, with extensions that mayfly does not
// send, so everything below it is put together here in its stead: messages,
// transcript, key exchange, key schedule and records, each byte for byte.

// TestRFC8448 replays each trace record by record. The keys of a record come
// from the schedule, the schedule's inputs from the key exchange and from the
// transcript of the messages in the records before.
func TestRFC8448(t *testing.T) {
	t.Parallel()
	for _, tr := range loadRFC8448(t) {
		t.Run(tr.Name, func(t *testing.T) {
			t.Parallel()
			records, err := tr.Records()
			if err != nil {
				t.Fatal(err)
			}
			r := newReplay(t, tr)
			for i, rec := range records {
				r.record(i, rec)
			}
			r.finish()
		})
	}
}

// replay is what the two ends of one trace would hold. They hold the same
// secrets, so they stand here once; each direction has its Sealer and Opener.
type replay struct {
	t     *testing.T
	trace *testvec.Trace
	suite *suite.Suite

	directions map[string]*direction // by sender
	transcript *transcript.Transcript
	selected   bool // the transcript knows its hash
	retried    bool // there was a HelloRetryRequest
	sessionID  []byte
	ccs        int // dummy change_cipher_spec records

	early       *schedule.Early
	handshake   *schedule.Handshake
	main        *schedule.Main
	resumption  *schedule.Resumption
	traffic     map[string]*schedule.Traffic // by label, such as "c hs traffic"
	certificate map[string][]byte            // by sender: the leaf
	seen        map[wire.MessageType]int
	messages    []testvec.Message // still to come
}

type direction struct {
	sealer    *record.Sealer
	opener    *record.Opener
	assembler *wire.Assembler
	label     string // of the secret in use
}

func newReplay(t *testing.T, tr *testvec.Trace) *replay {
	r := &replay{
		t: t, trace: tr, suite: suite.ByID(suite.AES128GCM),
		directions:  map[string]*direction{},
		transcript:  transcript.New(),
		traffic:     map[string]*schedule.Traffic{},
		certificate: map[string][]byte{},
		seen:        map[wire.MessageType]int{},
	}
	var err error
	if r.messages, err = tr.Messages(); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"client", "server"} {
		r.directions[who] = &direction{sealer: record.NewSealer(), opener: record.NewOpener(), assembler: new(wire.Assembler)}
	}
	return r
}

// record seals and opens one record and hands its messages on.
func (r *replay) record(i int, rec testvec.Record) {
	d := r.directions[rec.Who]
	if rec.Label != "" && rec.Label != d.label {
		r.rekey(d, rec)
	}
	typ := record.ContentType(rec.Type)
	raw := rec.Raw
	if typ != record.ChangeCipherSpec {
		sealed, err := d.sealer.Seal(nil, typ, rec.Payload)
		if err != nil {
			r.t.Fatalf("record %d: Seal: %v", i, err)
		}
		if i == 0 {
			// The version of the first ClientHello's record may be 0x0301, and is in
			// the traces, or 0x0303 (RFC 9846, Section 5.1).
			raw = bytes.Clone(raw)
			copy(raw[1:3], sealed[1:3])
		}
		if !bytes.Equal(sealed, raw) {
			r.t.Fatalf("record %d (%s): sealed to %x, want %x", i, rec.Label, sealed, raw)
		}
	}
	if _, n, err := record.ParseHeader(rec.Raw[:record.HeaderLen]); err != nil || n != len(rec.Raw)-record.HeaderLen {
		r.t.Fatalf("record %d: ParseHeader: length %d, error %v", i, n, err)
	}
	got, plaintext, err := d.opener.Open(bytes.Clone(rec.Raw))
	if err != nil || got != typ || !bytes.Equal(plaintext, rec.Payload) {
		r.t.Fatalf("record %d (%s): opened to type %v %x (%v), want %v %x", i, rec.Label, got, plaintext, err, typ, rec.Payload)
	}
	if typ == record.ChangeCipherSpec {
		r.ccs++
	}
	if typ != record.Handshake {
		return
	}
	if err := d.assembler.Write(plaintext); err != nil {
		r.t.Fatalf("record %d: Assembler: %v", i, err)
	}
	for {
		m, ok, err := d.assembler.Next()
		if err != nil {
			r.t.Fatalf("record %d: Assembler: %v", i, err)
		}
		if !ok {
			break
		}
		r.message(rec.Who, m)
	}
	if _, ok := d.assembler.Aligned(); !ok {
		r.t.Fatalf("record %d: messages do not end with the record", i)
	}
}

// rekey takes the keys of the label that the record is sealed under from the
// schedule.
func (r *replay) rekey(d *direction, rec testvec.Record) {
	secret := r.traffic[rec.Label]
	if secret == nil {
		r.t.Fatalf("a record under %q before the schedule has it", rec.Label)
	}
	d.label = rec.Label
	d.sealer.SetKeys(secret.Keys())
	d.opener.SetKeys(secret.Keys())
	keys := secret.Keys()
	defer keys.Wipe()
	if !bytes.Equal(keys.IV[:], rec.IV) {
		r.t.Errorf("the IV of %q is %x, want %x", rec.Label, keys.IV, rec.IV)
	}
}

// message takes one message from the wire: it is parsed, marshalled, judged
// by the transcript before it, and added to the transcript.
func (r *replay) message(who string, m wire.Message) {
	r.seen[m.Type]++
	if len(r.messages) == 0 || r.messages[0].Who != who || !bytes.Equal(r.messages[0].Raw, m.Raw) || byte(m.Type) != m.Raw[0] {
		r.t.Fatalf("%v: not the message that the %s sends next", m.Type, who)
	}
	r.messages = r.messages[1:]
	parsed, err := parseMessage(m)
	if err != nil {
		r.t.Fatalf("%v: %v", m.Type, err)
	}
	if again := parsed.Marshal(); !bytes.Equal(again, m.Raw) {
		r.t.Fatalf("%v: marshals to\n%x, was\n%x", m.Type, again, m.Raw)
	}
	switch p := parsed.(type) {
	case *wire.ClientHello:
		r.clientHello(p)
	case *wire.ServerHello:
		r.serverHello(p)
	case *wire.Certificate:
		r.certificate[who] = p.Entries[0].Data
		r.transcript.Add(m.Raw)
	case *wire.CertificateVerify:
		r.verify(who, p)
		r.transcript.Add(m.Raw)
	case *wire.Finished:
		r.finished(who, p)
	case *wire.NewSessionTicket:
		r.ticket(p)
	default:
		r.transcript.Add(m.Raw)
	}
}

func (r *replay) clientHello(p *wire.ClientHello) {
	r.sessionID = p.SessionID
	if p.PSK == nil {
		r.transcript.Add(p.Raw)
		return
	}
	first := loadTrace(r.t, "simple-1rtt")
	psk := first.Find("server", `generate resumption secret "tls13 resumption"`).Value("expanded")
	ticket := first.Find("server", "construct a NewSessionTicket handshake message").Value("NewSessionTicket")
	if id := p.PSK.Identities[0].Identity; !bytes.Contains(ticket, id) {
		r.t.Error("the ticket is not the one of the trace before")
	}
	r.early = schedule.NewEarly(r.suite, psk)
	step := r.find("client", "calculate PSK binder")
	r.equal("ClientHello prefix", p.BinderPrefix(), step.Value("ClientHello_prefix"))
	th := r.transcript.SumWith(p.BinderPrefix(), r.suite.NewHash)
	r.equal("binder hash", th, step.Value("binder_hash"))
	binder := r.early.Binder(schedule.ResumptionBinder, th)
	r.equal("binder", binder, step.Value("finished"))
	r.equal("binder in the ClientHello", p.PSK.Binders[0], binder)

	r.transcript.Add(p.Raw)
	th = r.transcript.SumWith(nil, r.suite.NewHash)
	r.install("client", "c e traffic", r.early.ClientTraffic(th), th)
	r.exporter("client", "e exp master", r.early.Exporter(th), th)
}

func (r *replay) serverHello(p *wire.ServerHello) {
	if p.CipherSuite != uint16(r.suite.ID) || !bytes.Equal(p.SessionID, r.sessionID) {
		r.t.Fatalf("cipher suite %04x, session ID %x", p.CipherSuite, p.SessionID)
	}
	if !r.selected {
		r.transcript.Select(r.suite.NewHash)
		r.selected = true
	}
	if p.IsHelloRetryRequest() {
		r.retried = true
		r.transcript.HelloRetryRequest()
		r.transcript.Add(p.Raw)
		return
	}
	r.transcript.Add(p.Raw)
	if r.early == nil {
		r.early = schedule.NewEarly(r.suite, nil)
	}
	th := r.transcript.Sum()
	r.handshake = r.early.Handshake(r.shared(p.KeyShare))
	r.install("server", "c hs traffic", r.handshake.ClientTraffic(th), th)
	r.install("server", "s hs traffic", r.handshake.ServerTraffic(th), th)
}

// shared is the client's side of the key exchange, with the private key of
// the trace; TestRFC8448KeyExchange has both sides.
func (r *replay) shared(peer *wire.KeyShare) *volatile.Secret {
	key := privateKey(r.t, r.trace, "client", kex.Group(peer.Group))
	defer key.Wipe()
	secret, err := key.Agree(peer.Data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.equal("shared secret", secret.Bytes(), r.find("server", `extract secret "handshake"`).Value("IKM"))
	return secret
}

// verify checks a CertificateVerify. The RSA keys have 1024 bits, which
// credential refuses: for them only the signed content is its.
func (r *replay) verify(who string, p *wire.CertificateVerify) {
	content := credential.SignedContent(who == "server", r.transcript.Sum())
	leaf, err := x509.ParseCertificate(r.certificate[who])
	if err != nil {
		r.t.Fatal(err)
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok {
		digest := crypto.SHA256.New()
		digest.Write(content)
		if err := rsa.VerifyPSS(key, crypto.SHA256, digest.Sum(nil), p.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
			r.t.Errorf("CertificateVerify of the %s: %v", who, err)
		}
		if _, err := credential.ParsePeer(credential.X509, [][]byte{r.certificate[who]}); err == nil {
			r.t.Errorf("credential took the RSA key of 1024 bits")
		}
		return
	}
	peer, err := credential.ParsePeer(credential.X509, [][]byte{r.certificate[who]})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := credential.Verify(peer, credential.Scheme(p.Scheme), content, p.Signature); err != nil {
		r.t.Errorf("CertificateVerify of the %s: %v", who, err)
	}
}

func (r *replay) finished(who string, p *wire.Finished) {
	want := r.find(who, `calculate finished "tls13 finished"`).Value("finished")
	r.equal("verify_data in the Finished", p.VerifyData, want)
	r.equal("verify_data", r.traffic[who[:1]+" hs traffic"].Finished(r.transcript.Sum()), want)
	r.transcript.Add(p.Marshal())
	th := r.transcript.Sum()
	if who == "server" {
		r.main = r.handshake.Main()
		r.install("server", "c ap traffic", r.main.ClientTraffic(th), th)
		r.install("server", "s ap traffic", r.main.ServerTraffic(th), th)
		r.exporter("server", "exp master", r.main.Exporter(th), th)
		return
	}
	step := r.find("client", `derive secret "tls13 res master"`)
	r.equal("transcript hash for res master", th, step.Value("hash"))
	r.resumption = r.main.Resumption(th)
	// The resumption secret shows itself only in the PSKs made from it.
	psk := r.resumption.PSK([]byte("nonce"))
	defer psk.Wipe()
	r.equal("PSK", psk.Bytes(), hkdfExpand(r.t, step.Value("expanded"), "resumption", []byte("nonce"), 32))
}

func (r *replay) ticket(p *wire.NewSessionTicket) {
	psk := r.resumption.PSK(p.Nonce)
	defer psk.Wipe()
	r.equal("resumption PSK", psk.Bytes(), r.find("server", `generate resumption secret "tls13 resumption"`).Value("expanded"))
}

// install keeps a traffic secret after comparing it with the trace.
func (r *replay) install(who, label string, secret *schedule.Traffic, th []byte) {
	r.t.Helper()
	step := r.find(who, `derive secret "tls13 `+label+`"`)
	r.equal("transcript hash for "+label, th, step.Value("hash"))
	r.equal(label, secret.Secret(), step.Value("expanded"))
	r.traffic[label] = secret
}

func (r *replay) exporter(who, label string, x *schedule.Exporter, th []byte) {
	r.t.Helper()
	step := r.find(who, `derive secret "tls13 `+label+`"`)
	r.equal("transcript hash for "+label, th, step.Value("hash"))
	r.equal(label, x.Secret(), step.Value("expanded"))
	x.Wipe()
}

// finish makes sure that the replay came to its end and met what the trace is
// there to show.
func (r *replay) finish() {
	if len(r.messages) != 0 || r.main == nil || r.resumption == nil || r.seen[wire.FinishedType] != 2 {
		r.t.Fatal("the trace ended before its handshake did")
	}
	for name, met := range map[string]bool{
		"hello-retry-request":   r.retried,
		"resumed-0rtt":          r.seen[wire.EndOfEarlyDataType] == 1,
		"simple-1rtt":           r.seen[wire.NewSessionTicketType] == 1,
		"client-authentication": r.seen[wire.CertificateVerifyType] == 2 && r.seen[wire.CertificateRequestType] == 1,
		"compatibility-mode":    len(r.sessionID) > 0 && r.ccs == 2,
	} {
		if met != (name == r.trace.Name) {
			r.t.Errorf("what %s is there to show was met: %t", name, met)
		}
	}
	r.main.Wipe()
	r.resumption.Wipe()
	for _, secret := range r.traffic {
		secret.Wipe()
	}
	for _, d := range r.directions {
		d.sealer.Wipe()
		d.opener.Wipe()
		d.assembler.Wipe()
	}
	r.transcript.Wipe()
}

func (r *replay) find(who, what string) *testvec.Step {
	r.t.Helper()
	s := r.trace.Find(who, what)
	if s == nil {
		r.t.Fatalf("no step %s: %s", who, what)
	}
	return s
}

func (r *replay) equal(what string, got, want []byte) {
	r.t.Helper()
	if len(want) == 0 || !bytes.Equal(got, want) {
		r.t.Errorf("%s is %x, want %x", what, got, want)
	}
}

// TestRFC8448KeyExchange agrees on the shared secrets of the traces from both
// sides, with the private keys of the traces as the randomness.
func TestRFC8448KeyExchange(t *testing.T) {
	t.Parallel()
	for _, tr := range loadRFC8448(t) {
		t.Run(tr.Name, func(t *testing.T) {
			t.Parallel()
			group := kex.X25519
			if tr.Name == "hello-retry-request" {
				group = kex.P256
			}
			ours, theirs := keyPair(tr, "client", group), keyPair(tr, "server", group)
			want := tr.Find("server", `extract secret "handshake"`).Value("IKM")

			key := privateKey(t, tr, "client", group)
			defer key.Wipe()
			if key.Group() != group || !bytes.Equal(key.Share(), ours.Value("public_key")) {
				t.Errorf("the client's share is %v %x, want %v %x", key.Group(), key.Share(), group, ours.Value("public_key"))
			}
			share, secret, err := kex.Respond(group, bytes.NewReader(theirs.Value("private_key")), key.Share())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(share, theirs.Value("public_key")) || !bytes.Equal(secret.Bytes(), want) {
				t.Errorf("the server has share %x and secret %x, want %x and %x", share, secret.Bytes(), theirs.Value("public_key"), want)
			}
			secret.Wipe()
			secret, err = key.Agree(share)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(secret.Bytes(), want) {
				t.Errorf("the client has secret %x, want %x", secret.Bytes(), want)
			}
			secret.Wipe()
		})
	}
}

// keyPair finds the step where a side makes its key of the group.
func keyPair(tr *testvec.Trace, who string, group kex.Group) *testvec.Step {
	name := map[kex.Group]string{kex.X25519: "x25519", kex.P256: "P-256"}[group]
	return tr.Find(who, fmt.Sprintf("create an ephemeral %s key pair", name))
}

func privateKey(t *testing.T, tr *testvec.Trace, who string, group kex.Group) kex.PrivateKey {
	t.Helper()
	step := keyPair(tr, who, group)
	if step == nil {
		t.Fatalf("the %s has no key for %v", who, group)
	}
	key, err := kex.Generate(group, bytes.NewReader(step.Value("private_key")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// parseMessage parses a message by its type.
func parseMessage(m wire.Message) (interface{ Marshal() []byte }, error) {
	switch m.Type {
	case wire.ClientHelloType:
		return wire.ParseClientHello(m.Raw)
	case wire.ServerHelloType:
		return wire.ParseServerHello(m.Raw)
	case wire.NewSessionTicketType:
		return wire.ParseNewSessionTicket(m.Raw)
	case wire.EndOfEarlyDataType:
		return wire.ParseEndOfEarlyData(m.Raw)
	case wire.EncryptedExtensionsType:
		return wire.ParseEncryptedExtensions(m.Raw)
	case wire.CertificateType:
		return wire.ParseCertificate(m.Raw)
	case wire.CertificateRequestType:
		return wire.ParseCertificateRequest(m.Raw)
	case wire.CertificateVerifyType:
		return wire.ParseCertificateVerify(m.Raw)
	case wire.FinishedType:
		return wire.ParseFinished(m.Raw)
	}
	return nil, fmt.Errorf("no parser for type %d", m.Type)
}
