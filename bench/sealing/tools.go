// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench is a directory with keys and a file to seal.
type bench struct{ dir string }

// A command is what one program does to a file. Its output is thrown away.
type command struct {
	name string
	args []string
}

// tools holds the tool against others, each a process of its own that reads a file.
func tools(size int64, rounds int) error {
	dir, err := os.MkdirTemp("", "sealing")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir}
	commands, err := b.prepare(size)
	if err != nil {
		return err
	}
	runs := make([][]usage, len(commands))
	for round := range rounds {
		for i := range commands {
			at := (i + round) % len(commands) // nobody is always first
			u, err := b.measure(commands[at])
			if err != nil {
				return fmt.Errorf("%s: %w", commands[at].name, err)
			}
			runs[at] = append(runs[at], u)
		}
	}
	row("", "time", "processor", "memory")
	row("---", "--:", "--:", "--:")
	for i, c := range commands {
		u := median(runs[i])
		row(c.name, fmt.Sprintf("%.2f s", u.wall.Seconds()), fmt.Sprintf("%.2f s", u.processor.Seconds()), fmt.Sprintf("%.1f MiB", float64(u.memory)/(1<<20)))
	}
	return nil
}

// prepare makes the tool, keys, a file and the messages to open, and returns what is
// to be measured.
func (b bench) prepare(size int64) ([]command, error) {
	if err := b.plain(size); err != nil {
		return nil, err
	}
	mayfly := filepath.Join(b.dir, "mayfly")
	build := exec.Command("go", "build", "-o", mayfly, "./cmd/mayfly")
	build.Dir = ".."                            // another module
	build.Env = append(os.Environ(), "GOWORK=") // go.work joins the tool and the library
	if _, err := output(build); err != nil {
		return nil, err
	}
	if _, err := b.run(mayfly, "keygen", "-o", "key"); err != nil {
		return nil, err
	}
	to, err := b.run(mayfly, "recipient", "key")
	if err != nil {
		return nil, err
	}
	seal := []string{mayfly, "seal", "-r", to}
	commands := []command{
		{"`mayfly seal` (AES-256-GCM)", append(slices.Clone(seal), "plain")},
		{"`mayfly seal --cipher chacha20-poly1305`", append(slices.Clone(seal), "--cipher", "chacha20-poly1305", "plain")},
		{"`mayfly seal --age`", append(slices.Clone(seal), "--age", "plain")},
	}
	if _, err := b.run(append(slices.Clone(seal), "-o", "sealed", "plain")...); err != nil {
		return nil, err
	}
	opening := []command{{"opening: `mayfly open`", []string{mayfly, "open", "-i", "key", "sealed"}}}
	if age, err := exec.LookPath("age"); err == nil {
		to, err := b.run(mayfly, "recipient", "--age", "key")
		if err != nil {
			return nil, err
		}
		commands = append(commands, command{"`age`", []string{age, "-r", to, "plain"}})
	} else {
		fmt.Fprintln(os.Stderr, "sealing: age is not installed")
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		version, err := b.openssl(openssl)
		if err != nil {
			return nil, err
		}
		cms := []string{openssl, "cms", "-encrypt", "-binary", "-stream", "-aes-256-gcm", "-in", "plain", "-outform", "DER"}
		if _, err := b.run(append(slices.Clone(cms), "-out", "theirs", "cert.pem")...); err != nil {
			return nil, err
		}
		commands = append(commands, command{"`openssl cms -encrypt -stream` " + version + " (AES-256-GCM)", append(slices.Clone(cms), "cert.pem")})
		opening = append(opening, command{"opening: `openssl cms -decrypt`", []string{openssl, "cms", "-decrypt", "-binary", "-inform", "DER", "-in", "theirs", "-recip", "cert.pem", "-inkey", "cert.key"}})
	} else {
		fmt.Fprintln(os.Stderr, "sealing: openssl is not installed")
	}
	return append(commands, opening...), nil
}

// plain writes the file.
func (b bench) plain(size int64) error {
	f, err := os.Create(filepath.Join(b.dir, "plain"))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		return err
	}
	return f.Close()
}

// openssl makes a P-256 key and its certificate.
func (b bench) openssl(path string) (version string, err error) {
	version, err = b.run(path, "version")
	if err == nil {
		_, err = b.run(path, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench", "-days", "2", "-keyout", "cert.key", "-out", "cert.pem")
	}
	if f := strings.Fields(version); len(f) > 1 {
		version = f[1]
	}
	return version, err
}

// run returns what a program prints.
func (b bench) run(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = b.dir
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, &errs)
	}
	return strings.TrimSpace(string(out)), nil
}

// measure runs a command once.
func (b bench) measure(c command) (usage, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir = b.dir
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return usage{}, err
	}
	defer null.Close()
	cmd.Stdout = null
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var u usage
	for tick := time.Tick(5 * time.Millisecond); ; {
		select {
		case <-tick:
			u.memory = max(u.memory, peak(cmd.Process.Pid))
			continue
		case err = <-done:
		}
		break
	}
	u.wall = time.Since(start)
	u.processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return u, err
}

// peak is the most memory that a process has had, on Linux, while it runs: what wait
// tells counts the parent's as well.
func peak(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kibibytes int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kibibytes); n == 1 {
			return kibibytes << 10
		}
	}
	return 0
}
