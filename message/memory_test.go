// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux && (amd64 || arm64)

package message

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/keywrap"
	"github.com/mayfly-tls/mayfly/internal/memscan"
)

// scanned is how many messages of each cipher the child seals, and opens.
const scanned = 20

// TestMemory has another process seal and open messages, and searches its memory for
// their keys: those in use must be found, and no others.
func TestMemory(t *testing.T) {
	if dir := os.Getenv("MAYFLY_TEST_MESSAGES"); dir != "" {
		memoryChild(t, dir)
		return
	}
	dir := t.TempDir()
	k, _ := testKey(t)
	text, err := k.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemory$")
	cmd.Env = append(os.Environ(), "MAYFLY_TEST_MESSAGES="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	for _, phase := range []string{"sealed", "open", "done"} {
		if !lines.Scan() || lines.Text() != phase {
			t.Fatalf("the child says %q", lines.Text())
		}
		x, names := needles(t, k, dir)
		finds, err := x.Scan(cmd.Process.Pid)
		if err != nil {
			t.Skipf("not measured: %v", err)
		}
		found, opened := make(map[string]int), make(map[int]bool)
		for _, f := range finds {
			found[names[f.Needle]+" ("+f.Form+")"]++
			if names[f.Needle] == "content key" {
				opened[f.Needle] = true
			}
		}
		t.Logf("%s: %d pieces to look for, found %v", phase, x.Len(), found)
		for what, n := range found {
			if phase != "open" || !strings.HasPrefix(what, "content key") {
				t.Errorf("%s: there are %d pieces of: %s", phase, n, what)
			}
		}
		if phase == "open" && len(opened) != 3*scanned {
			t.Errorf("of %d open messages, the keys of %d were found", 3*scanned, len(opened))
		}
		fmt.Fprintln(in, "go on")
	}
}

// needles are the secrets of the messages in a directory.
func needles(t *testing.T, k *Key, dir string) (*memscan.Index, []string) {
	t.Helper()
	x := new(memscan.Index)
	var names []string
	add := func(name string, forms []memscan.Form) {
		x.Add(len(names), forms...)
		names = append(names, name)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.p7m"))
	if err != nil || len(files) != 3*scanned {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		sealed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, key := contentKey(t, k, sealed)
		if e.Cipher.ID.Equal(cms.OIDChaCha20Poly1305) {
			add("content key", memscan.Raw(key.Bytes()))
			add("content key of Poly1305", memscan.Raw(oneTimeKey(t, key.Bytes(), e.Cipher.Parameters)))
		} else {
			forms, err := memscan.AES(key.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			add("content key", forms)
		}
		r := e.Recipients[0]
		public, err := ecdh.X25519().NewPublicKey(r.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		z, err := k.x25519().ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		add("shared secret", memscan.Secret(sha256.New, z))
		n := key.Len() // of the key that wraps it, too
		kek := keywrap.HKDF(sha256.New, z, nil, cms.SharedInfo(r.Wrap, nil, n), n)
		forms, err := memscan.AES(kek.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		add("key-encryption key", forms)
	}
	return x, names
}

// oneTimeKey is the half of Poly1305's key that it adds at the end: RFC 8439, Section
// 2.6. The other is changed where it lives.
func oneTimeKey(t *testing.T, key, parameters []byte) []byte {
	t.Helper()
	nonce, ok := cms.ParseOctets(parameters)
	if !ok {
		t.Fatalf("a nonce is %x", parameters)
	}
	c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32)
	c.XORKeyStream(b, b)
	return b[16:]
}

func memoryChild(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	to, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	var writers []io.Closer // they are done, and still held
	for _, c := range []Cipher{AES256GCM, AES128GCM, ChaCha20Poly1305} {
		for i := range scanned {
			file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d-%d.p7m", c, i)))
			if err != nil {
				t.Fatal(err)
			}
			w, err := Seal(file, []*Recipient{to}, &SealOptions{Cipher: c})
			if err != nil {
				t.Fatal(err)
			}
			size := []int{100, 3 * content.PartSize}[i%2]
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			files, writers = append(files, file.Name()), append(writers, w)
		}
	}
	pause("sealed")
	var open []*Message
	for _, name := range files {
		sealed, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(bytes.NewReader(sealed), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		open = append(open, m)
	}
	pause("open")
	for i, m := range open {
		if i%2 == 0 {
			_ = m.Close()
		} else if _, err := io.Copy(io.Discard, m); err != nil {
			t.Fatal(err)
		}
	}
	pause("done")
	if len(writers) != len(open) {
		t.Fatal("nothing was written")
	}
	os.Exit(0)
}

// pause says where the child is, and waits to be told to go on.
func pause(phase string) {
	fmt.Println(phase)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}
