// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"context"
	"fmt"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/trust"
)

// KnownHosts accepts a server by a file of names and pins. It is a client's. A
// line is
//
//	name pin [comment]
//
// where name is a host name or an IP address, and may have several lines; there
// are no wildcards. Empty lines, and lines that begin with #, are passed over.
//
// The line is looked up by Config.ServerName, which must be set, and never by the
// address that was dialed: so one member of a fleet cannot pose as another. A
// server without a line is refused with an error that gives the line to add; a
// server with another key is refused. A file that does not exist knows nobody.
//
// The file is read again when it has changed. If it is damaged then, the lines read
// before stay in use, and slog has a warning. If it is damaged when the Config is
// first used, that is an error with the number of the line.
func KnownHosts(path string) Peers {
	return &knownHosts{trust.NewKnownHosts(path)}
}

// AuthorizedKeys accepts a client by a file of pins and names. It is a server's. A
// line is
//
//	pin name [comment]
//
// where name, which is for the application alone, becomes Peer.Name. Several
// pins may have the same name. Empty lines, and lines that begin with #, are
// passed over.
//
// The file must exist when the Config is first used; a damaged line is an error
// with its number. It is read again when it has changed. If it is damaged or gone
// then, the lines read before stay in use, and slog has a warning: to revoke all
// keys, empty it. A change counts from the next handshake on; Listener.CloseIf ends
// connections that stand.
func AuthorizedKeys(path string) Peers {
	return &authorizedKeys{trust.NewAuthorizedKeys(path)}
}

type knownHosts struct{ file *trust.File }

func (k *knownHosts) validate(server bool, facts configFacts) error {
	switch {
	case server:
		return configError("KnownHosts is a client's: a server sets AuthorizedKeys")
	case facts.ServerName == "":
		return configError("KnownHosts goes by the server's name, never by the address: set ServerName")
	}
	_, err := k.file.Read()
	return err
}

func (k *knownHosts) explicitName() bool    { return true }
func (k *knownHosts) authorities() [][]byte { return nil }

func (k *knownHosts) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (k *knownHosts) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err != nil {
		return Peer{}, err
	}
	lines, err := k.file.Read()
	if err != nil {
		return Peer{}, alert.Wrap(alert.InternalError, "the peer could not be judged", err)
	}
	name := trust.HostName(facts.ServerName)
	known, found := false, false
	for _, line := range lines {
		if line.Name == name {
			known = true
			found = peer.Pin.is(line.Pin) || found
		}
	}
	switch {
	case name == "" || !known:
		return Peer{}, refuse(byFile, fmt.Sprintf(
			"%s has no line for this server: if you have checked that this is its key, add the line: %s %s",
			k.file.Path(), name, peer.Pin), nil)
	case !found:
		return Peer{}, refuse(byFile, fmt.Sprintf(
			"%s has another key for %s than %s: the server's key was changed, or somebody else answers in its place",
			k.file.Path(), name, peer.Pin), nil)
	}
	peer.Name = facts.ServerName
	return peer, nil
}

type authorizedKeys struct{ file *trust.File }

func (a *authorizedKeys) validate(server bool, _ configFacts) error {
	if !server {
		return configError("AuthorizedKeys is a server's: a client sets KnownHosts, or Pins")
	}
	_, err := a.file.Read()
	return err
}

func (a *authorizedKeys) explicitName() bool    { return false }
func (a *authorizedKeys) authorities() [][]byte { return nil }

func (a *authorizedKeys) requirement(bool) (request, require bool, types []credential.Type) {
	return true, true, anyType
}

func (a *authorizedKeys) judge(_ context.Context, facts judgeFacts, p *credential.Peer) (Peer, error) {
	peer, err := introduceKey(facts, p)
	if err != nil {
		return Peer{}, err
	}
	lines, err := a.file.Read()
	if err != nil {
		return Peer{}, alert.Wrap(alert.InternalError, "the peer could not be judged", err)
	}
	for _, line := range lines {
		if peer.Pin.is(line.Pin) {
			peer.Name = line.Name
		}
	}
	if peer.Name == "" {
		return Peer{}, refuse(byFile, fmt.Sprintf("its key %s is not in %s", peer.Pin, a.file.Path()), nil)
	}
	return peer, nil
}
