// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Command firstrecord counts the connections on which a server loses data of a client that
// writes, closes and never reads. It connects over the loopback interface: to lower that
// one's rate, run it in a network namespace.
//
//	ip netns add slow
//	ip netns exec slow ip link set lo mtu 1500 up
//	ip netns exec slow tc qdisc add dev lo root tbf rate 8mbit burst 32kb latency 400ms
//	ip netns exec slow firstrecord
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/mayfly-tls/mayfly"
)

var (
	rounds  = flag.Int("n", 30, "connections for each number")
	clients = flag.String("client", "go", "the client: go (crypto/tls), go-sessions (with a session cache), openssl (Python's ssl)")
)

// A measurement is one row of the table.
type measurement struct {
	auth  string
	size  int
	peers mayfly.Peers
	mode  tls.ClientAuthType
}

func main() {
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	cert, _, err := certificate("")
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "firstrecord")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	shown, file, err := certificate(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("| client authentication | size | mayfly | crypto/tls |\n|---|---|---|---|\n")
	for _, m := range []measurement{
		{"none", 0, mayfly.NoClientAuth(), tls.NoClientCert},
		{"optional", 0, mayfly.AnyOf(mayfly.AnyKey(), mayfly.NoClientAuth()), tls.RequestClientCert},
		{"required", 0, mayfly.AnyKey(), tls.RequireAnyClientCert},
	} {
		for _, size := range []int{20_000, 4_000_000} {
			m.size = size
			ours, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Certificates: []tls.Certificate{cert}, Peers: m.peers})
			if err != nil {
				log.Fatal(err)
			}
			theirs, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: m.mode})
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("| %s | %d | %d | %d |\n", m.auth, size, m.lost(ours, shown, file), m.lost(theirs, shown, file))
		}
	}
}

// lost counts the connections on which less arrives than was written.
func (m measurement) lost(ln net.Listener, cert tls.Certificate, file string) (lost int) {
	defer ln.Close()
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "server.example"}
	if *clients == "go-sessions" {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	if m.auth != "none" {
		config.Certificates = []tls.Certificate{cert}
	}
	for range *rounds {
		arrived := make(chan bool, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				log.Print(err)
				arrived <- false
				return
			}
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			n, _ := io.Copy(io.Discard, conn) // Python's ssl sends no close_notify
			arrived <- n == int64(m.size)
		}()
		var err error
		if *clients == "openssl" {
			err = pythonWrites(ln.Addr(), m, file)
		} else {
			err = goWrites(ln.Addr(), m, config)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the client:", err)
		}
		if !<-arrived {
			lost++
		}
	}
	return lost
}

func goWrites(addr net.Addr, m measurement, config *tls.Config) error {
	conn, err := tls.Dial("tcp", addr.String(), config)
	if err != nil {
		return err
	}
	_, err = conn.Write(make([]byte, m.size))
	if closed := conn.Close(); err == nil {
		err = closed
	}
	return err
}

const script = `
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if sys.argv[3] != "none":
    context.load_cert_chain(sys.argv[4])
conn = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="server.example")
conn.sendall(bytes(int(sys.argv[2])))
conn.close()
`

func pythonWrites(addr net.Addr, m measurement, file string) error {
	port := strconv.Itoa(addr.(*net.TCPAddr).Port)
	out, err := exec.Command("python3", "-c", script, port, strconv.Itoa(m.size), m.auth, file).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// certificate makes a certificate, and in dir, if that is not empty, a file of it and its key
// for Python.
func certificate(dir string) (cert tls.Certificate, file string, err error) {
	identity, err := mayfly.GenerateIdentity()
	if err != nil {
		return cert, "", err
	}
	if cert, err = identity.SelfSigned("server.example"); err != nil || dir == "" {
		return cert, "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return cert, "", err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	file = filepath.Join(dir, "client.pem")
	return cert, file, os.WriteFile(file, text, 0o600)
}
