// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"time"
)

// A Config says who this side is, whom it accepts, and how it talks.
//
// Two questions must have an answer: who am I (Identity, Certificates, or
// nothing for an anonymous client), and whom do I accept (Peers). Nothing is
// unauthenticated by accident: a server without Peers, a client with an Identity
// and no Peers, and every other combination that cannot work is refused by
// Dial, Listen or the handshake, with a sentence that says what to set.
//
// A Config is copied when it is first used (by Dial, Listen, NewListener, Client,
// Server): later changes to it have no effect on those, and one Config may serve
// many connections at the same time. A nil Config is the zero Config: a client
// that trusts the system's roots.
//
// With GODEBUG=fips140=on a Config allows what FIPS 140-3 approves, as crypto/tls does:
// AES-GCM, no X25519 by itself, RSA keys of at least 2048 bits. What else it names is passed
// over, and if nothing is left, it cannot work. With fips140=only no Config works.
type Config struct {
	// Identity is this side's own key, shown as a raw public key (RFC 7250).
	Identity *Identity

	// Certificates are this side's X.509 certificates, in order of
	// preference: a server takes the first that fits the name the client asked
	// for, and otherwise the first that the client can check. Both an Identity
	// and Certificates may be set: the Identity is shown to peers that accept
	// raw keys, a certificate to the others.
	Certificates []tls.Certificate

	// Credentials, where it is set, stands in the place of Identity and Certificates:
	// any number of raw keys and certificates, the most wanted first. The first is shown
	// that the peer can check: by its kind, by the schemes in which it can sign and,
	// as each one's rule says, by its issuers.
	Credentials []Credential

	// OwnKinds, on a client, are the kinds of credential, RawKey and X509, that it tells
	// the server it could show, the most wanted first. Nil: those that it has.
	OwnKinds []PeerKind

	// PeerKinds are the kinds of credential, RawKey and X509, that a peer may show, the
	// most wanted first, of those that Peers can judge. Nil: all of them, and raw keys
	// first.
	PeerKinds []PeerKind

	// NeverAnonymous ends a client's handshake where the server asks for a credential
	// and none of the client's suits it. Otherwise the client goes on as nobody (RFC
	// 9846, Section 4.5.1), and the server decides. One that has none at all always does.
	NeverAnonymous bool

	// GetCertificate, on a server, is asked for the X.509 certificate of one
	// handshake where it is set. A nil certificate falls back to Certificates. It is also
	// asked when a client offers a session: the session is resumed only if the server would
	// show the same key now; otherwise a full handshake follows.
	GetCertificate func(ctx context.Context, hello *ClientHello) (*tls.Certificate, error)

	// GetClientCertificate, on a client, is asked when a server wants an X.509
	// certificate. A nil certificate falls back to Certificates.
	GetClientCertificate func(ctx context.Context, req *CertificateRequest) (*tls.Certificate, error)

	// Peers says whom to accept: see Pins, PinSet, Roots, KnownHosts,
	// AuthorizedKeys, PSKs, PSKLookup, AnyOf, AllOf, Verify, AnyKey, NoClientAuth and
	// InsecureAnyServer. A server must set it. A client without an Identity may
	// leave it nil: then the server needs a certificate of the system's roots
	// (or of RootCAs) for ServerName.
	Peers Peers

	// RootCAs replaces the system's roots for a client whose Peers is nil. It
	// cannot be set together with Peers: use Roots there.
	RootCAs *x509.CertPool

	// AllowSelf accepts a peer that shows one of this side's own keys. By
	// default it is refused: it is a reflection or a copied key file.
	AllowSelf bool

	// ServerName is the name of the server that a client wants: sent as SNI
	// where it is a host name (IP addresses are not sent), and checked against
	// the server's certificate, or looked up in KnownHosts. Dial sets it from
	// the address where it is empty, but never for KnownHosts.
	ServerName string

	// ServerNames, on a server, are the names that it answers to. A client that
	// asks for another name, or for none, is refused with unrecognized_name: a
	// raw key that serves several names cannot be passed off as one of the
	// others (RFC 9846, Appendix F). Empty: every name is served.
	ServerNames []string

	// NextProtos are the application protocols (ALPN), most wanted first. Where
	// both sides name some and have none in common, the server refuses with
	// no_application_protocol.
	NextProtos []string

	// CipherSuites are the suites of TLS 1.3 to use, most wanted first. Nil:
	// AES first where the processor has instructions for it, otherwise
	// ChaCha20-Poly1305 first.
	CipherSuites []uint16

	// CurvePreferences are the key exchanges, most wanted first, of
	// tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521 and
	// MLKEM1024. Nil: the first four of these in this order.
	CurvePreferences []tls.CurveID

	// KeyShares, on a client, are those of its groups for which it sends a share with
	// its first message: the ones that the server is known to take, say. A server that
	// wants another asks for it, which costs a round trip. Nil: one for the most wanted
	// group and, where that is post-quantum, one for the most wanted of the others.
	// Empty, and not nil: none, so that the server chooses.
	KeyShares []tls.CurveID

	// SignatureSchemes are those by which a peer may prove its key, most wanted first.
	// Nil: Ed25519, ECDSA and RSA-PSS, all that there are. They say nothing of the
	// signatures inside certificates.
	SignatureSchemes []tls.SignatureScheme

	// Authorities are those by one of which a peer that has several certificates should
	// show one: the DER of their distinguished names, at most 8 KiB in all (RFC 9846,
	// Section 4.3.4). It is a wish, and Peers alone judges. Nil: a server names those of
	// Roots, where every peer must have a certificate of one, and a client nobody. Empty,
	// and not nil: nobody.
	Authorities [][]byte

	// CertificateCompression are the algorithms by which messages with certificates are
	// compressed (RFC 8879), in both directions, where the peer knows one of them too:
	// of what is sent, the most wanted first. Nil: none is, and none is offered. Set it,
	// to ZlibCompression() for instance, where chains are long and links are slow. Raw
	// public keys are never compressed.
	CertificateCompression []CertificateCompression

	// MaxCertificates is how many certificates a peer may show, up to 100; in all they
	// have at most 128 KiB. Zero: 10, which hold every honest chain but those of servers
	// that send all the authorities they know. A chain made for it has this side verify
	// some hundred signatures, where it may have 100.
	MaxCertificates int

	// NoStaples keeps a client from asking for what servers staple to certificates, OCSP
	// responses and signed certificate timestamps: ConnectionState has none then.
	NoStaples bool

	// GREASE adds values that mean nothing, and that a peer must ignore, to what this
	// side sends (RFC 8701): to a client's first message, with what looks like an
	// Encrypted ClientHello among them, and to a server's tickets. Peers and networks
	// that do not ignore them are found out, and what comes later still has a way.
	GREASE bool

	// GetConfig, on a server, is asked for the Config of each handshake, after
	// the ClientHello was read: for tenants, for names, for keys that change
	// while the program runs. A nil Config keeps this one. Trace and
	// HandshakeTimeout are those of this Config, whatever the other says.
	GetConfig func(ctx context.Context, hello *ClientHello) (*Config, error)

	// VerifyConnection is called after the peer was accepted by Peers, on either
	// side. An error ends the handshake with bad_certificate; one that is, or wraps, an
	// *AlertError, with its Code: bad_certificate_status_response (113), for instance, where
	// it is about what was stapled to the certificate.
	VerifyConnection func(tls.ConnectionState) error

	// Time is the clock by which certificates are judged. Nil: time.Now.
	Time func() time.Time

	// Rand is the source of ephemeral keys and randoms, but for ML-KEM's on a server in
	// FIPS 140-3 mode. Nil: crypto/rand. It must be safe for concurrent use.
	Rand io.Reader

	// HandshakeTimeout bounds each handshake, for Dial, Client, Server and
	// Listener alike. Zero: 10 seconds. Negative: no bound.
	HandshakeTimeout time.Duration

	// RecordSizeLimit, where it is set, asks the peer for records of no more
	// than so many bytes of content (RFC 8449), from 64 to 16384.
	RecordSizeLimit int

	// MaxFragment is how much content this side puts into one record, from 64 to 16384
	// bytes: a peer can use nothing of a record before all of it is there. A client's
	// first message, of some 1500 bytes, is cut up by it too, which not every firewall
	// lets through. Zero: 16384, or what the peer has asked for.
	MaxFragment int

	// Sessions is where a client keeps the sessions that it can resume: a second
	// connection then costs neither signatures nor certificates. Nil: nothing is
	// kept or resumed. What is kept is a secret: see SessionStore, NewSessionCache.
	// A session is offered once, to the server of its name, by the client that showed
	// the same key, and only if Peers accepts the server still: Peers is asked before,
	// and again when the server has proved that it holds the session. With
	// GetClientCertificate no session is offered.
	Sessions SessionStore

	// Tickets says what a server gives to clients that can resume. A Listener gives
	// tickets by default; Server does where TicketKeys is set. Whoever resumes is
	// judged again: the present Peers are asked about the key that it proved in the
	// first connection, certificates are verified again, the name must be the same, the
	// peer must have proved its key in a way that PeerKinds, SignatureSchemes and
	// MaxCertificates still allow, and Tickets.MaxAge must not be over. Otherwise a full
	// handshake follows.
	Tickets TicketPolicy

	// TicketKeys are a server's keys for tickets. Nil: a Listener makes its own.
	TicketKeys TicketKeys

	// Service is what a server's tickets are good for, any string: one that was given
	// for another Service is not accepted, though the TicketKeys be the same.
	Service string

	// MaxEarlyData, on a server, is how many bytes of early data a client may
	// send with a ticket from here, at most 65536. Zero: none. It is accepted on
	// connections that Listener.AcceptEarly returned or on which ReadEarly is the
	// first call, once for each ticket: see Replay. A lower limit holds at once for
	// tickets that allow more: a client that then sends more ends its connection
	// (unexpected_message), but with zero the early data is refused and the handshake
	// goes on.
	MaxEarlyData int

	// MaxTicketAgeSkew is by how much a client's account of its ticket's age may differ
	// from a server's for early data to be accepted, up to a minute: what the clocks and
	// the network may do to it, and a ticket's wait for the server's first Write. A
	// ReplayGuard remembers for twice as long. Zero: ten seconds (RFC 9846, Section 8.3).
	MaxTicketAgeSkew time.Duration

	// Replay remembers what early data was accepted. Nil: a guard in memory of
	// this Config alone, see NewReplayGuard; but where TicketKeys is set, so that
	// other servers may accept the same tickets, no early data at all.
	Replay ReplayGuard

	// Padding, where it is set, is asked before each record how many zero bytes
	// to add to n bytes of content, so that its length says less (RFC 9846,
	// Section 5.4). See PadToMultiple. It must be safe for concurrent use.
	Padding func(n int) int

	// Rekey says when this side changes its keys. The zero policy has defaults
	// that stay far inside the ciphers' limits.
	Rekey RekeyPolicy

	// MaxLifetime ends a connection: after it, Read and Write return
	// ErrLifetime. Zero: no limit. A changed key does not help against somebody
	// who stole the previous one; a new connection does.
	MaxLifetime time.Duration

	// KeyLogWriter gets the connection's secrets in the SSLKEYLOGFILE format,
	// for debugging with Wireshark. It gives away everything that mayfly
	// protects. A line is one call of Write; calls are serialised for the
	// connections of one Config.
	KeyLogWriter io.Writer

	// Trace is told what happens.
	Trace *Trace
}

