// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package main

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestTunnelPostgreSQL has PostgreSQL behind the tunnel, and psql before it, of which
// neither knows of it. A session, with what belongs to it alone, goes on while both ends
// of the tunnel are replaced.
func TestTunnelPostgreSQL(t *testing.T) {
	psql := peerProgram(t, "psql")
	server, client := tunnels(t, "unix:"+startPostgreSQL(t))
	_, port, _ := net.SplitHostPort(client.addr)
	url := "host=127.0.0.1 user=app dbname=postgres port=" + port
	run := func(stdin, statement string) string {
		cmd := exec.CommandContext(bounded(t), psql, "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement, url)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", statement, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	const rows = 50_000
	var table strings.Builder
	for i := range rows {
		fmt.Fprintf(&table, "%d\tvalue %d\n", i, i*i)
	}
	run("", "CREATE TABLE t (id int, v text)")
	if got := run(table.String(), "COPY t FROM STDIN"); got != fmt.Sprint("COPY ", rows) {
		t.Errorf("COPY: %s", got)
	}

	session := newSession(t, psql, url)
	session.ask("CREATE TEMP TABLE kept (v int)", "CREATE TABLE")
	session.ask("INSERT INTO kept SELECT generate_series(1, 1000)", "INSERT 0 1000")
	session.ask("BEGIN", "BEGIN")
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			sum := md5.Sum([]byte(table.String()))
			want := hex.EncodeToString(sum[:])
			if got := run("", `SELECT md5(string_agg(id || E'\t' || v || E'\n', '' ORDER BY id)) FROM t`); got != want {
				t.Errorf("the table's sum is %s, not %s", got, want)
			}
			if got := run("", "COPY (SELECT * FROM t ORDER BY id) TO STDOUT"); got != strings.TrimSpace(table.String()) {
				t.Errorf("%d bytes of the table came, and it has %d", len(got), table.Len())
			}
		})
	}
	for _, p := range []*tunnelProcess{server, client} {
		p.signal(syscall.SIGHUP)
		p.await("reloaded")
		p.replace()
	}
	session.ask("SELECT sum(v) FROM kept", "500500")
	session.ask("COMMIT", "COMMIT")
	session.end()
	readers.Wait()
}

// startPostgreSQL starts a server on a Unix socket. It refuses to be root.
func startPostgreSQL(t *testing.T) (socket string) {
	t.Helper()
	initdb, postgres := peerProgram(t, "initdb"), peerProgram(t, "postgres")
	dir := shortDir(t)
	as := new(syscall.SysProcAttr)
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(bounded(t), initdb, "-D", data, "-A", "trust", "-U", "app", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = as, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	cmd = exec.Command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.SysProcAttr, cmd.Dir = as, dir
	startPeer(t, cmd, "ready to accept connections")
	return filepath.Join(dir, ".s.PGSQL.5432")
}

// A psqlSession is a psql that is told one statement after the other.
type psqlSession struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newSession(t *testing.T, psql, url string) *psqlSession {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), psql, "-X", "-At", "-v", "ON_ERROR_STOP=1", url)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &psqlSession{t, cmd, in, bufio.NewScanner(out)}
}

// ask has a statement answered.
func (s *psqlSession) ask(statement, want string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, statement+";\n"); err != nil {
		s.t.Fatal(err)
	}
	if !s.out.Scan() || s.out.Text() != want {
		s.t.Fatalf("%s: %q, %v; want %q", statement, s.out.Text(), s.out.Err(), want)
	}
}

func (s *psqlSession) end() {
	s.t.Helper()
	_ = s.in.Close()
	if err := s.cmd.Wait(); err != nil {
		s.t.Error(err)
	}
}
