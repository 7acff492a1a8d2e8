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

// A kind is how a connection is made, used and ended.
type kind struct {
	client bool // the child is the client
	psk    bool // an imported pre-shared key
	ticket bool // a session is resumed
	moved  bool // the child hands the connection on, to itself
	raw    bool // raw public keys, otherwise X.509
	rekeys bool
	floods bool // once, with much data both ways
	deep   bool // on stacks that have grown
	end    end
	stop   stop
	suite  uint16
	group  tls.CurveID
}

// An end is how a connection ends.
type end int

const (
	closes   end = iota // the child calls Close
	hears               // the peer calls Close, and the child then
	breaks              // the peer sends a forged record; nobody calls Close
	drops               // the child forgets the connection
	ends                // how many there are
	survives            // it does not
)

// A stop is where a connection waits while the memory is searched.
type stop int

const (
	open      stop = iota
	atHello        // before the ServerHello
	atFlight       // before the peer's Finished
	closed         // at the end
	departing      // open, but about to end
)

// connections is how many there are at once: each combination.
const connections = 2 * 2 * 2 * 3 * 3 * int(ends)

func kindOf(i int) kind {
	k := kind{deep: i%3 == 1, psk: i%5 == 2, ticket: i%5 == 4, moved: i%11 == 3, floods: i%13 == 6}
	n := i
	next := func(m int) int { r := n % m; n /= m; return r }
	k.client = next(2) == 0
	k.raw = next(2) == 0
	k.rekeys = next(2) == 0
	k.suite = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}[next(3)]
	k.group = []tls.CurveID{tls.X25519, tls.CurveP256, tls.X25519MLKEM768}[next(3)]
	k.end = end(next(int(ends)))
	if i%19 == 0 {
		k.end = survives
	}
	switch i * 5 / 7 % 5 {
	case 1:
		if k.client {
			k.stop = atHello
		}
	case 2:
		k.stop = atFlight
	}
	return k
}

// A secure is a connection of crypto/tls or of mayfly.
type secure interface {
	net.Conn
	Handshake() error
}

// child is the process whose memory is searched. It knows no secret but those that
// its connections make.
type child struct {
	mayfly   bool
	addr     string
	identity *mayfly.Identity
	cert     tls.Certificate
	resume   chan struct{}

	mu   sync.Mutex
	kept []secure // connections that have failed

	stores []*mayfly.SessionCache // of connections that have ended
}

func runChild(t *testing.T, how, addr string) {
	runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	c := &child{mayfly: how == "mayfly", addr: addr, resume: make(chan struct{})}
	var err error
	c.identity, c.cert, err = newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for i := range connections {
		go c.run(i)
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		switch commands.Text() {
		case "resume":
			close(c.resume)
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

// run makes a connection, does the handshake on a goroutine of its own, and does
// what the peer says.
func (c *child) run(i int) {
	k := kindOf(i)
	cache := mayfly.NewSessionCache(0)
	if k.ticket && c.mayfly {
		config := configFor(k, k.client, c.identity, c.cert, nil)
		resumable(config, k.client, cache)
		if err := prime(c.dial(i, 'P'), config, k.client); err != nil {
			panic(fmt.Sprint(i, ": the child's first connection: ", err))
		}
	}
	random := c.dial(i, 'R')
	conn, key := c.secure(k, c.dial(i, 'T'), random, cache)
	done := make(chan error)
	go onStack(k.deep, func() { done <- conn.Handshake() })
	if err := <-done; err != nil {
		panic(fmt.Sprint(i, ": the child's handshake: ", err))
	}
	if k.moved && c.mayfly {
		onStack(k.deep, func() { conn = c.move(k, conn.(*mayfly.Conn), key) })
	}
	key.Wipe()
	onStack(k.deep, func() { c.serve(conn) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stores = append(c.stores, cache)
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
	c.mu.Lock()
	c.kept = append(c.kept, conn)
	c.mu.Unlock()
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
	if k.ticket {
		resumable(config, k.client, cache)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, conn)
}

// onStack runs f, below 64 KiB of stack if deep.
func onStack(deep bool, f func()) {
	if deep {
		var frame [64 << 10]byte
		defer func() { frame[0]++ }()
	}
	f()
}