// Clone returns a copy of c. It is safe to call while c is in use.
func (c *Config) Clone() *Config {
	if c == nil {
		return nil
	}
	d := *c
	d.Certificates = slices.Clone(c.Certificates)
	d.Credentials = slices.Clone(c.Credentials)
	d.OwnKinds, d.PeerKinds = slices.Clone(c.OwnKinds), slices.Clone(c.PeerKinds)
	d.ServerNames = slices.Clone(c.ServerNames)
	d.NextProtos = slices.Clone(c.NextProtos)
	d.CipherSuites = slices.Clone(c.CipherSuites)
	d.CurvePreferences = slices.Clone(c.CurvePreferences)
	d.KeyShares = slices.Clone(c.KeyShares)
	d.SignatureSchemes = slices.Clone(c.SignatureSchemes)
	d.Authorities = slices.Clone(c.Authorities)
	d.CertificateCompression = slices.Clone(c.CertificateCompression)
	return &d
}

// MLKEM1024 is ML-KEM-1024 by itself, for Config.CurvePreferences
// (draft-ietf-tls-mlkem). tls.X25519MLKEM768 holds as long as one of two problems is
// hard; this is for those whose rules want no elliptic curve. In FIPS 140-3 mode, a client
// built without GOEXPERIMENT=runtimesecret leaves in memory what gives the secret away: see
// SECURITY.md.
const MLKEM1024 tls.CurveID = 0x0202

