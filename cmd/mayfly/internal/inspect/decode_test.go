// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package inspect

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// traced are the traces of RFC 8448 without early data, which the inspector never sends.
var traced = []string{"simple-1rtt", "hello-retry-request", "client-authentication", "compatibility-mode"}

// recorded is one of the traces as the tape and the key log would have it, and what its
// sides have sent in handshake messages.
func recorded(tb testing.TB, name string) (sides [2]*recording, secrets *keyLog, sent [2][]byte) {
	tb.Helper()
	trace, err := testvec.Load(filepath.Join("../../../../testdata/rfc8448", name+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	sides = [2]*recording{new(recording), new(recording)}
	secrets = &keyLog{now: func() time.Duration { return 1 }}
	labels := map[string]string{
		`derive secret "tls13 c hs traffic"`: "CLIENT_HANDSHAKE_TRAFFIC_SECRET", `derive secret "tls13 s hs traffic"`: "SERVER_HANDSHAKE_TRAFFIC_SECRET",
		`derive secret "tls13 c ap traffic"`: "CLIENT_TRAFFIC_SECRET_0", `derive secret "tls13 s ap traffic"`: "SERVER_TRAFFIC_SECRET_0",
	}
	for i, step := range trace.Steps {
		from := dissect.Client
		if step.Who == "server" {
			from = dissect.Server
		}
		if label, ok := labels[step.What]; ok && step.Value("expanded") != nil {
			if _, err := fmt.Fprintf(secrets, "%s 00 %x\n", label, step.Value("expanded")); err != nil {
				tb.Fatal(err)
			}
		}
		if b := step.Value("complete_record"); b != nil {
			r := sides[from]
			r.bytes = append(r.bytes, b...)
			r.chunks = append(r.chunks, chunk{len(r.bytes), time.Duration(i)})
		}
		if step.What == "send handshake record" {
			sent[from] = append(sent[from], step.Value("payload")...)
		}
	}
	return sides, secrets, sent
}

// TestRecordedByOthers opens the connections of RFC 8448 by their secrets.
func TestRecordedByOthers(t *testing.T) {
	t.Parallel()
	for _, name := range traced {
		sides, secrets, sent := recorded(t, name)
		suite := agreedSuite(sides[dissect.Server])
		if suite == nil {
			t.Fatalf("%s: no suite", name)
		}
		for _, from := range []dissect.Sender{dissect.Client, dissect.Server} {
			d := decode(sides[from], from, secrets, suite, nil)
			var got []byte
			for _, m := range d.messages {
				if m.Records[0].Wrong != "" {
					t.Errorf("%s: %s of the %v: %s", name, m.Name, from, m.Records[0].Wrong)
				}
				if m.handshake {
					got = append(got, m.Bytes...)
				}
			}
			if !bytes.Equal(got, sent[from]) {
				t.Errorf("%s: the %v's messages have %d bytes, not the %d that it sent", name, from, len(got), len(sent[from]))
			}
			if last := d.messages[len(d.messages)-1]; last.Name != "alert" || last.Detail() != "close_notify (0)" || !strings.HasSuffix(last.Keys, "_application_traffic_secret_0") {
				t.Errorf("%s: the %v's last message is %s, %s, under %s", name, from, last.Name, last.Detail(), last.Keys)
			}
		}
	}
}

// TestWithoutSecrets shows that what cannot be opened is said to be so.
func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	sides, _, _ := recorded(t, "simple-1rtt")
	d := decode(sides[dissect.Server], dissect.Server, new(keyLog), agreedSuite(sides[dissect.Server]), nil)
	if d.messages[0].Name != "ServerHello" || d.messages[1].Records[0].Wrong == "" {
		t.Errorf("%+v", d.messages[1])
	}
}

// FuzzDecode opens whatever a server may have sent.
func FuzzDecode(f *testing.F) {
	for _, name := range traced {
		sides, _, _ := recorded(f, name)
		f.Add(sides[dissect.Client].bytes, sides[dissect.Server].bytes)
	}
	f.Add([]byte{22, 3, 3, 0, 1, 1}, []byte{22, 3, 3, 0, 2, 2, 0, 23, 3, 3, 0, 0})
	_, secrets, _ := recorded(f, "simple-1rtt")
	f.Fuzz(func(t *testing.T, client, server []byte) {
		var all [2]*side
		suite := agreedSuite(&recording{bytes: server})
		for from, b := range [][]byte{client, server} {
			all[from] = decode(&recording{bytes: b, chunks: []chunk{{len(b), 1}}}, dissect.Sender(from), secrets, suite, nil)
			size := 0
			for _, r := range all[from].records {
				size += len(r.Bytes)
			}
			if size != len(b) && len(all[from].records) < mostRecords {
				t.Errorf("%d of %d bytes are in records", size, len(b))
			}
		}
		r := &Report{Messages: inOrder(all[0].messages, all[1].messages)}
		r.Flights, r.Choices = flights(r.Messages), choices(r.Messages)
		checkReport(t, r)
		var text bytes.Buffer
		if err := r.WriteText(&text); err != nil || strings.ContainsFunc(text.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
			t.Errorf("%v: %q", err, text.String())
		}
	})
}

// TestKeyLog keeps lines apart from what is none.
func TestKeyLog(t *testing.T) {
	t.Parallel()
	l := &keyLog{now: func() time.Duration { return 7 }}
	for _, line := range []string{"CLIENT_TRAFFIC_SECRET_0 00 0102\n", "EXPORTER_SECRET 00 x\n", "nothing\n", ""} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
	found := l.find("CLIENT_TRAFFIC_SECRET_0")
	if found == nil || found.at != 7 || !bytes.Equal(found.secret.Bytes(), []byte{1, 2}) || l.find("EXPORTER_SECRET") != nil {
		t.Fatalf("%+v", found)
	}
	if l.wipe(); found.secret.Len() != 0 || l.find("CLIENT_TRAFFIC_SECRET_0") != nil {
		t.Error("a secret outlives wipe")
	}
}
