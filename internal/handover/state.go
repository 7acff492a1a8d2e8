// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package handover is a live connection on its way from one process to another: what
// belongs to it, how that is written, and how it is sealed for the one receiver that
// asked for it.
//
// It must not know sockets, nor who may receive what.
package handover

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A State is all of a connection but its socket. It owns its secrets and what else is
// not for others to read: Wipe destroys all that.
type State struct {
	Server  bool
	Suite   uint16
	Group   uint16
	Name    string // of the server, that the client asked for
	ALPN    string
	Retried bool // there was a HelloRetryRequest
	Resumed bool
	Early   bool // early data was accepted

	// Who the peer is, as in its Certificate message.
	PeerType    uint8
	PeerEntries [][]byte
	PSKIdentity []byte
	PSKMark     [16]byte
	PeerScheme  uint16
	OCSP        []byte
	SCTs        [][]byte
	Own         [32]byte // the pin that this side showed

	Started       int64 // in milliseconds, when the handshake began
	Authenticated int64 // in seconds, when the peer proved its key
	Confirmed     bool  // a first record of the peer's was read

	Exporter      *volatile.Secret
	Resumption    *volatile.Secret // empty: no tickets are wanted
	EarlyExporter *volatile.Secret // empty: there was no early data

	In  In
	Out Out
}

// In is the receiving half.
type In struct {
	Closed     bool             // by the peer's close_notify; there is no secret then
	Secret     *volatile.Secret // the peer's traffic secret
	Generation uint64
	Records    uint64 // opened under the present keys
	Limit      uint32
	Message    *volatile.Secret // of a handshake message whose end has not come
	Plain      *volatile.Secret // opened, and not yet read
	Early      *volatile.Secret // early data that was not read
	Ahead      []byte           // ciphertext read ahead
	Oddities   [5]uint32

	CountRecords, CountBytes uint64
}

// Out is the sending half.
type Out struct {
	Closed     bool             // by our close_notify; there is no secret then
	Secret     *volatile.Secret // our traffic secret
	Generation uint64
	Records    uint64 // sealed under the present keys
	Limit      uint32
	Pending    []byte // sealed, and not yet sent
	Owing      bool   // some of that is data
	Owed       bool   // the peer asked for a KeyUpdate
	Awaited    bool   // we asked for one, and it has not come

	CountRecords, CountBytes uint64
}

// version is the first byte of a State that was written.
const version = 3

// maxText is the length of what is written and read, in bytes. What a connection can
// hold at once, 512 KiB that wait to be read, as much, sealed in small records, that
// waits to be sent, and the peer's certificates, is less than half of it.
const maxText = 4 << 20

var errState = errors.New("handover: a connection that cannot be read")

// Wipe destroys all that is not for others to read. It may be called again, and on nil.
func (s *State) Wipe() {
	if s == nil {
		return
	}
	for _, secret := range s.secrets() {
		(*secret).Wipe()
	}
}

func (s *State) secrets() []**volatile.Secret {
	return []**volatile.Secret{&s.Exporter, &s.Resumption, &s.EarlyExporter, &s.In.Secret, &s.In.Message, &s.In.Plain, &s.In.Early, &s.Out.Secret}
}

// An item is a field in the order in which they are written.
type item struct {
	put func(*cryptobyte.Builder)
	get func(*cryptobyte.String) bool
}

// items are all fields of a State: one list serves for writing and for reading.
func (s *State) items() []item {
	return []item{
		flag(&s.Server), number(&s.Suite), number(&s.Group), text(&s.Name), text(&s.ALPN), flag(&s.Retried), flag(&s.Resumed), flag(&s.Early),
		number(&s.PeerType), list(&s.PeerEntries), opaque(&s.PSKIdentity), fixed(s.PSKMark[:]), number(&s.PeerScheme), opaque(&s.OCSP), list(&s.SCTs), fixed(s.Own[:]),
		number(&s.Started), number(&s.Authenticated), flag(&s.Confirmed), secret(&s.Exporter), secret(&s.Resumption), secret(&s.EarlyExporter),

		flag(&s.In.Closed), secret(&s.In.Secret), number(&s.In.Generation), number(&s.In.Records), number(&s.In.Limit),
		secret(&s.In.Message), secret(&s.In.Plain), secret(&s.In.Early), opaque(&s.In.Ahead),
		number(&s.In.Oddities[0]), number(&s.In.Oddities[1]), number(&s.In.Oddities[2]), number(&s.In.Oddities[3]), number(&s.In.Oddities[4]),
		number(&s.In.CountRecords), number(&s.In.CountBytes),

		flag(&s.Out.Closed), secret(&s.Out.Secret), number(&s.Out.Generation), number(&s.Out.Records), number(&s.Out.Limit),
		opaque(&s.Out.Pending), flag(&s.Out.Owing), flag(&s.Out.Owed), flag(&s.Out.Awaited),
		number(&s.Out.CountRecords), number(&s.Out.CountBytes),
	}
}

