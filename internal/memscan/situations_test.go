// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

// situationEnv makes the test binary a process in a situation, which stops itself where
// its memory is to be searched.
const situationEnv = "MAYFLY_TEST_SITUATION"

// A subject is the process whose memory is searched.
type subject struct {
	mayfly   bool
	addr     string // of the parent
	identity *mayfly.Identity
	cert     tls.Certificate

	mu   sync.Mutex
	kept []any // in use until the process ends
}

// situations are what programs do with connections.
var situations = []struct {
	name      string
	oursAlone bool
	run       func(*subject)
}{
	{"grown stack", false, (*subject).grownStack},
	{"bulk", false, func(s *subject) { s.bulk(20, 4<<20) }},
	{"rekey", true, (*subject).rekey},
	{"dropped", false, (*subject).dropped},
	{"profile 100 Hz", false, func(s *subject) { s.profiled(100) }},
	{"profile 500 Hz", false, func(s *subject) { s.profiled(500) }},
	{"GC", false, func(s *subject) { go collect(); s.bulk(6, 2<<20) }},
	{"HTTP", true, (*subject).http},
	{"handshakes", false, func(s *subject) { s.bulk(60, patternLen) }},
	{"round trips", false, (*subject).roundTrips},
	{"handoff", true, (*subject).handoff},
}

// burn keeps a processor busy until the process is killed.
func burn() {
	for n := 0; ; n++ {
	}
}

func runSituation(how string) {
	if how == "burn" {
		burn()
	}
	fields := strings.SplitN(how, " ", 3)
	s := &subject{mayfly: fields[0] == "mayfly", addr: fields[1]}
	var err error
	s.identity, s.cert, err = newIdentity()
	check(err)
	for _, x := range situations {
		if x.name == fields[2] {
			control := s.connect(intro{Fate: inUse, Client: true, Suite: tls.TLS_AES_128_GCM_SHA256, Amount: patternLen, Echo: false})
			_, err := io.ReadFull(control, make([]byte, patternLen))
			check(err)
			s.keep(control)
			x.run(s)
			stopHere()
			runtime.KeepAlive(s)
		}
	}
	os.Exit(1)
}

// stopHere stops every thread of the process. The caller waits where it is until then.
func stopHere() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_KILL, uintptr(syscall.Getpid()), uintptr(syscall.SIGSTOP), 0)
	for {
		_, _ = syscall.Select(0, nil, nil, nil, nil)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func collect() {
	for {
		runtime.GC()
	}
}

func (s *subject) keep(x any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, x)
}

// tell dials the parent and introduces the connection.
func (s *subject) tell(in intro) net.Conn {
	conn, err := net.Dial("tcp", s.addr)
	check(err)
	check(binary.Write(conn, binary.BigEndian, in))
	return conn
}

func (s *subject) config(in intro) *mayfly.Config {
	return configFor(kind{raw: true, suite: in.Suite, group: tls.X25519}, in.Client, s.identity, s.cert, nil)
}

func (s *subject) tlsConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		ClientAuth: tls.RequireAnyClientCert, CurvePreferences: []tls.CurveID{tls.X25519},
	}
}

// connect makes a connection with the parent.
func (s *subject) connect(in intro) secure {
	raw := s.tell(in)
	var conn secure
	switch {
	case s.mayfly && in.Client:
		conn = mayfly.Client(raw, s.config(in))
	case s.mayfly:
		conn = mayfly.Server(raw, s.config(in))
	case in.Client:
		conn = tls.Client(raw, s.tlsConfig())
	default:
		conn = tls.Server(raw, s.tlsConfig())
	}
	check(conn.HandshakeContext(context.Background()))
	return conn
}

// suiteOf takes the suites in turn, each in both roles.
func suiteOf(i int) uint16 {
	return []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}[i/2%3]
}

