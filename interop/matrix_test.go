// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// Suites and groups in the order in which the table has them.
var (
	suites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
	groups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}
)

// A role is what the other program is in a connection.
type role string

const (
	asClient role = "client"
	asServer role = "server"
)

// A credential is what one side of a connection proves itself with.
type credential int

const (
	nothing credential = iota
	certificate
	rawKey
	plainPSK
	importedPSK
)

// An authentication says what each side proves itself with, and by what it is
// recognised.
type authentication struct {
	name           string
	server, client credential
	pin            bool // we, and curl, know keys and no authority
}

var (
	x509Server     = authentication{name: "X.509", server: certificate}
	x509Mutual     = authentication{name: "X.509, mutual", server: certificate, client: certificate}
	x509Pinned     = authentication{name: "X.509, pinned", server: certificate, pin: true}
	x509PinnedBoth = authentication{name: "X.509, pinned, mutual", server: certificate, client: certificate, pin: true}
	rawServer      = authentication{name: "raw key", server: rawKey}
	rawMutual      = authentication{name: "raw keys, mutual", server: rawKey, client: rawKey}
	rawThenX509    = authentication{name: "raw key / X.509 client", server: rawKey, client: certificate}
	x509ThenRaw    = authentication{name: "X.509 / raw key client", server: certificate, client: rawKey}
	pskPlain       = authentication{name: "PSK, plain", server: plainPSK, client: plainPSK}
	pskImported    = authentication{name: "PSK, imported", server: importedPSK, client: importedPSK}
)

// A cell is one connection of the matrix. A zero suite or group stands for
// every one of them, in a row that says why they were skipped.
type cell struct {
	peer  string
	role  role
	suite uint16
	group tls.CurveID
	auth  authentication
	key   keyKind // of the credentials of both sides
	retry bool    // the server asks for another key share
	with  string  // what else is tried
	alpn  string  // offered and to be agreed on, if not empty
}

// name is the cell's name as a subtest: no spaces and no slashes.
func (c cell) name() string {
	parts := []string{string(c.role), c.suiteName(), c.groupName(), c.authName(), c.with}
	name := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ",")
	return strings.NewReplacer(" / ", "-", ", ", "-", " ", "-", "/", "-").Replace(name)
}

func (c cell) suiteName() string {
	if c.suite == 0 {
		return "every"
	}
	return strings.TrimPrefix(tls.CipherSuiteName(c.suite), "TLS_")
}

func (c cell) groupName() string {
	switch c.group {
	case 0:
		return "every"
	case tls.CurveP256:
		return "secp256r1"
	default:
		return c.group.String()
	}
}

func (c cell) authName() string {
	if c.key == ecdsaP256 {
		return c.auth.name
	}
	return c.auth.name + ", " + string(c.key)
}

// other is a group that both sides know and that is not the cell's.
func (c cell) other() tls.CurveID {
	if c.group == tls.CurveP256 {
		return tls.X25519
	}
	return tls.CurveP256
}

// A table collects what came of each cell.
type table struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	cell
	result string
}

// matrix is the table of this run.
var matrix table

// record enters the result of c when t is done.
func (m *table) record(t *testing.T, c cell) {
	t.Cleanup(func() {
		switch {
		case t.Failed():
			m.add(c, "FAILED")
		case !t.Skipped():
			m.add(c, "ok")
		}
	})
}

func (m *table) add(c cell, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, row{c, result})
}

// print writes the table in an order that does not depend on that of the tests.
func (m *table) print(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rows) == 0 {
		return nil
	}
	slices.SortFunc(m.rows, row.compare)
	m.rows = slices.CompactFunc(m.rows, func(a, b row) bool { return a.compare(b) == 0 })

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PEER\tITS ROLE\tSUITE\tGROUP\tAUTHENTICATION\tWITH\tRESULT")
	for _, r := range m.rows {
		with := cmp.Or(r.with, "-")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.peer, r.role, r.suiteName(), r.groupName(), r.authName(), with, r.result)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, m.count())
	return err
}

func (r row) compare(o row) int {
	return cmp.Or(
		cmp.Compare(r.peer, o.peer),
		cmp.Compare(r.role, o.role),
		cmp.Compare(r.auth.name, o.auth.name),
		cmp.Compare(r.key, o.key),
		cmp.Compare(r.with, o.with),
		cmp.Compare(slices.Index(suites, r.suite), slices.Index(suites, o.suite)),
		cmp.Compare(slices.Index(groups, r.group), slices.Index(groups, o.group)),
		cmp.Compare(r.result, o.result),
	)
}

func (m *table) count() string {
	ok, failed, skipped := 0, 0, 0
	for _, r := range m.rows {
		switch r.result {
		case "ok":
			ok++
		case "FAILED":
			failed++
		default:
			skipped++
		}
	}
	return fmt.Sprintf("%d connections ok, %d failed; %d rows skipped", ok, failed, skipped)
}

// ourGroups are the groups that our side is set to, so that the two agree on
// the cell's: a client that is to be asked for another key share prefers one
// that the server does not take.
func (c cell) ourGroups() []tls.CurveID {
	if c.retry && c.role == asServer {
		return []tls.CurveID{c.other(), c.group}
	}
	return []tls.CurveID{c.group}
}

// theirGroups are the groups that the other program is set to.
func (c cell) theirGroups() []tls.CurveID {
	if c.retry && c.role == asClient {
		return []tls.CurveID{c.other(), c.group}
	}
	return []tls.CurveID{c.group}
}

// identities are our key and the other program's.
func (c cell) identities(t *testing.T) (ours, theirs *identity) {
	t.Helper()
	var err error
	us := asServer
	if c.role == asServer {
		us = asClient
	}
	if ours, err = keys.identity(c.key, us); err != nil {
		t.Fatal(err)
	}
	if theirs, err = keys.identity(c.key, c.role); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// run tries one cell as a subtest of t.
func (c cell) run(t *testing.T, try func(t *testing.T, c cell)) {
	t.Run(c.name(), func(t *testing.T) {
		t.Parallel()
		matrix.record(t, c)
		try(t, c)
	})
}

// everyCell visits every cell of a peer in both roles, and enters into the
// matrix what the peer lacks, in as few rows as say it.
func everyCell(peer string, auths []authentication, lacks func(authentication, tls.CurveID) string, visit func(cell)) {
	for _, r := range []role{asClient, asServer} {
		for _, auth := range auths {
			c := cell{peer: peer, role: r, auth: auth, key: ecdsaP256}
			if reason := lacks(auth, 0); reason != "" {
				matrix.add(c, "skipped: "+reason)
				continue
			}
			for _, c.group = range groups {
				c.suite = 0
				if reason := lacks(auth, c.group); reason != "" {
					matrix.add(c, "skipped: "+reason)
					continue
				}
				for _, c.suite = range suites {
					visit(c)
				}
			}
		}
	}
}
