// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/suite"
)

// ErrPeerRefused is in the chain of an error (errors.Is) where the peer has proved
// that it holds its key, and a list, a file, a Verify or the rule about one's own
// key does not accept that key. A certificate that Roots refuses has an alert of its
// own instead: unknown_ca, certificate_expired, bad_certificate and the like.
var ErrPeerRefused = errors.New("mayfly: the peer was refused")

// A PeerKind is the way in which a peer was authenticated.
type PeerKind uint8

// The kinds of peer.
const (
	Anonymous PeerKind = iota // it was not
	RawKey                    // by a raw public key (RFC 7250)
	X509                      // by an X.509 certificate
	PSK                       // by an external pre-shared key, see PresharedKey
)

// String returns "anonymous", "raw public key", "X.509 certificate" or
// "pre-shared key".
func (k PeerKind) String() string {
	switch k {
	case Anonymous:
		return "anonymous"
	case RawKey:
		return "raw public key"
	case X509:
		return "X.509 certificate"
	case PSK:
		return "pre-shared key"
	}
	return "PeerKind(" + strconv.Itoa(int(k)) + ")"
}

// A Peer is the other side of a connection, as far as it was authenticated. It has
// proved that it holds the private key of PublicKey, or the pre-shared key of
// PSKIdentity, for which there is no Pin. The slices are shared and
// must not be changed.
type Peer struct {
	Kind      PeerKind
	Pin       Pin              // of PublicKey
	PublicKey crypto.PublicKey // that of the leaf for X.509

	// Name is what this side knows the peer by: the name in the file of
	// AuthorizedKeys, the server's name that KnownHosts or Roots went by, or the
	// peer's name that a PresharedKey is bound to, which whoever holds that can take.
	// Empty where nothing here says it: nobody's name is taken from what the peer
	// wrote into a certificate.
	Name string

	// Certificates are those that the peer showed and that can be parsed, the leaf
	// first; none if the leaf itself cannot be, which only a list of keys accepts (Pins,
	// PinSet, KnownHosts, AuthorizedKeys). Unless Chains
	// is set, nobody has checked anything in them but the leaf's key.
	Certificates []*x509.Certificate

	// Chains lead from the leaf to the roots, where Roots accepted the peer.
	Chains [][]*x509.Certificate

	// Scheme is that of the signature by which the peer has proved its key. Zero for
	// one that is known by a PresharedKey.
	Scheme tls.SignatureScheme

	PSKIdentity []byte // the name of the PresharedKey

	// Resumed says that the peer has proved its key in an earlier connection, which
	// this one resumes. Peers was asked about it again all the same.
	Resumed bool
}

// Peers says whom a Config accepts. There are Pins, PinSet, Roots and PSKs for either
// side; KnownHosts and InsecureAnyServer for a client; AuthorizedKeys, AnyKey,
// PSKLookup and NoClientAuth for a server; and AnyOf, AllOf and Verify to combine them. Each
// value means the same wherever it stands. They may be used by many Configs and
// connections at the same time.
//
// Whatever Peers says, a peer must prove that it holds its private key, and one
// that shows this side's own key is refused unless Config.AllowSelf is set.
type Peers interface{ peersJudge }

// peersJudge is what Peers can do.
type peersJudge interface {
	// validate returns a sentence that says what to set, if this cannot work.
	validate(server bool, facts configFacts) error

	// explicitName reports whether the server's name must be set by the user,
	// and not be taken from the address that was dialled.
	explicitName() bool

	// requirement says whether the peer is asked for a credential, whether it
	// must have one, and of which types, the most wanted first.
	requirement(server bool) (request, require bool, types []credential.Type)

	// authorities are the DER names for certificate_authorities; nil: no wish.
	authorities() [][]byte

	// judge decides about a peer that has proved its key; nil is a client that
	// showed none. Its errors carry their alert.
	judge(ctx context.Context, facts judgeFacts, p *credential.Peer) (Peer, error)
}

