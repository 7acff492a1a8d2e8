// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

// The lengths of the two parts of a message.
const (
	headLen = 64
	bodyLen = 600
)

// floodLen is how much follows a message that floods: enough for several cores to work
// at it.
const floodLen = 3 << 19

// What the first byte of a message says.
const (
	echo  = 'e'
	pause = 'p' // read the head alone until told on
	rekey = 'k'
	flood = 'f' // much follows
	leave = 'c' // call Close
	drop  = 'd' // forget the connection
)

// A secure is a connection of crypto/tls or of mayfly.
type secure interface {
	net.Conn
	HandshakeContext(context.Context) error
}

// child is the process whose memory is searched. It knows no secret but those that
// its connections make.
type child struct {
	mayfly   bool
	addr     string
	identity *mayfly.Identity
	cert     tls.Certificate
	replay   mayfly.ReplayGuard
	resume   chan struct{}

	canceled context.Context // of handshakes that are to fail by it
	cancel   context.CancelFunc
	failing  sync.WaitGroup // handshakes that are to fail

	mu   sync.Mutex
	kept []secure // connections that have failed

	stores []*mayfly.SessionCache // of connections that have ended
}

func runChild(t *testing.T, how, addr string) {
	runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	c := &child{mayfly: how == "mayfly", addr: addr, replay: mayfly.NewReplayGuard(0), resume: make(chan struct{})}
	c.canceled, c.cancel = context.WithCancel(context.Background())
	var err error
	c.identity, c.cert, err = newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for i := range connections {
		k := c.kindOf(i)
		if k.fails != succeeds {
			c.failing.Add(1)
		}
		go c.run(i, k)
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		switch commands.Text() {
		case "resume":
			close(c.resume)
		case "fail":
			c.cancel()
			c.failing.Wait()
		case "collect":
			runtime.GC()
			runtime.GC()
		}
		fmt.Println("done")
	}
	runtime.KeepAlive(c)
	os.Exit(0)
}

func newIdentity() (*mayfly.Identity, tls.Certificate, error) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	cert, err := id.SelfSigned("memscan.test")
	return id, cert, err
}

// kindOf is what crypto/tls can do of a kind, if that is what is measured.
func (c *child) kindOf(i int) kind {
	if c.mayfly {
		return kindOf(i)
	}
	return kindOf(i).standard()
}

// run makes a connection, does the handshake on a goroutine of its own, and does
// what the peer says.
func (c *child) run(i int, k kind) {
	cache := mayfly.NewSessionCache(0)
	if k.ticket {
		config := configFor(k, k.client, c.identity, c.cert, nil)
		resumable(config, k, k.client, cache, c.replay)
		if err := prime(c.dial(i, 'P'), config, k.client); err != nil {
			panic(fmt.Sprint(i, ": the child's first connection: ", err))
		}
	}
	random := c.dial(i, 'R')
	conn, key := c.secure(k, c.dial(i, 'T'), random, cache)
	done := make(chan error)
	go onStack(k.deep, func() { done <- c.handshake(k, conn, random) })
	err := <-done
	if (err != nil) != (k.fails != succeeds) {
		panic(fmt.Sprint(i, ": the child's handshake: ", err))
	}
	if err != nil {
		key.Wipe()
		c.keep(conn)
		c.failing.Done()
		return
	}
	if k.moved {
		onStack(k.deep, func() { conn = c.move(k, conn.(*mayfly.Conn), key) })
	}
	key.Wipe()
	if k.exports {
		onStack(k.deep, func() { export(conn.(*mayfly.Conn)) })
	}
	onStack(k.deep, func() { c.serve(conn) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stores = append(c.stores, cache)
}

// handshake does it as the kind wants: with early data, and until it is canceled.
func (c *child) handshake(k kind, conn secure, random io.Reader) error {
	switch {
	case k.early && k.client:
		early := make([]byte, earlyLen)
		defer clear(early)
		if _, err := io.ReadFull(random, early); err != nil {
			return err
		}
		accepted, err := conn.(*mayfly.Conn).HandshakeEarly(context.Background(), early)
		if err == nil && !accepted {
			err = errNoEarlyData
		}
		return err
	case k.early:
		early := make([]byte, earlyLen)
		defer clear(early)
		if err := readEarly(conn.(*mayfly.Conn), early); err != nil {
			return err
		}
	case k.fails == canceled:
		return conn.HandshakeContext(c.canceled)
	}
	return conn.HandshakeContext(context.Background())
}

// What is exported, and how much of it.
const (
	exportLabel = "EXPERIMENTAL memscan"
	exportLen   = 40
)

// export has a connection export keying material, which the caller wipes.
func export(conn *mayfly.Conn) {
	material, err := conn.ExportKeyingMaterial(exportLabel, nil, exportLen)
	if err != nil {
		panic(err)
	}
	clear(material)
}

// keep has a connection stay where it can be found.
func (c *child) keep(conn secure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, conn)
}

// move hands a connection on, as if to another process, and keeps what is left of it.
func (c *child) move(k kind, conn *mayfly.Conn, key *mayfly.PresharedKey) secure {
	r, err := mayfly.NewReceiver()
	if err != nil {
		panic(err)
	}
	blob, raw, err := conn.Detach(context.Background(), r.Offer())
	if err != nil {
		panic(err)
	}
	c.keep(conn)
	next, err := r.Attach(raw, blob, configFor(k, k.client, c.identity, c.cert, key))
	if err != nil {
		panic(err)
	}
	return next
}

// dial connects to the parent, and says for which connection and what for.
func (c *child) dial(i int, what byte) net.Conn {
	conn, err := net.Dial("tcp", c.addr)
	if err == nil {
		_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(i)), what))
	}
	if err != nil {
		panic(err)
	}
	return conn
}

