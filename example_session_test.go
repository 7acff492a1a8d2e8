// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/mayfly-tls/mayfly"
)

// A client saves its sessions, and resumes one in the next process.
func ExampleLoadSessions() {
	serverID, clientID := must(), must()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: serverID,
		Peers:    mayfly.Pins(clientID.Pin()),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "welcome")
			conn.Close()
		}
	}()

	dir, err := os.MkdirTemp("", "sessions")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "sessions")
	key := mayfly.GenerateSealingKey() // NewSealingKey takes one that is kept somewhere

	for range 2 {
		sessions, err := mayfly.LoadSessions(file, key, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			sessions = mayfly.NewSessionCache(0)
		case err != nil:
			log.Print(err) // and a full handshake
			sessions = mayfly.NewSessionCache(0)
		}
		conn, err := mayfly.Dial("tcp", ln.Addr().String(), &mayfly.Config{
			Identity:   clientID,
			Peers:      mayfly.Pins(serverID.Pin()),
			ServerName: "db.example",
			Sessions:   sessions,
		})
		if err != nil {
			log.Fatal(err)
		}
		said := make([]byte, len("welcome"))
		if _, err := conn.Read(said); err != nil { // and with it the tickets
			log.Fatal(err)
		}
		fmt.Printf("%s, resumed: %v\n", said, conn.Peer().Resumed)
		conn.Close()
		if err := mayfly.SaveSessions(file, key, sessions); err != nil {
			log.Fatal(err)
		}
		sessions.Wipe()
	}
	// Output:
	// welcome, resumed: false
	// welcome, resumed: true
}