// configFacts are what Peers need to know of a Config.
type configFacts struct {
	HasIdentity bool
	ServerName  string
	Suites      []suite.ID
}

// judgeFacts are what Peers need to know of a handshake.
type judgeFacts struct {
	Server     bool   // this side is the server
	ServerName string // of the server, on a client
	Now        func() time.Time
	Own        []Pin // this side's own keys
	AllowSelf  bool

	Resumed bool // the peer has proved its key in an earlier connection

	// Key is the external pre-shared key in use; nil if the peer is known by
	// something else, an earlier connection with such a key among it.
	Key *usedKey
}

var anyType = []credential.Type{credential.RawPublicKey, credential.X509}

// Roots accepts the peers whose X.509 certificates a chain leads from to pool. A
// server's must be for Config.ServerName and for servers, a client's for clients:
// of a client it says nothing more, so add Verify or Pins where not every client of
// the authority is welcome. Later changes to pool have no effect. For the
// system's roots on a client, leave Peers unset, or use x509.SystemCertPool.
func Roots(pool *x509.CertPool) Peers {
	r := &roots{pool: pool}
	if pool != nil {
		r.pool = pool.Clone()
		r.names = authorityNames(pool)
	}
	return r
}

// systemRoots is Roots with those of the system, wherever they are.
func systemRoots() Peers { return &roots{system: true} }

type roots struct {
	pool   *x509.CertPool // nil: the system's
	system bool
	names  [][]byte
}

// maxAuthorities bounds what certificate_authorities takes in a handshake. The
// roots of a whole system are no help to anybody.
const maxAuthorities = 8 << 10

// authorityNames are the DER names of the pool's certificates, each once.
func authorityNames(pool *x509.CertPool) [][]byte {
	var names [][]byte
	total := 0
	seen := make(map[string]bool)
	//lint:ignore SA1019 what it lacks, system roots, is too much to send
	for _, name := range pool.Subjects() {
		if len(name) == 0 || seen[string(name)] {
			continue
		}
		seen[string(name)] = true
		if total += len(name) + 2; total > maxAuthorities {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// fitsAuthorities reports whether a message can hold the names, and each is one.
func fitsAuthorities(names [][]byte) bool {
	total := 0
	for _, name := range names {
		var rdn pkix.RDNSequence
		if rest, err := asn1.Unmarshal(name, &rdn); err != nil || len(rest) > 0 || len(rdn) == 0 {
			return false
		}
		if total += len(name) + 2; total > maxAuthorities {
			return false
		}
	}
	return true
}

func (r *roots) validate(server bool, facts configFacts) error {
	switch {
	case r.pool == nil && !r.system:
		return configError("Roots(nil) trusts nobody: give it a pool; x509.SystemCertPool has the system's roots")
	case r.pool != nil && r.pool.Equal(x509.NewCertPool()):
		return configError("Roots was given an empty pool: add the certificates of the authorities to trust")
	case !server && facts.ServerName == "":
		return configError("a certificate is checked against a name: set ServerName")
	}
	return nil
}

func (r *roots) explicitName() bool    { return false }
func (r *roots) authorities() [][]byte { return r.names }

func (r *roots) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, []credential.Type{credential.X509}
}

func (r *roots) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduce(facts, p)
	if err != nil {
		return Peer{}, err
	}
	peer.Chains, err = credential.VerifyChain(p, credential.VerifyOptions{
		Roots: r.pool, Name: facts.ServerName, Now: facts.Now(), Server: !facts.Server,
	})
	if err != nil {
		return Peer{}, err
	}
	if !facts.Server {
		peer.Name = facts.ServerName
	}
	return peer, nil
}

// InsecureAnyServer accepts every server, so that whoever is in the path can read
// and change everything. It is a client's, for tests, and for AllOf together with a
// Verify that judges the server's key by other means.
func InsecureAnyServer() Peers { return anyServer{} }

type anyServer struct{ anyone }

func (anyServer) validate(server bool, _ configFacts) error {
	if server {
		return configError("InsecureAnyServer is a client's: a server sets AnyKey (whoever proves a key) or NoClientAuth (asks for nothing)")
	}
	return nil
}

// AnyKey accepts every client that proves that it holds some key, and reports the
// key: Conn.Peer says whose. It is a server's, for programs that decide later,
// and for AllOf together with Verify. Certificates are not checked.
func AnyKey() Peers { return anyKey{} }

type anyKey struct{ anyone }

func (anyKey) validate(server bool, _ configFacts) error {
	if !server {
		return configError("AnyKey is a server's: a client must know whom it talks to: set Pins, KnownHosts or Roots")
	}
	return nil
}

// anyone accepts whatever key there is.
type anyone struct{}

func (anyone) explicitName() bool    { return false }
func (anyone) authorities() [][]byte { return nil }

func (anyone) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (anyone) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	return introduce(facts, p)
}