// Marshal writes the state; nil where it is larger than connections are.
func (s *State) Marshal() *volatile.Secret {
	n := 512 + len(s.Name) + len(s.ALPN) + len(s.PSKIdentity) + len(s.OCSP) + len(s.In.Ahead) + len(s.Out.Pending)
	for _, entry := range append(append([][]byte(nil), s.PeerEntries...), s.SCTs...) {
		n += 4 + len(entry)
	}
	for _, secret := range s.secrets() {
		n += (*secret).Len()
	}
	if n > maxText {
		return nil
	}
	out := volatile.New(n)
	b := cryptobyte.NewFixedBuilder(out.Bytes()[:0]) // it never grows, and leaves no copies
	b.AddUint8(version)
	for _, item := range s.items() {
		item.put(b)
	}
	written, err := b.Bytes()
	if err != nil {
		out.Wipe()
		return nil
	}
	return volatile.Take(written)
}

// Parse reads a state that Marshal has written, and keeps nothing of b.
func Parse(b []byte) (*State, error) {
	rest := cryptobyte.String(b)
	var v uint8
	if len(b) > maxText || !rest.ReadUint8(&v) || v != version {
		return nil, errors.New("handover: a connection of another version of this module")
	}
	s := new(State)
	for _, item := range s.items() {
		if !item.get(&rest) {
			s.Wipe()
			return nil, errState
		}
	}
	if !rest.Empty() {
		s.Wipe()
		return nil, errState
	}
	return s, nil
}

func flag(v *bool) item {
	return item{
		func(b *cryptobyte.Builder) {
			n := uint8(0)
			if *v {
				n = 1
			}
			b.AddUint8(n)
		},
		func(s *cryptobyte.String) bool {
			var n uint8
			ok := s.ReadUint8(&n) && n <= 1
			*v = n == 1
			return ok
		},
	}
}

func number[T uint8 | uint16 | uint32 | uint64 | int64](v *T) item {
	return item{
		func(b *cryptobyte.Builder) { b.AddUint64(uint64(*v)) },
		func(s *cryptobyte.String) bool {
			var n uint64
			ok := s.ReadUint64(&n) && uint64(T(n)) == n
			*v = T(n)
			return ok
		},
	}
}

func readOpaque(s *cryptobyte.String) (v cryptobyte.String, ok bool) {
	return v, s.ReadUint24LengthPrefixed(&v)
}

func opaque(v *[]byte) item {
	return item{
		func(b *cryptobyte.Builder) { b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(*v) }) },
		func(s *cryptobyte.String) bool {
			got, ok := readOpaque(s)
			*v = append([]byte(nil), got...)
			return ok
		},
	}
}

func text(v *string) item {
	return item{
		func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(*v)) })
		},
		func(s *cryptobyte.String) bool {
			got, ok := readOpaque(s)
			*v = string(got)
			return ok
		},
	}
}

func secret(v **volatile.Secret) item {
	return item{
		func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes((*v).Bytes()) })
		},
		func(s *cryptobyte.String) bool {
			got, ok := readOpaque(s)
			*v = volatile.New(len(got))
			copy((*v).Bytes(), got)
			return ok
		},
	}
}

func fixed(v []byte) item {
	return item{
		func(b *cryptobyte.Builder) { b.AddBytes(v) },
		func(s *cryptobyte.String) bool { return s.CopyBytes(v) },
	}
}

func list(v *[][]byte) item {
	return item{
		func(b *cryptobyte.Builder) {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
				for i := range *v {
					opaque(&(*v)[i]).put(b)
				}
			})
		},
		func(s *cryptobyte.String) bool {
			all, ok := readOpaque(s)
			for ok && !all.Empty() {
				var entry []byte
				ok = opaque(&entry).get(&all)
				*v = append(*v, entry)
			}
			return ok
		},
	}
}
