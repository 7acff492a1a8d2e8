// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

// Command restart is an echo server that replaces itself while its clients are
// connected: at SIGHUP it starts a new copy of its program, hands that the listening
// socket and every live connection, and goes. No client notices.
//
//	restart serve -listen 127.0.0.1:7000 -key server.key -client sha256//…
//	restart send -server-pin sha256//… -key client.key 127.0.0.1:7000
//
// send writes random data until its standard input ends, and compares the echo. It tells
// of each change of the server's keys.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"

	"github.com/mayfly-tls/mayfly"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say serve or send")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:7000", "where to listen")
	key := flags.String("key", "", "the `file` of this side's key")
	client := flags.String("client", "", "the `pin` of the clients")
	server := flags.String("server-pin", "", "the `pin` of the server")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	id, err := mayfly.LoadIdentity(*key)
	if err != nil {
		return err
	}
	pin := *client
	if args[0] == "send" {
		pin = *server
	}
	peers, err := mayfly.ParsePins(pin)
	if err != nil {
		return err
	}
	config := &mayfly.Config{Identity: id, Peers: peers}
	switch args[0] {
	case "serve":
		return serve(*listen, config)
	case "send":
		return send(flags.Arg(0), config)
	}
	return errors.New("say serve or send")
}

// send echoes random data off a server until the standard input ends.
func send(addr string, config *mayfly.Config) error {
	config.Trace = &mayfly.Trace{KeysInstalled: func(_ context.Context, k mayfly.KeyInfo) {
		if k.Direction == mayfly.Receiving && k.Generation > 0 {
			fmt.Println("keys", k.Generation) // all that is to be seen of a restart
		}
	}}
	conn, err := mayfly.Dial("tcp", addr, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		stop.Store(true)
	}()
	sent, failed := sha256.New(), make(chan error, 1)
	go func() {
		random := rand.NewChaCha8([32]byte{1})
		p := make([]byte, 48<<10)
		for !stop.Load() {
			_, _ = random.Read(p)
			sent.Write(p)
			if _, err := conn.Write(p); err != nil {
				failed <- err
				return
			}
		}
		failed <- conn.CloseWrite()
	}()
	echoed := sha256.New()
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return err
	}
	echoed.Write(first)
	fmt.Println("flowing")
	n, err := io.Copy(echoed, conn)
	if err := errors.Join(err, <-failed); err != nil {
		return err
	}
	if [32]byte(sent.Sum(nil)) != [32]byte(echoed.Sum(nil)) {
		return errors.New("what came back is not what was sent")
	}
	fmt.Printf("equal %d bytes, %d and %d keys\n", n+1, conn.Stats().KeysSent, conn.Stats().KeysReceived)
	return nil
}