// NoClientAuth asks clients for nothing: they remain Anonymous. It is a server's.
// In AnyOf, with Pins for example, clients are asked for a key and may decline;
// one that shows a key which nothing else in AnyOf accepts is refused.
func NoClientAuth() Peers { return nobody{} }

type nobody struct{}

func (nobody) explicitName() bool    { return false }
func (nobody) authorities() [][]byte { return nil }

func (nobody) validate(server bool, _ configFacts) error {
	if !server {
		return configError("NoClientAuth is a server's: a client must know whom it talks to: set Pins, KnownHosts or Roots")
	}
	return nil
}

func (nobody) requirement(bool) (request, require bool, types []credential.Type) {
	return false, false, nil
}

func (nobody) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	if p == nil && facts.Server {
		return Peer{}, nil
	}
	return Peer{}, refuse(byList, "NoClientAuth is for those that show no key", nil)
}

// introduce is introduceKey for what does not go by the key alone: it refuses a peer with
// a flaw in its certificates.
func introduce(facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err == nil {
		err = p.Flaw()
	}
	if err != nil {
		return Peer{}, err
	}
	return peer, nil
}

// introduceKey says who a peer is that showed a key, and refuses ourselves. Nothing in a
// certificate but the leaf's key plays a part.
func introduceKey(facts judgeFacts, p *credential.Peer) (Peer, error) {
	if p == nil {
		return Peer{}, alert.New(alert.CertificateRequired, "the peer showed no key")
	}
	if p.PSKIdentity != nil {
		return Peer{}, refuse(byKind, "it has a pre-shared key, and what is accepted is a key of its own", nil)
	}
	peer := Peer{Kind: RawKey, Pin: p.Pin(), PublicKey: p.Key, Certificates: p.Certificates, Scheme: tls.SignatureScheme(p.Scheme), Resumed: facts.Resumed}
	if p.Type == credential.X509 {
		peer.Kind = X509
	}
	if !facts.AllowSelf && slices.ContainsFunc(facts.Own, peer.Pin.is) {
		return Peer{}, refuse(bySelf, "it shows this side's own key: it is this program itself, or has a copy of its key file (AllowSelf accepts it)", nil)
	}
	return peer, nil
}

// A refusal is why a peer that proved its key is not accepted. Its reason holds
// nothing that the peer chose.
type refusal struct {
	by     refuser
	reason string
	cause  error
}

// A refuser is who refused, in the order of how much that tells the user.
type refuser int

const (
	byKind refuser = iota // a check of another kind of credential
	byList
	byFile
	byAuthority
	byCertificate
	byVerify
	bySelf
)

func refuse(by refuser, reason string, cause error) error {
	return alert.Wrap(alert.AccessDenied, "the peer was refused", &refusal{by, reason, cause})
}

func (r *refusal) Error() string        { return r.reason }
func (r *refusal) Unwrap() error        { return r.cause }
func (r *refusal) Is(target error) bool { return target == ErrPeerRefused }
