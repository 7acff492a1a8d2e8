// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/handover"
	"github.com/mayfly-tls/mayfly/internal/kex"
	"github.com/mayfly-tls/mayfly/internal/policy"
	"github.com/mayfly-tls/mayfly/internal/resumption"
	"github.com/mayfly-tls/mayfly/internal/schedule"
	"github.com/mayfly-tls/mayfly/internal/stream"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// state is all of a connection that goes to another process. Both halves are held.
func (c *Conn) state() *handover.State {
	in, out, known := c.in, c.out, c.intro.known
	s := &handover.State{
		Server: c.server, Suite: uint16(known.Suite), Group: uint16(known.Group),
		Name: known.memory.ServerName, ALPN: known.ALPN, Retried: known.HelloRetry, Resumed: c.intro.peer.Resumed, Early: c.early.accepted,
		PeerType: uint8(known.memory.PeerType), PeerEntries: known.memory.PeerEntries, PSKIdentity: known.memory.PSKIdentity, PSKMark: known.memory.PSKMark,
		PeerScheme: uint16(known.memory.PeerScheme), OCSP: known.memory.OCSPResponse, SCTs: known.memory.SCTs, Own: known.memory.Own,
		Started: c.started.UnixMilli(), Authenticated: known.memory.Authenticated.Unix(), Confirmed: c.firstRecord.HasFired(),
		In: handover.In{
			Closed: in.err == io.EOF, Records: in.opener.Records(), Limit: uint32(in.opener.Limit()),
			Message: volatile.CopyOf(in.assembler.Rest()), Plain: volatile.CopyOf(in.plain), Early: in.copyEarly(),
			Oddities:     [5]uint32{uint32(in.oddities.empty), uint32(in.oddities.warnings), uint32(in.oddities.keyUpdates), uint32(in.oddities.tickets), uint32(in.oddities.ccs)},
			CountRecords: in.counts.records.Load(), CountBytes: in.counts.bytes.Load(),
		},
		Out: handover.Out{
			Closed: out.err == ErrWriteClosed, Records: out.sealer.Records(), Limit: uint32(out.sealer.Limit()),
			Pending: out.pending, Owing: out.owing, Owed: out.owed.Load(), Awaited: out.awaited.Load() != nil,
			CountRecords: out.counts.records.Load(), CountBytes: out.counts.bytes.Load(),
		},
	}
	s.Exporter, s.Resumption, s.EarlyExporter = c.keys.copies()
	if !s.In.Closed {
		s.In.Secret, s.In.Generation = volatile.CopyOf(in.receiver.Traffic().Secret()), in.receiver.Generation()
	}
	if !s.Out.Closed {
		s.Out.Secret, s.Out.Generation = volatile.CopyOf(out.sender.Traffic().Secret()), out.sender.Generation()
	}
	if !in.Empty() {
		s.In.Ahead = bytes.Clone(in.Unopened())
	}
	return s
}

// copies returns the secrets that belong to neither half.
func (k *keyring) copies() (exporter, resumption, early *volatile.Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	exporter, resumption, early = volatile.New(0), volatile.New(0), volatile.New(0)
	if k.early != nil {
		early = volatile.CopyOf(k.early.Secret())
	}
	if k.exporter != nil {
		exporter = volatile.CopyOf(k.exporter.Secret())
	}
	if k.resumption != nil {
		resumption = volatile.CopyOf(k.resumption.Secret())
	}
	return exporter, resumption, early
}

var errForeign = errors.New("mayfly: the connection that was handed on cannot be one of this module's")

// restore makes a new Conn the one that state was of.
func (c *Conn) restore(state *handover.State) error {
	used := suite.ByID(suite.ID(state.Suite))
	fits := func(s *volatile.Secret, closed bool) bool {
		return closed && s.Len() == 0 || !closed && s.Len() == used.HashLen
	}
	switch {
	case used == nil, state.Exporter.Len() != used.HashLen, state.Resumption.Len() != 0 && state.Resumption.Len() != used.HashLen,
		!fits(state.In.Secret, state.In.Closed), !fits(state.Out.Secret, state.Out.Closed),
		state.In.Plain.Len()+len(state.In.Ahead) > stream.ParallelBuffer:
		return errForeign
	case len(policy.Suites([]uint16{state.Suite}))+len(policy.Groups([]uint16{state.Group})) < 2:
		return configError("the connection was negotiated with algorithms that FIPS 140-3 does not approve, and the process runs with GODEBUG=fips140=on")
	}
	if state.EarlyExporter.Len() == used.HashLen {
		c.keys.keepEarly(schedule.ContinueExporter(used, state.EarlyExporter.Clone()))
	}
	if err := c.restoreIntroduction(state); err != nil {
		return err
	}
	c.started, c.early.accepted = time.UnixMilli(state.Started), state.Early
	if state.Confirmed {
		c.firstRecord.Fire()
	}
	if err := c.restoreIn(&state.In, used); err != nil {
		return err
	}
	c.restoreOut(&state.Out, used)
	if state.Resumption.Len() > 0 && c.settings.Sessions != nil && !state.Server {
		c.keys.keepResumption(schedule.ContinueResumption(used, state.Resumption.Clone()))
		c.tickets = c.intro.newTicketTaker()
	}
	c.keys.keep(schedule.ContinueExporter(used, state.Exporter.Clone()))
	c.live()
	c.unsettle()
	return nil
}

