// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mayfly-tls/mayfly"
)

// repeats is how many handshakes of each sort the demo measures: it shows the medians.
const repeats = 51

// demoResumption shows what a resumption saves: with raw keys, and with certificates.
func demoResumption(ctx context.Context, out io.Writer, serverKey, clientKey *mayfly.Identity) error {
	server, client := &mayfly.Config{Identity: serverKey}, &mayfly.Config{Identity: clientKey}
	if err := demoResumptionWith(ctx, out, "raw keys", server, client, serverKey, clientKey); err != nil {
		return err
	}
	for _, side := range []struct {
		config *mayfly.Config
		key    *mayfly.Identity
	}{{server, serverKey}, {client, clientKey}} {
		cert, err := side.key.SelfSigned("demo.example")
		if err != nil {
			return err
		}
		side.config.Identity, side.config.Certificates = nil, []tls.Certificate{cert}
	}
	return demoResumptionWith(ctx, out, "certificates", server, client, serverKey, clientKey)
}

func demoResumptionWith(ctx context.Context, out io.Writer, what string, server, client *mayfly.Config, serverKey, clientKey *mayfly.Identity) error {
	server.Peers = mayfly.Pins(clientKey.Pin())
	client.Peers = mayfly.Pins(serverKey.Pin())
	client.ServerName = "demo.example"
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		return err
	}
	defer ln.Close()
	go greetAll(ln)
	cache := mayfly.NewSessionCache(0)
	defer cache.Wipe()
	resuming := client.Clone()
	resuming.Sessions = cache
	if _, err := handshakeOnce(ctx, ln.Addr().String(), resuming, false); err != nil {
		return err
	}
	var fulls, shorts []cost
	for range repeats { // in turns: the machine may have other work
		full, err := handshakeOnce(ctx, ln.Addr().String(), client, false)
		if err != nil {
			return err
		}
		short, err := handshakeOnce(ctx, ln.Addr().String(), resuming, true)
		if err != nil {
			return err
		}
		fulls, shorts = append(fulls, full), append(shorts, short)
	}
	full, short := median(fulls), median(shorts)
	fmt.Fprintf(out, "resumption    %s: full handshake %v and %d bytes, resumed %v and %d bytes\n", what,
		full.time.Round(time.Microsecond), full.bytes, short.time.Round(time.Microsecond), short.bytes)
	return nil
}

// greetAll sends each client a byte and waits for its end.
func greetAll(ln *mayfly.Listener) {
	for {
		conn, err := ln.AcceptConn()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := conn.Write([]byte("x")); err == nil {
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
	}
}

// A cost is that of a handshake, in both directions, tickets not counted.
type cost struct {
	time  time.Duration
	bytes int64
}

// median returns the median of each.
func median(costs []cost) cost {
	slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(a.time, b.time) })
	m := cost{time: costs[len(costs)/2].time}
	slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(a.bytes, b.bytes) })
	m.bytes = costs[len(costs)/2].bytes
	return m
}

func handshakeOnce(ctx context.Context, addr string, config *mayfly.Config, resumed bool) (cost, error) {
	inner, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return cost{}, err
	}
	counted := &countedConn{Conn: inner}
	conn := mayfly.Client(counted, config)
	defer conn.Close()
	start := time.Now()
	if err := conn.HandshakeContext(ctx); err != nil {
		return cost{}, err
	}
	c := cost{time.Since(start), counted.bytes.Load()}
	if got := conn.ConnectionState().DidResume; got != resumed {
		return cost{}, fmt.Errorf("a session was resumed: %v, and not %v", got, resumed)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // with the tickets before it
		return cost{}, errors.Join(errors.New("the server says nothing"), err)
	}
	return c, nil
}

// A countedConn counts what passes.
type countedConn struct {
	net.Conn
	bytes atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}
