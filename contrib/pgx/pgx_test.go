// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build unix

package mayflypgx_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
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
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mayfly-tls/mayfly"
	mayflypgx "github.com/mayfly-tls/mayfly/contrib/pgx"
)

const password = "only of this test" // of a server that lives as long as the test

// program returns the path of one of PostgreSQL's programs.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1]
	}
	if os.Getenv("MAYFLY_REQUIRE_PEERS") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// startPostgreSQL starts a server that asks for a password by SCRAM-SHA-256, and returns
// its socket.
func startPostgreSQL(t *testing.T) (socket string) {
	t.Helper()
	initdb, postgres := program(t, "initdb"), program(t, "postgres")
	dir, err := os.MkdirTemp("", "mayfly") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	as := new(syscall.SysProcAttr)
	if os.Getuid() == 0 { // it does not serve root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		for _, name := range []string{dir, secret} {
			if err := os.Chown(name, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(t.Context(), initdb, "-D", data, "-A", "scram-sha-256", "-U", "app", "--pwfile", secret, "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = as, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	cmd = exec.Command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.SysProcAttr, cmd.Dir = as, dir
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	})
	for s := bufio.NewScanner(said); s.Scan(); {
		if strings.Contains(s.Text(), "ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return filepath.Join(dir, ".s.PGSQL.5432")
		}
	}
	t.Fatal("PostgreSQL does not begin")
	return ""
}

// serve carries connections of clients that peers accepts to the socket.
func serve(t *testing.T, socket string, id *mayfly.Identity, peers mayfly.Peers) (addr string) {
	t.Helper()
	ln, err := mayfly.Listen("tcp", "127.0.0.1:0", &mayfly.Config{Identity: id, Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				target, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				defer target.Close()
				ended := make(chan bool, 2)
				go func() { _, _ = io.Copy(target, c); ended <- true }()
				go func() { _, _ = io.Copy(c, target); ended <- true }()
				<-ended // PostgreSQL has no half-close
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	return ln.Addr().String()
}

// setting is a database behind mayfly, and what a client needs to reach it.
type setting struct {
	url    string
	secure *mayfly.Config
}

func newSetting(t *testing.T) setting {
	t.Helper()
	socket := startPostgreSQL(t)
	server, client := identity(t), identity(t)
	addr := serve(t, socket, server, mayfly.Pins(client.Pin()))
	return setting{
		"postgres://app:" + strings.ReplaceAll(password, " ", "%20") + "@" + addr + "/postgres",
		&mayfly.Config{Identity: client, Peers: mayfly.Pins(server.Pin())},
	}
}

func identity(t *testing.T) *mayfly.Identity {
	t.Helper()
	id, err := mayfly.GenerateIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// config is pgx's, which would use TLS of its own where the server has that.
func (s setting) config(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(s.url + "?sslmode=prefer")
	if err != nil {
		t.Fatal(err)
	}
	mayflypgx.Use(config, s.secure)
	return config
}

// TestDatabaseSQL uses a database as programs do.
func TestDatabaseSQL(t *testing.T) {
	t.Parallel()
	s := newSetting(t)
	db := stdlib.OpenDB(*s.config(t))
	defer db.Close()
	ctx := t.Context()
	if _, err := db.ExecContext(ctx, "CREATE TABLE t (id int PRIMARY KEY, v text)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO t SELECT i, 'value ' || i FROM generate_series(1, $1) i", 10_000); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows after a rollback, %v", n, err)
	}
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 50 {
				if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES ($1, $2)", w*50+i, fmt.Sprint("value ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n != 400 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// TestCopy has several MiB go through COPY in both directions.
func TestCopy(t *testing.T) {
	t.Parallel()
	s := newSetting(t)
	c, err := pgx.ConnectConfig(t.Context(), s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE TEMP TABLE t (id int, v text)"); err != nil {
		t.Fatal(err)
	}
	var rows [][]any
	for i := range 20_000 {
		rows = append(rows, []any{i, strings.Repeat(string(rune('a'+i%26)), 300)})
	}
	if n, err := c.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"id", "v"}, pgx.CopyFromRows(rows)); err != nil || n != int64(len(rows)) {
		t.Fatalf("%d rows went, %v", n, err)
	}
	var text strings.Builder
	if _, err := c.PgConn().CopyTo(t.Context(), &text, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT"); err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(text.String()) {
		if want := fmt.Sprintf("%d\t%s\n", i, rows[i][1]); line != want {
			t.Fatalf("row %d is %q", i, line)
		}
		i++
	}
	if i != len(rows) || text.Len() < 6_000_000 {
		t.Errorf("%d rows came back, %d bytes", i, text.Len())
	}
	conn, ok := c.PgConn().Conn().(*mayfly.Conn)
	if !ok {
		t.Fatalf("pgx has a %T", c.PgConn().Conn())
	}
	if n := conn.Stats().BytesReceived; n < 6_000_000 {
		t.Errorf("%d bytes came through mayfly", n)
	}
}

// TestCancel ends a query by its context: the request for that goes through mayfly too.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSetting(t)
	c, err := pgx.ConnectConfig(t.Context(), s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	ended := make(chan error)
	go func() {
		_, err := c.Exec(t.Context(), "SELECT pg_sleep(600)")
		ended <- err
	}()
	watch, err := pgx.ConnectConfig(t.Context(), s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(context.Background())
	for n := 0; n == 0; { // until it sleeps
		if err := watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var refused *pgconn.PgError
	if err := <-ended; !errors.As(err, &refused) || refused.Code != "57014" { // query_canceled
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, "SELECT pg_sleep(600)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestRefused connects where either side is not who the other expects: connecting fails
// before a password is sent.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSetting(t)
	for name, wrong := range map[string]*mayfly.Config{
		"the server": {Identity: s.secure.Identity, Peers: mayfly.Pins(identity(t).Pin())},
		"the client": {Identity: identity(t), Peers: s.secure.Peers},
	} {
		bad := setting{s.url, wrong}
		_, err := pgx.ConnectConfig(t.Context(), bad.config(t))
		refusal, ok := errors.AsType[*mayfly.AlertError](err)
		if !ok || refusal.Remote != (name == "the client") || strings.Contains(err.Error(), password) {
			t.Errorf("%s is wrong: %v", name, err)
		}
	}
	bad := s.config(t)
	bad.Password = "another"
	var refused *pgconn.PgError
	if _, err := pgx.ConnectConfig(t.Context(), bad); !errors.As(err, &refused) || refused.Code != "28P01" { // invalid_password
		t.Error(err)
	}
}

// TestUse shows what becomes of a configuration.
func TestUse(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("postgres://app@a.example:7000,b.example:7001/app?sslmode=prefer")
	if err != nil {
		t.Fatal(err)
	}
	secure := &mayfly.Config{Peers: mayfly.AnyKey()}
	mayflypgx.Use(config, secure)
	if config.TLSConfig != nil || len(config.Fallbacks) != 1 || config.Fallbacks[0].TLSConfig != nil || config.Fallbacks[0].Host != "b.example" {
		t.Errorf("%+v", config.Fallbacks)
	}
	if found, err := config.LookupFunc(t.Context(), "a.example"); err != nil || len(found) != 1 || found[0] != "a.example" {
		t.Errorf("%v, %v: names are for the dialer", found, err)
	}
	if secure.ServerName != "" {
		t.Error("the caller's Config was changed")
	}
}

func Example() {
	config, err := pgx.ParseConfig("postgres://app@db.example:7000/app")
	if err != nil {
		panic(err)
	}
	id, err := mayfly.GenerateIdentity() // in earnest: LoadIdentity
	if err != nil {
		panic(err)
	}
	mayflypgx.Use(config, &mayfly.Config{Identity: id, Peers: mayfly.MustParsePins("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})
	db := stdlib.OpenDB(*config) // connects when it is used
	fmt.Println(db.Stats().OpenConnections)
	// Output: 0
}
