// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// A listFile is a file of pins, each version of which has a time of its own.
type listFile struct {
	t    *testing.T
	path string
	time time.Time
}

func newListFile(t *testing.T) *listFile {
	return &listFile{t, filepath.Join(t.TempDir(), "list"), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (f *listFile) write(lines ...string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.time = f.time.Add(time.Hour)
	f.touch()
}

// touch sets the file's time.
func (f *listFile) touch() {
	f.t.Helper()
	if err := os.Chtimes(f.path, f.time, f.time); err != nil {
		f.t.Fatal(err)
	}
}

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	db, web, stranger := seeded(1), seeded(2), seeded(3)
	f := newListFile(t)
	f.write("# our servers", "", "  db.example "+db.Pin().String()+" since May", "DB.example.\t"+web.Pin().String()+"\r",
		"web.example "+web.Pin().String(), "2001:DB8:0::1 "+web.Pin().String(), "10.0.0.1 "+db.Pin().String())
	peers := KnownHosts(f.path)
	if err := peers.validate(false, configFacts{ServerName: "db.example"}); err != nil {
		t.Fatal(err)
	}
	if !peers.explicitName() || !AnyOf(AnyKey(), AllOf(peers)).explicitName() {
		t.Error("the name may come from the address")
	}
	for _, test := range []struct {
		name string
		id   *Identity
		says string
	}{
		{"db.example", db, ""},
		{"db.example", web, ""},
		{"Db.Example.", db, ""},
		{"web.example", web, ""},
		{"2001:db8::1", web, ""},
		{"[2001:db8::1]", web, ""},
		{"10.0.0.1", db, ""},
		{"web.example", db, "has another key for web.example"},
		{"web.example", stranger, "has another key for web.example"},
		{"other.example", db, "add the line: other.example " + db.Pin().String()},
		{"OTHER.example", stranger, "add the line: other.example " + stranger.Pin().String()},
	} {
		got, err := peers.judge(t.Context(), asClient(test.name), rawPeer(t, test.id))
		if test.says == "" {
			if err != nil || got.Name != test.name || got.Pin != test.id.Pin() {
				t.Errorf("%s: %+v, %v", test.name, got, err)
			}
			continue
		}
		if alert.Of(err) != alert.AccessDenied || !errors.Is(err, ErrPeerRefused) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), f.path) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	cert, err := web.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := peers.judge(t.Context(), asClient("web.example"), certPeer(t, cert)); err != nil || got.Kind != X509 {
		t.Errorf("a certificate with the key: %v, %v", got.Kind, err)
	}

	// The line that the error gives is the line to add.
	_, err = peers.judge(t.Context(), asClient("new.example"), rawPeer(t, stranger))
	_, line, _ := strings.Cut(fmt.Sprint(errors.Unwrap(err)), "add the line: ")
	f.write(line)
	if _, err := peers.judge(t.Context(), asClient("new.example"), rawPeer(t, stranger)); err != nil {
		t.Errorf("with the line %q: %v", line, err)
	}
	if _, err := peers.judge(t.Context(), asClient("db.example"), rawPeer(t, db)); !errors.Is(err, ErrPeerRefused) {
		t.Errorf("a line that is gone: %v", err)
	}
}

