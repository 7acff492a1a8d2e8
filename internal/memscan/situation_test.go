// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && !race

package memscan_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/memscan"
	"github.com/mayfly-tls/mayfly/internal/suite"
	"github.com/mayfly-tls/mayfly/mayflyhttp"
)

var (
	runs   = flag.Int("runs", 1, "how often TestSituations runs each situation")
	only   = flag.String("situation", "", "the one situation that TestSituations runs; all if empty")
	loaded = flag.Bool("loaded", false, "TestSituations keeps every processor busy")
)

// An observed connection is one of the child's, as the parent sees it.
type observed struct {
	suite  uint16
	client bool // the child is the client
	fate   byte
	keyLog bytes.Buffer
	plain  []byte // the parent sends it again and again
}

// patternLen is the length of what the parent repeats. Each window of a longer
// plaintext is a window of the pattern's repetition.
const patternLen = 64

// needle is one secret of an observed connection.
type needle struct {
	name  string
	alive bool
	whole int // the length of a piece that gives the key away, 0 if none does; pieces of GHASH's key do not
}

// found is what one run found.
type found struct {
	keys, pieces, plaintext int
	alive                   bool // the secrets of the connection in use were found
	where                   []string
}

// TestSituations stops a process right after Close or Rekey, without a collection and
// without a wait, and searches its memory for what should be gone. The process runs with
// the default GODEBUG. A connection that is still in use is the positive control, and
// crypto/tls in the same situation is the other.
func TestSituations(t *testing.T) {
	if how := os.Getenv(situationEnv); how != "" {
		runSituation(how)
	}
	if *loaded {
		stop := make(chan struct{})
		defer close(stop)
		for range 2 * runtime.NumCPU() {
			startBurner(t)
		}
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "situation\truns\twith finds\ta key\tpieces\tplaintext\tcontrol\tcrypto/tls\t")
	for _, s := range situations {
		if *only != "" && s.name != *only {
			continue
		}
		var total struct{ any, keys, pieces, plaintext, alive, theirs, theirRuns int }
		var where []string
		for i := range *runs {
			f := observe(t, s.name, "mayfly", i)
			if f.keys+f.pieces+f.plaintext > 0 {
				total.any++
				where = append(where, f.where...)
			}
			total.keys += min(f.keys, 1)
			total.pieces += min(f.pieces, 1)
			total.plaintext += min(f.plaintext, 1)
			if f.alive {
				total.alive++
			}
			if !s.oursAlone && i < 5 {
				total.theirRuns++
				if f := observe(t, s.name, "tls", i); f.keys+f.pieces+f.plaintext > 0 {
					total.theirs++
				}
			}
		}
		theirs := "–"
		if !s.oursAlone {
			theirs = fmt.Sprintf("%d/%d", total.theirs, total.theirRuns)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", s.name, *runs, total.any, total.keys, total.pieces, total.plaintext, total.alive, theirs)
		if total.alive < *runs {
			t.Errorf("%s: the secrets of a connection in use were found in %d of %d runs: the scan does not work", s.name, total.alive, *runs)
		}
		if !s.oursAlone && total.theirs == 0 {
			t.Errorf("%s: crypto/tls leaves nothing: the scan does not work", s.name)
		}
		if total.any > 0 {
			t.Errorf("%s: %d of %d runs leave something\n%s", s.name, total.any, *runs, strings.Join(where[:min(len(where), 40)], "\n"))
		}
	}
	_ = w.Flush()
	t.Logf("%s, %s, loaded: %t; runs that found something\n%s", runtime.Version(), build, *loaded, table.String())
}

// startBurner starts a process that uses a processor until the test ends.
func startBurner(t *testing.T) {
	t.Helper()
	burner := exec.Command(os.Args[0], "-test.run=^TestSituations$")
	burner.Env = append(os.Environ(), situationEnv+"=burn")
	if err := burner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = burner.Process.Kill()
		_ = burner.Wait()
	})
}

