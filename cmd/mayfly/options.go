// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
)

// options are the flags that listen and dial share.
type options struct {
	key            string
	pins           []string
	peers          string
	cert, certKey  string
	ca, name       string
	alpn           []string
	trace, anybody bool
}

func (o *options) register(f *pflag.FlagSet, server bool) {
	f.StringVar(&o.key, "key", "", "this side's private key: a PEM `file` made by keygen")
	f.StringArrayVar(&o.pins, "peer", nil, "the `pin` of a peer to accept; may be repeated")
	f.StringVar(&o.cert, "cert", "", "this side's X.509 certificate chain: a PEM `file`")
	f.StringVar(&o.certKey, "cert-key", "", "the private key of --cert: a PEM `file` that nobody else may read")
	f.StringVar(&o.ca, "ca", "", "accept peers with a certificate of the authorities in this PEM `file`")
	f.StringSliceVar(&o.alpn, "alpn", nil, "application `protocols`, most wanted first, separated by commas")
	if server {
		f.StringVar(&o.peers, "peers", "", "accept the peers in this `file`: a pin and a name a line; read again when it changes")
		f.StringVar(&o.name, "name", "", "the host `name` that clients must ask for")
		f.BoolVar(&o.anybody, "anybody", false, "accept anybody, and ask for nothing")
	} else {
		f.StringVar(&o.peers, "peers", "", "accept the servers in this `file`: a host name and a pin a line; needs --name")
		f.StringVar(&o.name, "name", "", "the server's host `name` (default: that in ADDR, but with --peers)")
	}
}

// registerTrace is for commands that do not log.
func (o *options) registerTrace(f *pflag.FlagSet) {
	f.BoolVar(&o.trace, "trace", false, "say on standard error what happens")
}

// config makes a Config of the flags.
func (o *options) config(server bool) (*mayfly.Config, error) {
	config := &mayfly.Config{NextProtos: o.alpn}
	if o.key != "" {
		id, err := mayfly.LoadIdentity(o.key)
		if err != nil {
			return nil, err
		}
		config.Identity = id
	}
	if (o.cert == "") != (o.certKey == "") {
		return nil, errors.New("--cert and --cert-key go together")
	}
	if o.cert != "" {
		cert, err := loadCertificate(o.cert, o.certKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	if slices.ContainsFunc(o.alpn, func(s string) bool { return len(s) == 0 || len(s) > 255 }) {
		return nil, errors.New("--alpn: the name of a protocol has from 1 to 255 bytes")
	}
	var err error
	if config.Peers, err = o.accepted(server); err != nil {
		return nil, err
	}
	switch {
	case server && o.name != "":
		config.ServerNames = []string{o.name}
	case !server:
		config.ServerName = o.name
	}
	return config, nil
}

// accepted makes Peers of the flags: any of them will do.
func (o *options) accepted(server bool) (mayfly.Peers, error) {
	pins, err := o.pinned()
	if err != nil {
		return nil, err
	}
	file, err := o.listed(server)
	if err != nil {
		return nil, err
	}
	roots, err := o.certified()
	if err != nil {
		return nil, err
	}
	return o.anyOf(server, pins, file, roots)
}

// pinned is Peers of --peer, listed of --peers, certified of --ca; nil without the flag.
func (o *options) pinned() (mayfly.Peers, error) {
	if len(o.pins) == 0 {
		return nil, nil
	}
	pins, err := parsePins("peer", o.pins)
	if err != nil {
		return nil, err
	}
	return mayfly.NewPinSet(pins...), nil
}

func (o *options) listed(server bool) (mayfly.Peers, error) {
	if o.peers == "" {
		return nil, nil
	}
	if !server && o.name == "" {
		return nil, errors.New("--peers goes by the server's name, never by the address: give --name")
	}
	if _, err := os.Stat(o.peers); err != nil {
		return nil, fmt.Errorf("--peers: %w", err)
	}
	if server {
		return mayfly.AuthorizedKeys(o.peers), nil
	}
	return mayfly.KnownHosts(o.peers), nil
}

func (o *options) certified() (mayfly.Peers, error) {
	if o.ca == "" {
		return nil, nil
	}
	pool, err := authorities(o.ca)
	if err != nil {
		return nil, err
	}
	return mayfly.Roots(pool), nil
}

// authorities reads the file of --ca.
func authorities(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(keyfile.TrimMark(b)) {
		return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// anyOf accepts whom one of several Peers accepts, of which some may be nil.
func (o *options) anyOf(server bool, some ...mayfly.Peers) (mayfly.Peers, error) {
	peers := slices.DeleteFunc(some, func(p mayfly.Peers) bool { return p == nil })
	switch {
	case o.anybody && len(peers) > 0:
		return nil, errors.New("--anybody goes with none of --peer, --peers and --ca")
	case o.anybody:
		return mayfly.NoClientAuth(), nil
	case server && len(peers) == 0:
		return nil, errors.New("say whom to accept: --peer PIN, --peers FILE, --ca FILE, or --anybody")
	case server && o.key == "" && o.cert == "":
		return nil, errors.New("a server needs a key: --key FILE (made by keygen), or --cert and --cert-key")
	case o.key != "" && len(peers) == 0:
		return nil, errors.New("say which servers to accept: --peer PIN, --peers FILE or --ca FILE")
	case len(peers) == 0:
		return nil, nil // the system's roots
	case len(peers) == 1:
		return peers[0], nil
	}
	return mayfly.AnyOf(peers...), nil
}
