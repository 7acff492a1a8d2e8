// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/suite"
)

// TestHKDF holds HKDF, with the hashes that a kdf lends, against the vectors of
// Wycheproof, among them those of RFC 5869.
func TestHKDF(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]suite.ID{"hkdf_sha256_test.json": suite.AES128GCM, "hkdf_sha384_test.json": suite.AES256GCM} {
		text, err := os.ReadFile("../../testdata/wycheproof/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var all struct {
			NumberOfTests int
			TestGroups    []struct {
				Tests []struct {
					TcID                 int
					Comment, Result      string
					IKM, Salt, Info, OKM hexadecimal
					Size                 int
				}
			}
		}
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		seen := 0
		k := newKDF(suite.ByID(id))
		for _, g := range all.TestGroups {
			for _, v := range g.Tests {
				seen++
				prk := k.extract(v.Salt, v.IKM)
				if v.Result != "valid" {
					if v.Size <= 255*k.suite.HashLen {
						t.Errorf("%s, %d (%s): invalid for another reason than its length", name, v.TcID, v.Comment)
					}
					continue // Export refuses it
				}
				for by, okm := range expansions(k, prk.Bytes(), v.Info, v.Size) {
					if !bytes.Equal(okm, v.OKM) {
						t.Errorf("%s, %d (%s): %x by %s", name, v.TcID, v.Comment, okm, by)
					}
				}
			}
		}
		if seen != all.NumberOfTests || seen < 80 {
			t.Errorf("%s: %d vectors were seen", name, seen)
		}
	}
}

type hexadecimal []byte

func (h *hexadecimal) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}