// observe runs one situation in a child and searches the child where it stops.
func observe(t *testing.T, name, how string, run int) found {
	t.Helper()
	o := &observer{how: how}
	var err error
	if o.identity, o.cert, err = newIdentity(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go o.accept(listener)

	var output bytes.Buffer
	process := exec.Command(os.Args[0], "-test.run=^TestSituations$")
	process.Env = append(os.Environ(), situationEnv+"="+strings.Join([]string{how, listener.Addr().String(), name}, " "), "GODEBUG=")
	if run%2 == 0 {
		process.Env = append(process.Env, "GOMAXPROCS=2")
	}
	process.Stdout, process.Stderr = &output, &output
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
		o.end()
	}()
	late := time.AfterFunc(time.Minute, func() { _ = process.Process.Signal(syscall.SIGQUIT) }) // it is stuck: say where
	defer late.Stop()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(process.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("%s, %s: the child has not stopped: %v, %v\n%s", name, how, status, err, output.String())
		}
		break
	}
	var index memscan.Index
	needles, err := o.needles(&index)
	if err != nil {
		t.Fatalf("%s, %s: %v", name, how, err)
	}
	finds, err := index.Scan(process.Process.Pid)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	var f found
	for _, x := range finds {
		n := needles[x.Needle]
		switch {
		case n.alive:
			f.alive = true
			continue
		case n.name == "plaintext":
			f.plaintext++
		case n.whole > 0 && x.Length >= n.whole && !strings.HasPrefix(x.Form, "GHASH"):
			f.keys++
		default:
			f.pieces++
		}
		f.where = append(f.where, fmt.Sprintf("\t%s, %s: %d bytes at %x (%s)", n.name, x.Form, x.Length, x.Address, x.Where))
	}
	return f
}

// An observer is the parent's side of a child's connections.
type observer struct {
	how      string
	identity *mayfly.Identity
	cert     tls.Certificate

	mu    sync.Mutex
	conns []*observed
	raw   []net.Conn
}

// The fates of a connection of the child, which it announces when it dials.
const (
	closedByChild = 'c' // ended: everything should be gone
	inUse         = 'u' // in use: the positive control
	rekeyed       = 'k' // in use under new keys
	listens       = 'l' // no connection: the child listens, and the parent dials
	serves        = 'h' // no connection: the child serves HTTP
)

// intro is what the child says when it dials.
type intro struct {
	Fate   byte
	Client bool
	Echo   bool // the parent echoes what it reads, otherwise it discards that
	Suite  uint16
	Amount uint32 // how much the parent sends
	Port   uint16
	Number uint16 // of connections that the parent is to dial
}

func (o *observer) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		var in intro
		if err := binary.Read(conn, binary.BigEndian, &in); err != nil {
			_ = conn.Close()
			continue
		}
		o.mu.Lock()
		o.raw = append(o.raw, conn)
		o.mu.Unlock()
		addr := fmt.Sprintf("127.0.0.1:%d", in.Port)
		switch in.Fate {
		case listens:
			for range in.Number {
				raw, err := net.Dial("tcp", addr)
				if err != nil {
					panic(err)
				}
				o.mu.Lock()
				o.raw = append(o.raw, raw)
				o.mu.Unlock()
				go o.play(raw, in)
			}
		case serves:
			for range in.Number {
				go o.browse(addr, in)
			}
		default:
			go o.play(conn, in)
		}
	}
}

func (o *observer) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.raw {
		_ = c.Close()
	}
}

// register makes a connection one whose secrets are searched for.
func (o *observer) register(in intro) *observed {
	x := &observed{suite: in.Suite, client: in.Client, fate: in.Fate, plain: make([]byte, patternLen)}
	_, _ = rand.Read(x.plain)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conns = append(o.conns, x)
	return x
}

// config is the parent's.
func (o *observer) config(in intro, keyLog io.Writer) *mayfly.Config {
	k := kind{raw: o.how == "mayfly", suite: in.Suite, group: tls.X25519}
	config := configFor(k, !in.Client, o.identity, o.cert, nil)
	config.KeyLogWriter, config.Rekey.MinInterval = keyLog, -1
	return config
}

