// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// each calls f with every command that users see.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	f(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, f)
	}
}

// own leaves out what cobra adds by itself.
func own(cmd *cobra.Command) bool {
	return !strings.Contains(cmd.CommandPath()+" ", " completion ") && cmd.Name() != "help"
}

// understand reports what is wrong with a command line, which it does not run.
func understand(args []string) error {
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// TestHelp shows that every command and every flag says what it is for, in lines that
// a terminal holds, with an example that the program understands.
func TestHelp(t *testing.T) {
	t.Parallel()
	commands, flags := 0, 0
	each(rootCommand(), func(cmd *cobra.Command) {
		if !own(cmd) {
			return
		}
		commands++
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s says nothing of itself", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 90 {
				t.Errorf("%s: a line of %d characters: %s", cmd.CommandPath(), len(line), line)
			}
		}
		if !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, args := range commandsIn(cmd.Example) {
			if err := understand(args); err != nil {
				t.Errorf("%s: the example: %v", cmd.CommandPath(), err)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			flags++
			kind, usage := pflag.UnquoteUsage(f)
			if len(usage) < 10 || kind == "string" && f.Name != "recipient" || kind == "int" || kind == "strings" {
				t.Errorf("%s --%s: %q of kind %q", cmd.CommandPath(), f.Name, usage, kind)
			}
		})
	})
	if commands < 15 || flags < 80 {
		t.Errorf("%d commands and %d flags were looked at", commands, flags)
	}
}

// commandsIn are the arguments of the commands of this program in lines for a shell,
// each up to what is the shell's own.
func commandsIn(text string) [][]string {
	var commands [][]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		fields := strings.Fields(line)
		start := slices.IndexFunc(fields, func(s string) bool { return s == "mayfly" || strings.HasSuffix(s, "/mayfly") })
		if start < 0 || start > 0 && !slices.Contains([]string{"--", "|", "&&"}, fields[start-1]) && fields[0] != "go" {
			continue
		}
		args := fields[start+1:]
		if end := slices.IndexFunc(args, func(s string) bool { return strings.ContainsAny(s[:1], "#<>|&") || strings.HasPrefix(s, "2>") }); end >= 0 {
			args = args[:end]
		}
		commands = append(commands, args)
	}
	return commands
}

// TestGuides shows that this program understands each of its commands in what there is
// to read: names of commands and flags, values, and how many arguments.
func TestGuides(t *testing.T) {
	t.Parallel()
	var guides []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../contrib/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		guides = append(guides, names...)
	}
	commands := make(map[string]int)
	for _, guide := range guides {
		b, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
			for _, args := range commandsIn(block[1]) {
				commands[filepath.Base(guide)]++
				if err := understand(args); err != nil {
					t.Errorf("%s: mayfly %s: %v", guide, strings.Join(args, " "), err)
				}
			}
		}
	}
	if commands["README.md"] < 1 || commands["tool.md"] < 9 || commands["messages.md"] < 6 || commands["tunnels.md"] < 4 {
		t.Errorf("commands that were found: %v", commands)
	}
	for _, wrong := range []string{"mayfly dail db:7000", "mayfly dial --keys a.key db:7000", "mayfly dial", "go run ./cmd/mayfly demo --size x"} {
		args := commandsIn(wrong)
		if len(args) != 1 || understand(args[0]) == nil {
			t.Errorf("%q is understood, as %q", wrong, args)
		}
	}
}

// TestMan makes the manual pages, and has man(1) read them where it is there.
func TestMan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.CommandContext(bounded(t), "go", "run", "-buildvcs=false", "-tags", "man", ".", "man", dir).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	renderer, _ := exec.LookPath("man")
	pages := 0
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	each(root, func(cmd *cobra.Command) {
		if cmd.Name() == "help" {
			return // it shows the pages
		}
		pages++
		name := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			return
		}
		text := string(b)
		if renderer != "" {
			man := exec.CommandContext(bounded(t), renderer, "--warnings", "-l", name)
			man.Env = append(os.Environ(), "MANWIDTH=80", "MANROFFOPT=-rHY=0", "LC_ALL=C.UTF-8")
			var errs strings.Builder
			man.Stderr = &errs
			out, err := man.Output()
			if err != nil || errs.Len() > 0 {
				t.Errorf("man -l %s: %v, %s", filepath.Base(name), err, errs.String())
			}
			text = regexp.MustCompile(".\b").ReplaceAllString(string(out), "")
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "--"+f.Name) {
				t.Errorf("%s has no --%s", filepath.Base(name), f.Name)
			}
		})
		if flat := strings.Join(strings.Fields(text), " "); !strings.Contains(flat, cmd.Short) || !strings.Contains(flat, "SYNOPSIS") {
			t.Errorf("%s does not say %q", filepath.Base(name), cmd.Short)
		}
	})
	if names, _ := filepath.Glob(dir + "/*"); len(names) != pages || pages < 15 {
		t.Errorf("%d pages for %d commands", len(names), pages)
	}
}

// TestCompletion has bash complete command lines by the script that is made for it.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, errs, code := runMayfly(t, "completion", shell); code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %d, %s", shell, code, errs)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not there")
	}
	// _init_completion is what the package bash-completion brings.
	const script = `
source <(mayfly completion bash)
_init_completion() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}; }
complete -p mayfly >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9 COMP_KEY=9
COMP_POINT=${#COMP_LINE}
__start_mayfly
printf '%s\n' "${COMPREPLY[@]}"`
	for line, want := range map[string]string{
		"mayfly tunnel ser":                            "server",
		"mayfly tunnel server --log-level w":           "warn",
		"mayfly seal --cipher ":                        "aes-128-gcm aes-256-gcm chacha20-poly1305",
		"mayfly inspect --rev":                         "--reveal",
		"mayfly listen ":                               "",
		"mayfly tunnel client --listen x:1 --max-conn": "--max-connections",
	} {
		cmd := exec.CommandContext(bounded(t), bash, append([]string{"--norc", "-c", script, "bash"}, strings.Split(line, " ")...)...)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.Output()
		got := strings.Fields(string(out))
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, want %q", line, out, err, want)
		}
	}
}

// TestVersion shows what is asked for when something is wrong.
func TestVersion(t *testing.T) {
	t.Parallel()
	out, _, code := runMayfly(t, "--version")
	if code != 0 || !regexp.MustCompile(`^mayfly \S+ go1\.\S+ \w+/\w+\n$`).MatchString(out) {
		t.Errorf("%d, %q", code, out)
	}
}
