// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
)

// demoRekey makes keys change during the demo; the default policy would not.
var demoRekey = mayfly.RekeyPolicy{Bytes: 3 << 20, MinInterval: -1}

func demoCommand() *cobra.Command {
	var megabytes int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Send a file both ways between two processes, and prove that it arrived",
		Long: `Make two keys, listen on loopback, dial as a second process, send a file each way at
the same time, and say what happened: who authenticated whom, by which suite and
group, how many records and bytes, how fast, and how often keys were changed and
destroyed. That what arrived is what was sent is shown by SHA-256.`,
		Example: "  mayfly demo --size 256",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if megabytes < 1 || megabytes > 4096 {
				return errors.New("--size is from 1 to 4096")
			}
			dir, err := os.MkdirTemp("", "mayfly-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if err := demo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), dir, int64(megabytes)<<20); err != nil {
				return connectionError{err}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&megabytes, "size", 16, "size of each file in `MiB`")
	return cmd
}

// A report is what one process tells of its connection.
type report struct {
	Suite, Group, Peer string
	Sent, Received     string // SHA-256 of the files
	Stats              mayfly.Stats
	Destroyed          int64 // sets of keys
	Seconds            float64
}

// demo is the server's side, and the account of both.
func demo(ctx context.Context, out, stderr io.Writer, dir string, size int64) error {
	serverKey, err := demoKey(filepath.Join(dir, "server.key"))
	if err != nil {
		return err
	}
	clientFile := filepath.Join(dir, "client.key")
	clientKey, err := demoKey(clientFile)
	if err != nil {
		return err
	}
	if err := errors.Join(demoFile(filepath.Join(dir, "server.file"), size, 1), demoFile(filepath.Join(dir, "client.file"), size, 2)); err != nil {
		return err
	}
	fmt.Fprintf(out, "two keys      server %s\n              client %s\n", serverKey.Pin(), clientKey.Pin())

	var destroyed atomic.Int64
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{
		Identity: serverKey,
		Peers:    mayfly.Pins(clientKey.Pin()),
		Rekey:    demoRekey,
		Trace:    countDestroyed(&destroyed),
	})
	if err != nil {
		return err
	}
	defer ln.Close()
	fmt.Fprintf(out, "listening     %v\n", ln.Addr())

	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	child, err := startSecond(ctx, stderr, self, ln.Addr().String(), clientFile, serverKey.Pin().String(), dir)
	if err != nil {
		return err
	}
	defer child.kill()
	go func() { // a second process that fails must not leave Accept waiting
		<-child.ended
		_ = ln.Close()
	}()

	conn, err := ln.AcceptConn()
	if err != nil {
		return errors.Join(err, child.wait())
	}
	defer conn.Close()
	server, err := exchange(conn, filepath.Join(dir, "server.file"), filepath.Join(dir, "from-client.file"))
	if err != nil {
		return errors.Join(err, child.wait())
	}
	other, verdict, err := child.examine()
	if err != nil {
		return fmt.Errorf("the second process: %w", errors.Join(err, child.wait()))
	}
	if err := conn.Close(); err != nil {
		return err
	}
	server.Destroyed = destroyed.Load()
	if err := child.wait(); err != nil {
		return err
	}
	if err := account(out, child.cmd.Process.Pid, server, other); err != nil {
		return err
	}
	if err := demoResumption(ctx, out, serverKey, clientKey); err != nil {
		return fmt.Errorf("resumption: %w", err)
	}
	fmt.Fprintln(out, "ok: each side knew the other by its key, and what arrived is what was sent")
	fmt.Fprintf(out, "memory        %s\n", verdict)
	return nil
}