// play is the parent's end of one connection.
func (o *observer) play(raw net.Conn, in intro) {
	x := o.register(in)
	config := o.config(in, &x.keyLog)
	var conn *mayfly.Conn
	if in.Client {
		conn = mayfly.Server(raw, config)
	} else {
		conn = mayfly.Client(raw, config)
	}
	if conn.Handshake() != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = conn.Write(bytes.Repeat(x.plain, int(in.Amount)/patternLen))
	})
	b := make([]byte, 64<<10)
	for first := true; ; first = false {
		n, err := conn.Read(b)
		if err != nil {
			break
		}
		if in.Fate == listens && first {
			o.mu.Lock()
			x.fate = b[0]
			o.mu.Unlock()
		}
		if in.Echo {
			_, _ = conn.Write(b[:n])
		}
	}
	wg.Wait()
	_ = conn.Close()
}

// browse fetches from the child's HTTP server.
func (o *observer) browse(addr string, in intro) {
	in.Fate = closedByChild
	x := o.register(in)
	x.plain = nil // net/http has buffers of its own
	config := o.config(in, &x.keyLog)
	config.NextProtos = mayflyhttp.NextProtos()
	var transport http.RoundTripper = mayflyhttp.Transport(&mayfly.Dialer{Config: config})
	client := &http.Client{Transport: transport}
	for range 10 {
		resp, err := client.Post("https://"+addr, "text/plain", bytes.NewReader(make([]byte, 32<<10)))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	raw, err := net.Dial("tcp", addr) // the child counts who is done
	if err == nil {
		_ = raw.Close()
	}
}

// needles adds the secrets of the child's connections to an index.
func (o *observer) needles(index *memscan.Index) ([]needle, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []needle
	add := func(n needle, forms []memscan.Form) {
		index.Add(len(all), forms...)
		all = append(all, n)
	}
	for _, x := range o.conns {
		if x.fate == listens {
			return nil, errors.New("a connection has not said what became of it")
		}
		s := suite.ByID(suite.ID(x.suite))
		d := deriver{suite: s}
		traffic := func(name string, secret []byte, alive bool) error {
			if !alive {
				add(needle{name + " secret", false, s.HashLen}, memscan.Secret(s.NewHash, secret))
				add(needle{name + " Finished key", false, s.HashLen}, memscan.Secret(s.NewHash, d.expand(secret, "finished", nil, s.HashLen)))
				add(needle{name + " IV", false, 0}, memscan.Raw(d.expand(secret, "iv", nil, suite.NonceLen)))
			}
			key := d.expand(secret, "key", nil, s.KeyLen)
			whole, forms := s.KeyLen, memscan.Raw(key)
			if x.suite != tls.TLS_CHACHA20_POLY1305_SHA256 {
				var err error
				if forms, err = memscan.AES(key); err != nil {
					return err
				}
				whole = 16 // a round key
			}
			add(needle{name + " key", alive, whole}, forms)
			return nil
		}
		for line := range strings.Lines(x.keyLog.String()) {
			fields := strings.Fields(line)
			if len(fields) != 3 {
				continue
			}
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				return nil, err
			}
			label := fields[0]
			switch {
			case strings.HasSuffix(label, "HANDSHAKE_TRAFFIC_SECRET"):
				err = traffic("handshake", secret, false)
			case label == "CLIENT_EARLY_TRAFFIC_SECRET":
				err = traffic("early", secret, false)
			case strings.HasSuffix(label, "TRAFFIC_SECRET_0"):
				sentByChild := strings.HasPrefix(label, "CLIENT") == x.client
				alive := x.fate == inUse || x.fate == rekeyed && !sentByChild
				if err = traffic("traffic", secret, alive); err == nil && x.fate == closedByChild {
					err = traffic("next traffic", d.expand(secret, "traffic upd", nil, s.HashLen), false)
				}
			case label == "EXPORTER_SECRET" && x.fate == closedByChild:
				add(needle{"exporter secret", false, s.HashLen}, memscan.Secret(s.NewHash, secret))
			}
			if err != nil {
				return nil, err
			}
		}
		if x.fate != inUse && x.plain != nil {
			add(needle{"plaintext", false, 0}, memscan.Raw(bytes.Repeat(x.plain, 2)))
		}
	}
	return all, nil
}
