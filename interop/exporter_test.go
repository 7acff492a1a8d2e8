// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package interop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is exported where the peer takes a label alone.
const (
	exporterLabel = "EXPERIMENTAL mayfly interop"
	exporterLen   = 77
)

// The labels of a key log that each side writes.
var keyLogLabels = []string{
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
}

// TestExporter compares exported keying material and key logs.
func TestExporter(t *testing.T) {
	t.Parallel()
	for _, peer := range []struct {
		name    string
		require func(t *testing.T)
		try     func(t *testing.T, c cell)
	}{
		{"crypto/tls", func(*testing.T) {}, tryExporterCryptoTLS},
		{openssl, func(t *testing.T) { opensslProbe().require(t, openssl) }, tryExporterOpenSSL},
		{gnutls, func(t *testing.T) { gnutlsProbe().require(t, gnutls) }, tryExporterGnuTLS},
	} {
		t.Run(peer.name, func(t *testing.T) {
			t.Parallel()
			peer.require(t)
			for _, r := range []role{asClient, asServer} {
				c := cell{peer: peer.name, role: r, group: tls.X25519, auth: x509Server, key: ecdsaP256, with: "exporter, key log"}
				if peer.name == gnutls {
					c.with = "exporter"
				}
				for _, c.suite = range suites {
					c.run(t, peer.try)
				}
			}
		})
	}
}

// tryExporterCryptoTLS compares with and without a context, and after keys have
// changed.
func tryExporterCryptoTLS(t *testing.T, c cell) {
	here, there := loopback(t)
	theirLog, ourLog := new(syncBuffer), new(syncBuffer)
	theirConfig := c.cryptoTLS(t)
	theirConfig.KeyLogWriter = theirLog
	theirs := startCryptoTLSWith(t, c, theirConfig, there)
	cfg := c.ours(t)
	cfg.KeyLogWriter = ourLog
	ours, _ := openWith(t, c, cfg, here)
	peer := theirs(t)
	state := peer.ConnectionState()
	for range 2 {
		for _, context := range [][]byte{nil, {}, []byte("context"), bytes.Repeat([]byte{7}, 1000)} {
			for _, n := range []int{1, 32, 255} {
				for _, label := range []string{exporterLabel, "EXPORTER-Channel-Binding"} {
					got, err := ours.ExportKeyingMaterial(label, context, n)
					if err != nil {
						t.Fatal(err)
					}
					want, err := state.ExportKeyingMaterial(label, context, n)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%q, a context of %d bytes: %d bytes that are not the peer's (%v)", label, len(context), n, err)
					}
				}
			}
		}
		if err := ours.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// crypto/tls does not log the exporter's secret.
	compareKeyLogs(t, ourLog.Bytes(), theirLog.Bytes(), keyLogLabels, keyLogLabels[:4])
}

func tryExporterOpenSSL(t *testing.T, c cell) {
	log := filepath.Join(t.TempDir(), "keys")
	p, conn := c.openssl(t, "-keymatexport", exporterLabel, "-keymatexportlen", fmt.Sprint(exporterLen), "-keylogfile", log)
	cfg, ourLog := c.ours(t), new(syncBuffer)
	cfg.KeyLogWriter = ourLog
	ours, _ := openWith(t, c, cfg, conn)
	said := make(chan string, 1)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(p); lines.Scan(); {
			if _, material, ok := strings.Cut(lines.Text(), "Keying material: "); ok {
				said <- material
				break
			}
		}
		io.Copy(io.Discard, p)
	}()
	got, err := ours.ExportKeyingMaterial(exporterLabel, nil, exporterLen)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case want := <-said:
		if !strings.EqualFold(hex.EncodeToString(got), want) {
			t.Errorf("%x, and the peer says %s", got, want)
		}
	case <-time.After(patience):
		t.Fatal("the peer does not say what it exports")
	}
	theirLog, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	compareKeyLogs(t, ourLog.Bytes(), theirLog, keyLogLabels, keyLogLabels)
}

func tryExporterGnuTLS(t *testing.T, c cell) {
	p, conn := c.gnutls(t, "--keymatexport", exporterLabel, "--keymatexportsize", fmt.Sprint(exporterLen))
	said := new(tail)
	go io.Copy(said, p)
	ours, _ := open(t, c, conn)
	got, err := ours.ExportKeyingMaterial(exporterLabel, nil, exporterLen)
	if err != nil {
		t.Fatal(err)
	}
	const before = "- Key material: "
	if err := p.until(func() bool { return said.count(before) > 0 }); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(said.String(), before)
	want, _, _ := strings.Cut(rest, "\n")
	if !strings.EqualFold(hex.EncodeToString(got), want) {
		t.Errorf("%x, and the peer says %s", got, want)
	}
}

// compareKeyLogs checks that our log has each label of all once and nothing else, and
// that the peer has the same lines for labels.
func compareKeyLogs(t *testing.T, ours, theirs []byte, all, labels []string) {
	t.Helper()
	got, want := strings.Split(strings.TrimSuffix(string(ours), "\n"), "\n"), strings.Fields(strings.ToLower(string(theirs)))
	var seen []string
	for _, line := range got {
		words := strings.Split(line, " ")
		if len(words) != 3 || len(words[1]) != 64 {
			t.Fatalf("a line of %d words", len(words))
		}
		seen = append(seen, words[0])
		if slices.Contains(labels, words[0]) && !follows(want, words) {
			t.Errorf("%s is not the peer's", words[0])
		}
	}
	slices.Sort(seen)
	if want := slices.Sorted(slices.Values(all)); !slices.Equal(seen, want) {
		t.Errorf("the labels are %q, want %q", seen, want)
	}
}

// follows reports whether words stand one after the other in all.
func follows(all, words []string) bool {
	for i := range all {
		if i+len(words) <= len(all) && slices.EqualFunc(all[i:i+len(words)], words, strings.EqualFold) {
			return true
		}
	}
	return false
}
