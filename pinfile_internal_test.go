// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"os"
	"testing"
	"time"
)

// TestPinFileParsedOncePerChange counts the lines that are parsed for a hundred handshakes,
// whatever the file's time of modification is.
func TestPinFileParsedOncePerChange(t *testing.T) {
	t.Parallel()
	alice, bob := seeded(1), seeded(2)
	for name, modified := range map[string]time.Time{
		"long ago":              time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"before the Unix epoch": time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC),
		"just now":              time.Now(),
		"in an hour":            time.Now().Add(time.Hour),
		"in ten years":          time.Now().AddDate(10, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			f := newListFile(t)
			f.write(alice.Pin().String() + " alice")
			f.time = modified
			f.touch()
			parsed, stamp := 0, f.time
			file := &pinFile{path: f.path, unique: true, parse: func(fields []string) (pinLine, error) {
				parsed++
				return parseAuthorizedKey(fields)
			}}
			handshakes := func(want string) {
				t.Helper()
				for range 100 {
					lines, err := file.read()
					if err != nil || len(lines) != 1 || lines[0].name != want {
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
				if err := os.WriteFile(f.path, []byte(bob.Pin().String()+" robin"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(f.path, stamp, stamp); err != nil {
					t.Fatal(err)
				}
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
			if err := os.WriteFile(f.path, []byte("damaged\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			handshakes(map[bool]string{true: "alice", false: "robin"}[before == 1])
			if parsed != before+1 {
				t.Errorf("a damaged line was parsed %d times", parsed-before)
			}
		})
	}
}
