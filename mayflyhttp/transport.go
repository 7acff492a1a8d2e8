// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayflyhttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"

	"github.com/mayfly-tls/mayfly"
)

// errScheme refuses what would leave the secure channel.
var errScheme = errors.New("mayflyhttp: only https URLs are fetched: anything else would be sent unprotected")

// A RoundTripper fetches https URLs over connections of a mayfly.Dialer.
type RoundTripper struct {
	http1, http2 *http.Transport
	dialer       mayfly.Dialer

	mu    sync.Mutex
	hosts map[string]*host
}

// host is what is known of one address.
type host struct {
	token chan struct{} // whoever takes it may use what follows
	proto string        // what ALPN chose the last time, empty before
	spare *mayfly.Conn  // the connection by which that was learned
}

// Transport returns an http.RoundTripper for http.Client.Transport that dials by
// dialer: its Config says who the servers are, and Config.ServerName, where it is
// empty, is the host in each URL. HTTP/2 is spoken where the server wants it, by
// ALPN; set NextProtos to "http/1.1" alone for that. URLs that are not https, and
// so redirections to them, are refused, and no proxy is taken from the
// environment: either would go around the Config's Peers. dialer is copied.
func Transport(dialer *mayfly.Dialer) *RoundTripper {
	t := &RoundTripper{hosts: make(map[string]*host)}
	if dialer != nil {
		t.dialer = *dialer
	}
	t.dialer.Config = t.dialer.Config.Clone()
	if t.dialer.Config == nil {
		t.dialer.Config = new(mayfly.Config)
	}
	if t.dialer.Config.NextProtos == nil {
		t.dialer.Config.NextProtos = NextProtos()
	}
	t.http1 = t.transport("http/1.1")
	t.http2 = t.transport("h2")
	return t
}

// transport makes the transport of one protocol.
func (t *RoundTripper) transport(proto string) *http.Transport {
	protocols := new(http.Protocols)
	if proto == "h2" {
		protocols.SetUnencryptedHTTP2(true) // unencrypted as far as net/http can see
	} else {
		protocols.SetHTTP1(true)
	}
	return &http.Transport{
		Protocols:       protocols,
		IdleConnTimeout: http.DefaultTransport.(*http.Transport).IdleConnTimeout,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return t.dial(ctx, network, addr, proto)
		},
	}
}

// RoundTrip fetches one URL.
func (t *RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil || r.URL.Scheme != "https" {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errScheme
	}
	proto, err := t.learn(r.Context(), addrOf(r))
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	if proto == "h2" {
		return t.http2.RoundTrip(r)
	}
	var used *mayfly.Conn
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			used, _ = info.Conn.(*mayfly.Conn)
		},
	}))
	resp, err := t.http1.RoundTrip(r)
	if err == nil && used != nil && resp.TLS == nil {
		state := used.ConnectionState()
		resp.TLS = &state
	}
	return resp, err
}

// CloseIdleConnections closes what is not in use.
func (t *RoundTripper) CloseIdleConnections() {
	t.mu.Lock()
	hosts := t.hosts
	t.hosts = make(map[string]*host)
	t.mu.Unlock()
	for _, h := range hosts {
		select {
		case <-h.token:
			if h.spare != nil {
				_ = h.spare.Close()
				h.spare = nil
			}
			h.token <- struct{}{}
		default: // somebody is connecting, and will use it
		}
	}
	t.http1.CloseIdleConnections()
	t.http2.CloseIdleConnections()
}

// learn returns the protocol that the server at addr speaks, and connects to it
// where that is not known.
func (t *RoundTripper) learn(ctx context.Context, addr string) (string, error) {
	h := t.host(addr)
	select {
	case <-h.token:
		defer func() { h.token <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if h.proto != "" {
		return h.proto, nil
	}
	c, err := t.dialer.DialConn(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	h.proto, h.spare = protoOf(c), c
	return h.proto, nil
}

// dial returns a connection on which proto is spoken: the one by which that was
// learned, or a new one.
func (t *RoundTripper) dial(ctx context.Context, network, addr, proto string) (net.Conn, error) {
	h := t.host(addr)
	var c *mayfly.Conn
	select {
	case <-h.token:
		c, h.spare = h.spare, nil
		h.token <- struct{}{}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c == nil {
		d := t.dialer
		d.Config = d.Config.Clone()
		if slices.Contains(d.Config.NextProtos, proto) {
			d.Config.NextProtos = []string{proto}
		}
		var err error
		if c, err = d.DialConn(ctx, network, addr); err != nil {
			t.forget(addr)
			return nil, err
		}
	}
	if protoOf(c) != proto {
		_ = c.Close()
		t.forget(addr)
		return nil, errors.New("mayflyhttp: the server changed its protocol")
	}
	return c, nil
}

func (t *RoundTripper) host(addr string) *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hosts[addr]
	if h == nil {
		h = &host{token: make(chan struct{}, 1)}
		h.token <- struct{}{}
		t.hosts[addr] = h
	}
	return h
}

// forget makes the next request learn anew what addr speaks.
func (t *RoundTripper) forget(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.hosts, addr)
}

// protoOf is the protocol on c: HTTP/1.1 where ALPN chose none.
func protoOf(c *mayfly.Conn) string {
	if p := c.ConnectionState().NegotiatedProtocol; p != "" {
		return p
	}
	return "http/1.1"
}

// addrOf is the host and port of a request's URL.
func addrOf(r *http.Request) string {
	port := r.URL.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(r.URL.Hostname(), port)
}
