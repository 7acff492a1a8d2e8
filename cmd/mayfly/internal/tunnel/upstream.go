// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"

	"github.com/mayfly-tls/mayfly"
)

// An Upstream is a proxy through which a client dials its server: HTTP CONNECT (RFC 9110,
// Section 9.3.6) or SOCKS5 (RFC 1928). The proxy resolves the server's name. It sees which
// server is dialed, and carries only what is encrypted for that.
type Upstream struct {
	socks  bool
	addr   string
	user   *url.Userinfo // nil: none
	dialer net.Dialer    // of the way to the proxy
}

// The bounds of a proxy's answer to CONNECT.
const (
	maxProxyAnswer  = 64 << 10
	maxProxyInterim = 8 // 1xx responses
)

// ParseUpstream reads "http://host:port" or "socks5://host:port", with "user:password@"
// before the host where the proxy asks for it. socks5h means the same as socks5. Its errors
// do not repeat s, which may hold a password.
func ParseUpstream(s string) (*Upstream, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, errors.New("it is no proxy: say http://host:port or socks5://host:port")
	}
	p := &Upstream{addr: u.Host, user: u.User}
	switch u.Scheme {
	case "http":
	case "socks5", "socks5h":
		p.socks = true
	default:
		return nil, errors.New("a proxy is http://host:port or socks5://host:port; proxies that are reached over TLS, and SOCKS4, are not supported")
	}
	if _, err := net.LookupPort("tcp", u.Port()); err != nil || u.Port() == "" || u.Hostname() == "" {
		return nil, errors.New("a proxy needs a host and a port: http://host:port or socks5://host:port")
	}
	if password, _ := u.User.Password(); p.socks && u.User != nil && (len(u.User.Username()) == 0 || len(u.User.Username()) > 255 || len(password) > 255) {
		return nil, errors.New("a user's name and password have at most 255 bytes each in SOCKS5, and the name at least one")
	}
	return p, nil
}

// String returns the proxy's address, and no password.
func (p *Upstream) String() string { return p.addr }

// An upstreamError is a failure of the proxy, or of the way to it: no server was reached.
type upstreamError struct{ err error }

func (e *upstreamError) Error() string { return "the proxy: " + e.err.Error() }
func (e *upstreamError) Unwrap() error { return e.err }

// dial connects to addr. The connection is the transport to the proxy itself, so that it
// can be handed to another process.
func (p *Upstream) dial(ctx context.Context, addr string) (net.Conn, error) {
	connect := p.connectHTTP
	if p.socks {
		connect = p.connectSOCKS
	}
	c, err := connect(ctx, addr)
	if err != nil {
		if ended := ctx.Err(); ended != nil {
			err = ended
		}
		return nil, &upstreamError{err}
	}
	return c, nil
}

// connectSOCKS has golang.org/x/net/proxy ask for addr.
func (p *Upstream) connectSOCKS(ctx context.Context, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if p.user != nil {
		auth = &proxy.Auth{User: p.user.Username()}
		auth.Password, _ = p.user.Password()
	}
	var way transport
	d, err := proxy.SOCKS5("tcp", p.addr, auth, &way)
	if err != nil {
		return nil, err
	}
	if _, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr); err != nil {
		return nil, err
	}
	return way.conn, nil
}

// A transport is a proxy.ContextDialer for one connection, which it keeps: that package
// returns a type of its own around it.
type transport struct {
	net.Dialer
	conn net.Conn
}

func (d *transport) DialContext(ctx context.Context, network, addr string) (c net.Conn, err error) {
	d.conn, err = d.Dialer.DialContext(ctx, network, addr)
	return d.conn, err
}

// connectHTTP asks for addr by HTTP CONNECT.
func (p *Upstream) connectHTTP(ctx context.Context, addr string) (net.Conn, error) {
	c, err := p.dialer.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err = p.ask(c, addr)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// ask sends CONNECT, and reads the answer. No byte after that may be there: a server of
// TLS does not speak first, and what the bufio.Reader holds would be lost.
func (p *Upstream) ask(c net.Conn, addr string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: make(http.Header)}
	if p.user != nil {
		password, _ := p.user.Password()
		req.SetBasicAuth(p.user.Username(), password)
		req.Header["Proxy-Authorization"] = req.Header["Authorization"]
		req.Header.Del("Authorization")
	}
	req.Header.Set("User-Agent", "") // none is sent
	if err := req.Write(c); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(c, maxProxyAnswer))
	for range maxProxyInterim {
		answer, err := http.ReadResponse(r, req)
		if err != nil {
			return fmt.Errorf("its answer to CONNECT cannot be read: %w", noRepeat(err))
		}
		switch {
		case answer.StatusCode/100 == 1 && answer.StatusCode != http.StatusSwitchingProtocols:
			continue
		case answer.StatusCode/100 != 2:
			return fmt.Errorf("it refuses to connect to %s: %d %s", addr, answer.StatusCode, http.StatusText(answer.StatusCode))
		case r.Buffered() > 0:
			return errors.New("it sent data behind its answer to CONNECT")
		}
		return nil
	}
	return errors.New("it sent too many interim responses to CONNECT")
}

// noRepeat keeps errors of the transport, and replaces those of net/http, which repeat what
// a proxy that nothing authenticates has sent.
func noRepeat(err error) error {
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return err
	}
	return errors.New("it is not HTTP, or too long")
}

// secure connects to a server through the proxy, as mayfly.Dialer does without one.
func (p *Upstream) secure(ctx context.Context, addr string, config *mayfly.Config) (*mayfly.Conn, error) {
	inner, err := p.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	c := mayfly.Client(inner, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