// restoreIntroduction has the present Peers judge the peer.
func (c *Conn) restoreIntroduction(state *handover.State) error {
	memory := &resumption.State{
		Suite: suite.ID(state.Suite), ServerName: state.Name, ALPN: state.ALPN,
		PeerType: credential.Type(state.PeerType), PeerEntries: state.PeerEntries, PSKIdentity: state.PSKIdentity, PSKMark: state.PSKMark,
		PeerScheme: credential.Scheme(state.PeerScheme), OCSPResponse: state.OCSP, SCTs: state.SCTs,
		Own: state.Own, Authenticated: time.Unix(state.Authenticated, 0),
	}
	if len(memory.PSKIdentity) == 0 {
		memory.PSKIdentity = nil
	}
	name := state.Name
	if !state.Server {
		name = sentName(name)
	}
	i := &introduction{settings: c.settings, ctx: context.Background(), local: c.inner.LocalAddr(), remote: c.inner.RemoteAddr()}
	i.known = known{
		Summary: handshake.Summary{Suite: memory.Suite, Group: kex.Group(state.Group), ServerName: name, ALPN: state.ALPN, HelloRetry: state.Retried},
		memory:  memory, resumed: state.Resumed,
	}
	peer, err := memory.Peer()
	if err != nil {
		return err
	}
	c.teller.Store(&teller{trace: c.settings.Trace, ctx: context.Background()})
	if err := i.judgeKnown(peer); err != nil {
		return localError(err)
	}
	i.seal()
	i.earlyReason = EarlyDataUnknown
	c.intro = i
	return nil
}

func (c *Conn) restoreIn(s *handover.In, used *suite.Suite) error {
	in := c.in
	in.counts.records.Store(s.CountRecords)
	in.counts.bytes.Store(s.CountBytes)
	in.counts.keys.Store(s.Generation)
	in.early = volatile.Append(nil, s.Early.Bytes())
	in.oddities = oddities{empty: int(s.Oddities[0]), warnings: int(s.Oddities[1]), keyUpdates: int(s.Oddities[2]), tickets: int(s.Oddities[3]), ccs: int(s.Oddities[4])}
	if s.Plain.Len()+len(s.Ahead) > 0 {
		in.plain = in.Restore(s.Plain.Bytes(), s.Ahead)
	}
	in.opener.SetLimit(int(s.Limit))
	if s.Closed {
		in.err = io.EOF
		in.opener.Wipe()
		c.deaf.Fire()
		return nil
	}
	if err := in.assembler.Write(s.Message.Bytes()); err != nil {
		return err
	}
	traffic := schedule.ContinueTraffic(used, s.Secret.Clone(), s.Generation)
	role := handshake.Client
	if c.server {
		role = handshake.Server
	}
	in.receiver = handshake.ContinueReceiver(role, traffic)
	keys := traffic.Keys()
	in.opener.Continue(keys, s.Records)
	c.tellKeys(&in.told, Receiving, handshake.EpochApplication, s.Generation, keys)
	return nil
}

func (c *Conn) restoreOut(s *handover.Out, used *suite.Suite) {
	out := c.out
	out.counts.records.Store(s.CountRecords)
	out.counts.bytes.Store(s.CountBytes)
	out.counts.keys.Store(s.Generation)
	out.sealer.SetLimit(int(s.Limit))
	out.sealer.SetPadding(c.settings.Padding)
	if n := c.settings.MaxFragment; n != 0 {
		out.sealer.SetMaxFragment(n)
	}
	if len(s.Pending) > 0 {
		out.pending, out.owing = bytes.Clone(s.Pending), s.Owing
	}
	if s.Awaited {
		ch := make(chan struct{})
		out.awaited.Store(&ch)
	}
	out.rekey = rekeyState{policy: c.settings.Rekey.withDefaults(), since: time.Now()}
	if s.Closed {
		out.err = ErrWriteClosed
		out.sealer.Wipe()
		return
	}
	traffic := schedule.ContinueTraffic(used, s.Secret.Clone(), s.Generation)
	out.sender = handshake.ContinueSender(traffic)
	keys := traffic.Keys()
	out.sealer.Continue(keys, s.Records)
	c.tellKeys(&out.told, Sending, handshake.EpochApplication, s.Generation, keys)
	out.owed.Store(true) // keys change before the first data
}

// judgeKnown asks the present Peers about a peer that proved its key elsewhere.
func (i *introduction) judgeKnown(p *credential.Peer) error {
	if i.settings.peers == nil {
		return alert.New(alert.InternalError, "the Config has no Peers, and GetConfig is not asked")
	}
	if err := i.judge(p, nil, true); err != nil {
		return err
	}
	i.peer.Resumed = i.known.resumed
	return nil
}