// many runs f for n connections at once.
func many(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// bulk echoes an amount on each of n connections, and closes them.
func (s *subject) bulk(n, amount int) {
	many(n, func(i int) {
		conn := s.connect(intro{Fate: closedByChild, Client: i%2 == 0, Suite: suiteOf(i), Amount: uint32(amount)})
		check(echoAmount(conn, amount))
		_ = conn.Close()
	})
}

// echoAmount echoes through a buffer that it clears.
func echoAmount(conn net.Conn, amount int) error {
	b := make([]byte, min(amount, 256<<10))
	defer clear(b)
	for ; amount > 0; amount -= len(b) {
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// grownStack writes from goroutines whose stacks have grown, while collections run.
func (s *subject) grownStack() {
	go collect()
	many(6, func(i int) {
		conn := s.connect(intro{Fate: closedByChild, Client: i%2 == 0, Suite: tls.TLS_CHACHA20_POLY1305_SHA256, Amount: 256 << 10})
		b := make([]byte, 256<<10)
		_, err := io.ReadFull(conn, b)
		check(err)
		recurse([]int{30, 100, 400}[i/2])
		for range 24 {
			_, err := conn.Write(b)
			check(err)
		}
		clear(b)
		_ = conn.Close()
	})
}

// recurse uses some KiB of stack.
//
//go:noinline
func recurse(kib int) byte {
	var frame [1 << 10]byte
	frame[kib%len(frame)] = byte(kib)
	if kib > 0 {
		frame[0] = recurse(kib - 1)
	}
	return frame[0] + frame[kib%len(frame)]
}

// rekey changes the keys in the middle of much data. The connections stay in use.
func (s *subject) rekey() {
	many(12, func(i int) {
		conn := s.connect(intro{Fate: rekeyed, Client: i%2 == 0, Suite: suiteOf(i), Amount: 2 << 20})
		s.keep(conn)
		check(echoAmount(conn, 2<<20))
		check(conn.(*mayfly.Conn).Rekey(context.Background()))
	})
}

// dropped accepts many connections at once, of which the program forgets the first, one
// in the middle and the last.
func (s *subject) dropped() {
	const n = 24
	var ln net.Listener
	var err error
	in := intro{Fate: listens, Suite: tls.TLS_AES_128_GCM_SHA256, Amount: patternLen, Number: n}
	if s.mayfly {
		ln, err = mayfly.Listen("tcp", "127.0.0.1:0", s.config(in))
	} else {
		ln, err = tls.Listen("tcp", "127.0.0.1:0", s.tlsConfig())
	}
	check(err)
	s.keep(ln)
	in.Port = uint16(ln.Addr().(*net.TCPAddr).Port)
	s.keep(s.tell(in))
	for i := range n {
		s.acceptOne(ln, i == 0 || i == n/2 || i == n-1)
	}
	for range 26 {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of the runtime's
	}
}

//go:noinline
func (s *subject) acceptOne(ln net.Listener, drop bool) {
	conn, err := ln.Accept()
	check(err)
	b := make([]byte, patternLen)
	_, err = io.ReadFull(conn, b)
	check(err)
	clear(b)
	fate := []byte{inUse}
	if drop {
		fate[0] = closedByChild
	} else {
		s.keep(conn)
	}
	_, err = conn.Write(fate)
	check(err)
	if drop {
		time.Sleep(5 * time.Millisecond) // until the parent has read that
	}
}

// profiled is bulk under a CPU profile.
func (s *subject) profiled(hz int) {
	if hz != 100 {
		runtime.SetCPUProfileRate(hz) // StartCPUProfile keeps the rate, and says so on stderr
	}
	check(pprof.StartCPUProfile(io.Discard))
	s.bulk(12, 4<<20)
}

// http serves requests over mayfly, and closes the server.
func (s *subject) http() {
	const n = 6
	in := intro{Fate: serves, Suite: tls.TLS_AES_128_GCM_SHA256, Number: n}
	config := s.config(in)
	config.NextProtos = mayflyhttp.NextProtos()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", config)
	check(err)
	in.Port = uint16(ln.Addr().(*net.TCPAddr).Port)
	var served sync.WaitGroup
	served.Add(10 * n)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer served.Done()
		_, _ = io.Copy(w, r.Body)
	})}
	go func() { _ = mayflyhttp.Serve(server, ln) }()
	s.keep(s.tell(in))
	served.Wait()
	_ = server.Close()
}

// roundTrips sends small records, and closes.
func (s *subject) roundTrips() {
	many(6, func(i int) {
		conn := s.connect(intro{Fate: closedByChild, Client: i%2 == 0, Suite: suiteOf(i), Amount: patternLen, Echo: true})
		b := make([]byte, patternLen)
		for range 2000 {
			_, err := io.ReadFull(conn, b)
			check(err)
			_, err = conn.Write(b)
			check(err)
		}
		clear(b)
		_ = conn.Close()
	})
}

// handoff detaches connections, attaches them, and closes them.
func (s *subject) handoff() {
	c := &child{identity: s.identity, cert: s.cert}
	s.keep(c)
	many(12, func(i int) {
		in := intro{Fate: closedByChild, Client: i%2 == 0, Suite: suiteOf(i), Amount: patternLen}
		conn := s.connect(in)
		next := c.move(kind{client: in.Client, raw: true, suite: in.Suite, group: tls.X25519}, conn.(*mayfly.Conn), nil)
		check(echoAmount(next, patternLen))
		_ = next.Close()
	})
}