// TestKnownHostsAbsent begins without a file.
func TestKnownHostsAbsent(t *testing.T) {
	t.Parallel()
	f := newListFile(t)
	db := seeded(1)
	peers := KnownHosts(f.path)
	if err := peers.validate(false, configFacts{ServerName: "db.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := peers.judge(t.Context(), asClient("db.example"), rawPeer(t, db)); !errors.Is(err, ErrPeerRefused) || !strings.Contains(err.Error(), "add the line") {
		t.Errorf("without a file: %v", err)
	}
	f.write("db.example " + db.Pin().String())
	if _, err := peers.judge(t.Context(), asClient("db.example"), rawPeer(t, db)); err != nil {
		t.Errorf("with the file: %v", err)
	}
}

func TestAuthorizedKeys(t *testing.T) {
	t.Parallel()
	alice, alice2, bob := seeded(1), seeded(2), seeded(3)
	f := newListFile(t)
	f.write("\ufeff# who may", alice.Pin().String()+" alice her laptop", "\t"+alice2.Pin().String()+"\talice", "")
	peers := AuthorizedKeys(f.path)
	if err := peers.validate(true, configFacts{}); err != nil {
		t.Fatal(err)
	}
	check := func(id *Identity, want string) {
		t.Helper()
		got, err := peers.judge(t.Context(), asServer(), rawPeer(t, id))
		if want != "" && (err != nil || got.Name != want) {
			t.Errorf("%q, %v, want %q", got.Name, err, want)
		}
		if want == "" && (alert.Of(err) != alert.AccessDenied || !errors.Is(err, ErrPeerRefused) || !strings.Contains(err.Error(), id.Pin().String())) {
			t.Errorf("%q, %v, want a refusal", got.Name, err)
		}
	}
	check(alice, "alice")
	check(alice2, "alice")
	check(bob, "")

	f.write(alice.Pin().String()+" alice", bob.Pin().String()+" bob")
	check(alice2, "")
	check(bob, "bob")
	f.write(alice.Pin().String()+" alice", bob.Pin().String()+" rob") // of the same size
	check(bob, "rob")

	// Of the same size and time, by another file in its place.
	other := f.path + ".new"
	if err := os.WriteFile(other, []byte(alice.Pin().String()+" alice\n"+bob.Pin().String()+" hob"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, f.path); err != nil {
		t.Fatal(err)
	}
	f.touch()
	check(bob, "hob")

	// Damaged, and gone: the old lines stay.
	f.write(alice.Pin().String() + " alice\nnonsense")
	check(alice, "alice")
	check(bob, "hob")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	check(bob, "hob")
	f.write(alice.Pin().String() + " alice")
	check(alice, "alice")
	check(bob, "")
	f.write("")
	check(alice, "")
}

// TestRacyChange changes a file twice within its file system's unit of time,
// without a change of its size.
func TestRacyChange(t *testing.T) {
	t.Parallel()
	alice, bob := seeded(1), seeded(2)
	f := newListFile(t)
	f.time = time.Now()
	f.write(alice.Pin().String() + " alice")
	f.time = time.Now().Add(time.Minute) // not long ago, and will not be soon
	f.touch()
	peers := AuthorizedKeys(f.path)
	if _, err := peers.judge(t.Context(), asServer(), rawPeer(t, alice)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path, []byte(bob.Pin().String()+" alice"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.touch()
	if _, err := peers.judge(t.Context(), asServer(), rawPeer(t, alice)); !errors.Is(err, ErrPeerRefused) {
		t.Errorf("a change was missed: %v", err)
	}
}

// TestListMisuse pins the sentences about files, with the number of the line.
func TestListMisuse(t *testing.T) {
	t.Parallel()
	pin, other := seeded(1).Pin().String(), seeded(2).Pin().String()
	named := configFacts{ServerName: "db.example"}
	for _, test := range []struct{ name, hosts, keys, says string }{
		{"no pin", "\ndb.example", "", "line 2: a line is a name and a pin"},
		{"no name", "", "# x\n\n" + pin, "line 3: a line is a pin and a name"},
		{"in the other order", pin + " db.example", "", "line 1: a line begins with a host name"},
		{"in the other order", "", "alice " + pin, "line 1: a pin is"},
		{"a bad pin", "db.example sha256//AAAA", "", "line 1: a pin is"},
		{"a wildcard", "*.example " + pin, "", "without a port or a wildcard"},
		{"a port", "db.example:7000 " + pin, "", "without a port or a wildcard"},
		{"a dot", ". " + pin, "", "line 1: a line begins with a host name"},
		{"two dots", "db..example " + pin, "", "line 1: a line begins with a host name"},
		{"a zone of dots", "fe80::1%.. " + pin, "", "line 1: a line begins with a host name"},
		{"a control character", "", pin + " al\x1bice", "printable"},
		{"no UTF-8", "", pin + " al\xffice", "printable"},
		{"two names", "", pin + " alice\n" + other + " bob\n" + pin + " bob", "line 3: this pin has another name"},
	} {
		f := newListFile(t)
		var err error
		if test.hosts != "" {
			f.write(test.hosts)
			err = KnownHosts(f.path).validate(false, named)
		} else {
			f.write(test.keys)
			err = AuthorizedKeys(f.path).validate(true, configFacts{})
		}
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: "+f.path) {
			t.Errorf("%s: %v, want a sentence with %q", test.name, err, test.says)
		}
	}
	for _, test := range []struct {
		name   string
		peers  Peers
		server bool
		facts  configFacts
		says   string
	}{
		{"KnownHosts, server", KnownHosts("x"), true, named, "KnownHosts is a client's"},
		{"KnownHosts, no name", KnownHosts("x"), false, configFacts{}, "set ServerName"},
		{"KnownHosts, a directory", KnownHosts(t.TempDir()), false, named, "cannot be read"},
		{"AuthorizedKeys, client", AuthorizedKeys("x"), false, named, "AuthorizedKeys is a server's"},
		{"AuthorizedKeys, absent", AuthorizedKeys(filepath.Join(t.TempDir(), "x")), true, configFacts{}, "cannot be read"},
	} {
		err := test.peers.validate(test.server, test.facts)
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mayfly: ") {
			t.Errorf("%s: %v, want a sentence with %q", test.name, err, test.says)
		}
		if strings.HasSuffix(test.name, "absent") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the cause is hidden: %v", test.name, err)
		}
	}
	if _, err := AuthorizedKeys(filepath.Join(t.TempDir(), "x")).judge(t.Context(), asServer(), rawPeer(t, seeded(1))); alert.Of(err) != alert.InternalError {
		t.Errorf("a file that was never read: %v", err)
	}
}