// secure returns the connection, and the pre-shared key that it is made with.
func (c *child) secure(k kind, raw net.Conn, random io.Reader, cache *mayfly.SessionCache) (secure, *mayfly.PresharedKey) {
	if !c.mayfly {
		config := &tls.Config{
			Rand: random, Certificates: []tls.Certificate{c.cert}, MinVersion: tls.VersionTLS13,
			InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert, CurvePreferences: []tls.CurveID{k.group},
		}
		if k.client {
			return tls.Client(raw, config), nil
		}
		return tls.Server(raw, config), nil
	}
	var key *mayfly.PresharedKey
	if k.psk {
		key = readKey(random)
	}
	config := configFor(k, k.client, c.identity, c.cert, key)
	config.Rand = random
	if k.logs {
		config.KeyLogWriter = io.Discard
	}
	if k.ticket {
		resumable(config, k, k.client, cache, c.replay)
	}
	if k.client {
		return mayfly.Client(raw, config), key
	}
	return mayfly.Server(raw, config), key
}

// readKey takes the child's pre-shared key from the beginning of its randomness.
func readKey(random io.Reader) *mayfly.PresharedKey {
	secret := make([]byte, pskLen)
	defer clear(secret)
	if _, err := io.ReadFull(random, secret); err != nil {
		panic(err)
	}
	key, err := mayfly.NewPresharedKey("key", secret, "child", "parent")
	if err != nil {
		panic(err)
	}
	return key
}

const pskLen = 32

// configFor is the Config of one side of a connection; key may be nil.
func configFor(k kind, client bool, id *mayfly.Identity, cert tls.Certificate, key *mayfly.PresharedKey) *mayfly.Config {
	config := &mayfly.Config{
		Peers: mayfly.AnyKey(), CipherSuites: []uint16{k.suite}, CurvePreferences: []tls.CurveID{k.group},
		HandshakeTimeout: -1,
	}
	if client {
		config.Peers = mayfly.InsecureAnyServer()
		if k.spare != 0 {
			config.CurvePreferences = append(config.CurvePreferences, k.spare)
			config.KeyShares = config.CurvePreferences
			if k.retries {
				config.KeyShares = config.KeyShares[1:]
			}
		}
	}
	switch {
	case key != nil:
		config.Peers = mayfly.PSKs(key)
	case k.raw:
		config.Identity = id
	default:
		config.Certificates = []tls.Certificate{cert}
	}
	return config
}

// serve echoes, and does what it is told.
func (c *child) serve(conn secure) {
	head, body := make([]byte, headLen), make([]byte, bodyLen)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			c.ended(conn, err)
			return
		}
		what := head[0]
		_, err := conn.Write(head)
		clear(head)
		switch what {
		case pause:
			<-c.resume
		case rekey:
			if m, ok := conn.(*mayfly.Conn); ok {
				err = m.Rekey(context.Background())
			}
		case leave:
			_ = conn.Close()
			return
		case drop:
			return
		}
		if err == nil {
			_, err = io.ReadFull(conn, body)
		}
		if err == nil {
			_, err = conn.Write(body)
		}
		clear(body)
		if err == nil && what == flood {
			err = echoFlood(conn)
		}
		if err != nil {
			panic(fmt.Sprint("the child's connection: ", err))
		}
	}
}

// echoFlood echoes much at once.
func echoFlood(conn secure) error {
	much := make([]byte, floodLen)
	defer clear(much)
	if _, err := io.ReadFull(conn, much); err != nil {
		return err
	}
	_, err := conn.Write(much)
	return err
}

// ended closes a connection whose peer did so, and keeps one that failed.
func (c *child) ended(conn secure, err error) {
	if err == io.EOF {
		_ = conn.Close()
		return
	}
	c.keep(conn)
}

// onStack runs f, below 64 KiB of stack if deep.
func onStack(deep bool, f func()) {
	if deep {
		var frame [64 << 10]byte
		defer func() { frame[0]++ }()
	}
	f()
}
