// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Package mayfly turns a net.Conn into a secure channel: confidential,
// authenticated, and with session keys that live for one session and are gone
// after it. On the wire it is standard TLS 1.3 (RFC 9846), so that every other
// implementation can be at the far end.
//
// # Who talks to whom
//
// A program has an Identity: a key of its own, in a file that `mayfly keygen` or
// GenerateIdentity makes. Its Pin, a hash of the public key, is what others write
// down. Two programs that know each other's pins need nothing else, and no
// certificate authority (raw public keys, RFC 7250):
//
//	id, err := mayfly.LoadIdentity("node.key")
//	ln, err := mayfly.Listen("tcp", ":7000", &mayfly.Config{
//		Identity: id,
//		Peers:    mayfly.MustParsePins("sha256//x3T…="),
//	})
//	for {
//		conn, err := ln.Accept() // its handshake is done, its peer is known
//		…
//	}
//
//	conn, err := mayfly.Dial("tcp", "db:7000", &mayfly.Config{
//		Identity: id,
//		Peers:    mayfly.MustParsePins("sha256//9fQ…="),
//	})
//
// Whom to accept is said by Peers: Pins and PinSet, KnownHosts (a client's file
// of server names and pins), AuthorizedKeys (a server's file of pins and names),
// Roots (X.509 with a name, or the system's roots where a client sets nothing),
// their combinations AnyOf and AllOf, and Verify for a judgement of your own. What
// leaves somebody unauthenticated is spelled out: NoClientAuth, AnyKey,
// InsecureAnyServer. Conn.Peer tells who it was. X.509 certificates are set as in
// crypto/tls, by Config.Certificates; ServerConfigFromTLS and
// ClientConfigFromTLS carry a configuration over.
//
// # Pre-shared keys
//
// Two programs that share a random key, a PresharedKey, need no Identity: PSKs is
// Peers that accepts whoever holds it, and PSKLookup finds the keys of a server that
// has many. Keys are imported (RFC 9258) with the names of both sides, so that no
// message can be reflected or rerouted; NewPlainClientKey and NewPlainServerKey are for
// peers that cannot do that. Never make a key of a password.
//
// A server that has pre-shared keys alone gives away nothing of their names. With
// AnyOf(PSKs(…), Pins(…)) it falls back to its Identity, and does: a client that names a
// key which is there, and does not hold it, is refused, and one that names another is
// shown the Identity. Where the names are a secret, let a server have keys alone.
//
// # Sessions
//
// A client with Config.Sessions keeps what it needs to resume a session: a later
// connection to the same server then goes without signatures and certificates.
// SaveSessions and LoadSessions carry a SessionCache from one process to the next. A
// Listener gives tickets by itself, under keys that it changes and that end with it;
// servers of one service share TicketKeys, and Config.Service keeps services apart
// that have the same.
//
// Resuming gives nobody more than a full handshake would. Both sides ask the Peers of
// the moment about the key that the other proved at first: one that was taken from the
// list, a certificate that has expired, an authority that was withdrawn, another name,
// a key of the server's own that was changed (but where it shares TicketKeys, which
// make several servers one) all lead to a full handshake, or to nothing. So does age:
// see TicketPolicy.MaxAge. Peer.Resumed tells.
//
// # Early data
//
// A client that resumes may send data with its first flight, a round trip early:
// DialEarly, Conn.HandshakeEarly. Anybody who has seen it can send it again, so each side
// has calls of its own for it. A server sets Config.MaxEarlyData and calls
// Listener.AcceptEarly, or Conn.ReadEarly first; Read never returns such bytes. It takes
// early data once for each ticket, as far as its ReplayGuard reaches, and refuses it
// where that cannot tell. The client learns whether it was taken, as a whole or not at
// all, and nothing is sent again by itself.
//
// # Handing a connection on
//
// Conn.Detach gives a live connection to another process, and Receiver.Attach goes on
// with it there: the peer notices nothing. A server can so be replaced under its
// clients: see examples/restart.
//
// # What is guaranteed
//
//   - Listen and Dial hand out no connection whose peer Peers did not accept. In
//     TLS 1.3 a client is done before the server has judged it: set
//     Dialer.Confirm to learn the verdict from DialConn.
//   - io.EOF means that the peer ended its data with a close_notify. Anything
//     else that ends a connection is another error: ErrTruncated where the
//     transport was cut. CloseWrite closes one half.
//   - Deadlines hold in every call. A Read that timed out loses nothing. A Write
//     that timed out returns how much was sealed, and is continued with the rest.
//   - Close unblocks whatever is blocked, does not hang on a peer that does not
//     read, and wipes the keys. So does every fatal error, and the garbage
//     collector for a connection that was dropped.
//   - Keys are changed while a connection lives: see RekeyPolicy and Conn.Rekey.
//   - Every method of every type may be called from any goroutine at any time.
//
// # HTTP
//
// Package mayflyhttp runs HTTP/1.1 and HTTP/2 over mayfly: Serve for a server, Transport for
// a client. net/http alone would speak HTTP/1.1 where ALPN chose h2. ConnContext puts the
// peer into each request's context, where PeerFromContext finds it.
//
// # Changing keys and lists
//
// AuthorizedKeys and KnownHosts read their files again when these change. A PinSet can be
// changed at any time. GetConfig gives each handshake the current Config, with another key,
// another list, another tenant. None of these touches open connections: Listener.CloseIf
// closes those of removed peers, and catches those whose handshake is under way.
//
// # Defaults
//
// TLS 1.3 and nothing older. Key exchange: X25519MLKEM768, X25519, P-256, P-384, in this
// order. Suites: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 where the processor has AES
// instructions, ChaCha20-Poly1305 first where it does not. A handshake may take 10 seconds.
// Keys are changed after 2^22 records, 64 GiB or an hour. A Listener gives two tickets for
// 24 hours, and one where a session was resumed; clients keep none without Config.Sessions.
// No early data. No environment variable is read.
//
// # Errors
//
// An *AlertError says which alert ended the connection, and whether this side or the peer
// sent it. ErrPeerRefused is in the chain (errors.Is) where the peer proved who it is and is
// not on the list, and ErrConfig where a Config cannot work. Deadlines give
// os.ErrDeadlineExceeded, a closed connection net.ErrClosed; then there are ErrHandshakeTimeout,
// ErrWriteClosed (after CloseWrite) and ErrLifetime (after Config.MaxLifetime).
// No text of an error holds bytes that the peer chose.
//
// # Stability
//
// The API of this package follows the version number, as that of mayflyhttp, mayflytest and
// message does. Packages handshake, record and transcript promise no compatibility.
// docs/stability.md has the details.
package mayfly