// A RekeyPolicy says when a side changes the keys under which it sends. Keys are
// changed by whichever of Records, Bytes and Age comes first, with the next
// Write; a connection that sends nothing changes nothing. Whatever the policy
// says, keys are changed before the limit of the cipher (RFC 9846, Section 5.5).
//
// Some peers end a connection at the first change: Mbed TLS (up to 3.6) and rustls with ktls
// implement no KeyUpdate. For them, put changes off as far as the cipher allows, do not call
// Rekey, and do not hand the connection on (Detach), which changes keys too:
//
//	RekeyPolicy{Records: math.MaxUint64, Bytes: math.MaxUint64, Age: -1}
type RekeyPolicy struct {
	// Records under one key. Zero: 2^22, 64 GiB of full records.
	Records uint64
	// Bytes of plaintext under one key; a record may go past them. Zero: 2^36,
	// 64 GiB.
	Bytes uint64
	// Age of a key. Zero: one hour. Negative: no limit.
	Age time.Duration
	// MinInterval is the least time between two changes of this side's own
	// accord: GnuTLS drops connections on which keys change more than eight
	// times a second. Zero: 150 milliseconds. Negative: none.
	MinInterval time.Duration
}

// PadToMultiple returns a padding policy for Config.Padding that fills each
// record's content up to a multiple of m bytes.
func PadToMultiple(m int) func(n int) int {
	return func(n int) int {
		if m <= 1 {
			return 0
		}
		return (m - n%m) % m
	}
}

// A ClientHello is what a client asks for, as GetConfig and GetCertificate see
// it. Nothing of it is authenticated yet.
type ClientHello struct {
	ServerName   string        // by SNI; empty where the client sent none, or sent what is no host name (an address, say)
	NextProtos   []string      // by ALPN
	CipherSuites []uint16      // in the client's order
	Groups       []tls.CurveID // in the client's order
	Schemes      []tls.SignatureScheme
	RawPublicKey bool // the client accepts a raw public key from the server
	LocalAddr    net.Addr
	RemoteAddr   net.Addr
}

// A CertificateRequest is what a server asks of a client, as
// GetClientCertificate sees it.
type CertificateRequest struct {
	ServerName  string // the client's own Config.ServerName
	Schemes     []tls.SignatureScheme
	Authorities [][]byte // DER of the distinguished names, empty where any will do
}
