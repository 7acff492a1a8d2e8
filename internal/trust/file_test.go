// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package trust

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFileIsParsedOncePerChange counts the lines that are parsed for a hundred handshakes,
// whatever the file's time of modification is.
func TestFileIsParsedOncePerChange(t *testing.T) {
	t.Parallel()
	alice, bob := FormatPin(sha256.Sum256([]byte("alice"))), FormatPin(sha256.Sum256([]byte("bob")))
	for name, modified := range map[string]time.Time{
		"long ago":              time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"before the Unix epoch": time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC),
		"just now":              time.Now(),
		"in an hour":            time.Now().Add(time.Hour),
		"in ten years":          time.Now().AddDate(10, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			write := func(text string) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			touch := func() {
				t.Helper()
				if err := os.Chtimes(path, modified, modified); err != nil {
					t.Fatal(err)
				}
			}
			write(alice + " alice")
			touch()
			parsed := 0
			file := &File{path: path, unique: true, parse: func(fields []string) (Line, error) {
				parsed++
				return parseAuthorizedKey(fields)
			}}
			handshakes := func(want string) {
				t.Helper()
				for range 100 {
					lines, err := file.Read()
					if err != nil || len(lines) != 1 || lines[0].Name != want {
						t.Fatalf("%v, %v", lines, err)
					}
				}
			}
			handshakes("alice")
			if parsed != 1 {
				t.Errorf("one line was parsed %d times", parsed)
			}
			// A change of the same size, in the same unit of time.
			if file.recheck.IsZero() != (name == "long ago" || name == "before the Unix epoch") {
				t.Errorf("the file is read again until %v", file.recheck)
			}
			if !file.recheck.IsZero() {
				write(bob + " robin")
				touch()
				handshakes("robin")
				if parsed != 2 {
					t.Errorf("two lines were parsed %d times", parsed)
				}
				// When the unit of time is over, the stamp is trusted.
				file.recheck = time.Now().Add(-time.Second)
				handshakes("robin")
				if !file.recheck.IsZero() {
					t.Errorf("the file is read again until %v", file.recheck)
				}
			}
			// A damaged file is parsed once too, and what was read before stays in use.
			before := parsed
			write("damaged\n")
			handshakes(map[bool]string{true: "alice", false: "robin"}[before == 1])
			if parsed != before+1 {
				t.Errorf("a damaged line was parsed %d times", parsed-before)
			}
		})
	}
}

// FuzzFile looks for panics, and for lines that would mean something else when
// they are written again.
func FuzzFile(f *testing.F) {
	pin := FormatPin(sha256.Sum256([]byte("alice")))
	f.Add("# c\ndb.example " + pin + " x\n10.0.0.1 " + pin)
	f.Add(pin + " alice\r\n" + pin + " alice")
	f.Fuzz(func(t *testing.T, text string) {
		hosts := &File{parse: parseKnownHost}
		lines, _ := hosts.parseLines([]byte(text))
		for _, line := range lines {
			again, err := hosts.parseLines([]byte(line.Name + " " + FormatPin(line.Pin)))
			if err != nil || len(again) != 1 || again[0] != line {
				t.Errorf("%q was read as %v, %v", line.Name, again, err)
			}
		}
		keys := &File{parse: parseAuthorizedKey, unique: true}
		lines, _ = keys.parseLines([]byte(text))
		for _, line := range lines {
			again, err := keys.parseLines([]byte(FormatPin(line.Pin) + " " + line.Name))
			if err != nil || len(again) != 1 || again[0] != line {
				t.Errorf("%q was read as %v, %v", line.Name, again, err)
			}
		}
	})
}