// account prints both reports, and is an error where what arrived is not what was
// sent.
func account(out io.Writer, pid int, server, client report) error {
	fmt.Fprintf(out, "processes     client %d, server %d\n", pid, os.Getpid())
	fmt.Fprintf(out, "handshake     TLS 1.3, %s, %s\n", server.Suite, server.Group)
	fmt.Fprintf(out, "server knows  %s\nclient knows  %s\n", server.Peer, client.Peer)
	for _, way := range []struct {
		name     string
		from, to report
	}{{"client sent", client, server}, {"server sent", server, client}} {
		if way.from.Sent != way.to.Received || way.to.Received == "" {
			return fmt.Errorf("%s a file with SHA-256 %s, and one with %s arrived", way.name, way.from.Sent, way.to.Received)
		}
		s := way.from.Stats
		fmt.Fprintf(out, "%s   %d bytes in %d records, %.0f MiB/s, keys changed %d times\n", way.name,
			s.BytesSent, s.RecordsSent, float64(s.BytesSent)/(1<<20)/way.from.Seconds, s.KeysSent)
		fmt.Fprintf(out, "  arrived     SHA-256 %s, the same on both sides\n", way.to.Received)
	}
	fmt.Fprintf(out, "keys          %d traffic keys wiped by the server, %d by the client\n", server.Destroyed, client.Destroyed)
	return nil
}

// demoClientCommand is the second process.
func demoClientCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "demo-client ADDR KEY PIN DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, dir := args[0], args[3]
			id, err := mayfly.LoadIdentity(args[1])
			if err != nil {
				return err
			}
			peers, err := mayfly.ParsePins(args[2])
			if err != nil {
				return err
			}
			var destroyed atomic.Int64
			config := &mayfly.Config{Identity: id, Peers: peers, Rekey: demoRekey, Trace: countDestroyed(&destroyed)}
			if canMeasure {
				config.KeyLogWriter = os.NewFile(3, "secrets for the first process to look for")
			}
			d := &mayfly.Dialer{Confirm: true, Config: config}
			conn, err := d.DialConn(cmd.Context(), "tcp", addr)
			if err != nil {
				return connectionError{err}
			}
			defer conn.Close()
			r, err := exchange(conn, filepath.Join(dir, "client.file"), filepath.Join(dir, "from-server.file"))
			if err != nil {
				return connectionError{err}
			}
			return beExamined(cmd, conn, r, &destroyed)
		},
	}
}

func countDestroyed(n *atomic.Int64) *mayfly.Trace {
	return &mayfly.Trace{KeysDestroyed: func(context.Context, mayfly.KeyInfo) { n.Add(1) }}
}

// exchange sends one file and receives another at the same time, and reports.
func exchange(conn *mayfly.Conn, send, receive string) (report, error) {
	state := conn.ConnectionState()
	r := report{Suite: tls.CipherSuiteName(state.CipherSuite), Group: state.CurveID.String(), Peer: describe(conn.Peer())}
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		var err error
		if r.Sent, err = copyFile(conn, send); err == nil {
			err = conn.CloseWrite()
		}
		r.Seconds = time.Since(start).Seconds()
		sent <- err
	}()
	sum, err := saveFile(receive, conn)
	if err = errors.Join(err, <-sent); err != nil {
		return report{}, err
	}
	r.Received, r.Stats = sum, conn.Stats()
	return r, nil
}

// copyFile sends a file and returns its SHA-256.
func copyFile(w io.Writer, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(w, io.TeeReader(f, h), make([]byte, 128<<10)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// saveFile receives a file, reads it again from the disk, and returns its SHA-256.
func saveFile(name string, r io.Reader) (string, error) {
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// demoKey makes a key, saves it, and loads it as any program would.
func demoKey(name string) (*mayfly.Identity, error) {
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		return nil, err
	}
	if err := saveKey(name, id, nil); err != nil {
		return nil, err
	}
	return mayfly.LoadIdentity(name)
}

// demoFile makes a file of pseudo-random bytes.
func demoFile(name string, size int64, seed byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{seed}), size)
	return errors.Join(err, f.Close())
}
