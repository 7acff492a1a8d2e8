// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errUnimplemented is in the chain of an error about what mayfly does not do. The
// tests count what ends with it; testdata/bogo says which may.
var errUnimplemented = errors.New("bogoshim: not implemented")

// flagSets are the flags of the first connection, of those that resume it, and of
// one whose early data was rejected.
type flagSets struct{ initial, resume, retry flags }

// flags are what the tests say of one connection. A zero value means that the flag
// was not given.
type flags struct {
	port                  int
	ipv6                  bool
	shimID                uint64
	resumeCount           int
	isHandshakerSupported bool

	// Who this side is.
	server                   bool
	defaultCredential        credential
	credentials              []credential
	useOldClientCertCallback bool
	failEarlyCallback        bool
	failCertCallback         bool
	hostName                 string
	availableClientCertTypes []int
	useOCSPCallback          bool
	setOCSPInCallback        bool
	declineOCSPCallback      bool
	failOCSPCallback         bool

	// Whom it accepts.
	trustCert                   string
	verifyPeer                  bool
	requireAnyClientCertificate bool
	verifyFail                  bool
	useCustomVerifyCallback     bool
	reverifyOnResume            bool
	clientCAs                   [][]byte
	verifyPrefs                 []int
	acceptedPeerCertTypes       []int
	enableOCSPStapling          bool
	enableSCT                   bool
	installCompressions         bool
	installCompression          int

	// What it negotiates.
	maxVersion                    int
	curves                        []int
	keyShares                     []int
	noKeyShares                   bool
	serverGroupsHint              []int
	advertiseALPN, selectALPN     string
	selectEmptyALPN               bool
	declineALPN, rejectALPN       bool
	enableGREASE, enableECHGREASE bool
	noTicket                      bool
	useTicketCallback             bool // of either kind
	renewTicket, skipTicket       bool
	enableEarlyData               bool
	resumptionDelay               int

	// What it does.
	async                   bool
	implicitHandshake       bool
	noOpExtraHandshake      bool
	shimWritesFirst         bool
	shimInitialWrite        string
	repeatShimInitialWrite  int
	readWithUnfinishedWrite bool
	shimShutsDown           bool
	checkCloseNotify        bool
	sendAlert               bool
	maxSendFragment         int
	keyUpdate               bool
	readSize                int
	exportKeyingMaterial    int
	exportLabel             string
	exportContext           string
	exportTrafficSecrets    bool

	expect expectations
}

// A credential is a key, and what shows it.
type credential struct {
	kind            string // x509, rpk or psk
	certFile        string
	keyFile         string
	ocspResponse    []byte
	scts            []byte
	signingPrefs    []int
	mustMatchIssuer bool

	pskIdentity, pskKey, pskContext []byte
	pskHash                         crypto.Hash
}

// An option is one flag: whether an argument follows it, and what it sets.
type option struct {
	arg bool
	set func(f *flags, arg string) error
}

// parseFlags reads the arguments. A flag that is not known, or stands for what mayfly
// does not do, is errUnimplemented: a test must not pass because nobody looked.
func parseFlags(args []string) (*flagSets, error) {
	all := new(flagSets)
	for _, f := range []*flags{&all.initial, &all.resume, &all.retry} {
		f.shimInitialWrite, f.repeatShimInitialWrite = "hello", 1
	}
	known := options()
	for len(args) > 0 {
		targets, name := all.targets(args[0])
		if givens[name] != "" {
			args = args[1:]
			continue
		}
		opt, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("%w: the flag %s", errUnimplemented, name)
		}
		value := ""
		if args = args[1:]; opt.arg {
			if len(args) == 0 {
				return nil, fmt.Errorf("bogoshim: %s needs an argument", name)
			}
			value, args = args[0], args[1:]
		}
		for _, f := range targets {
			if err := opt.set(f, value); err != nil {
				return nil, fmt.Errorf("bogoshim: %s %q: %w", name, value, err)
			}
		}
	}
	return all, nil
}

// targets says which connections a flag is for, and what its name is without the
// prefix that says so.
func (all *flagSets) targets(arg string) ([]*flags, string) {
	arg = strings.TrimPrefix(arg, "-on-shim")
	for prefix, f := range map[string]*flags{
		"-on-initial-": &all.initial, "-on-resume-": &all.resume, "-on-retry-": &all.retry,
	} {
		if rest, ok := strings.CutPrefix(arg, prefix); ok {
			return []*flags{f}, rest
		}
	}
	return []*flags{&all.initial, &all.resume, &all.retry}, strings.TrimPrefix(arg, "-")
}

// The makers of options, by what follows the flag.

func boolean(field func(*flags) *bool) option {
	return option{set: func(f *flags, _ string) error { *field(f) = true; return nil }}
}

func text(field func(*flags) *string) option {
	return option{true, func(f *flags, arg string) error { *field(f) = arg; return nil }}
}

func number(field func(*flags) *int) option {
	return option{true, func(f *flags, arg string) (err error) { *field(f), err = strconv.Atoi(arg); return err }}
}

func numbers(field func(*flags) *[]int) option {
	return option{true, func(f *flags, arg string) error {
		n, err := strconv.Atoi(arg)
		*field(f) = append(*field(f), n)
		return err
	}}
}

// names are in hex, with commas between them; there may be none.
func names(field func(*flags) *[][]byte) option {
	return option{true, func(f *flags, arg string) error {
		*field(f) = [][]byte{}
		if arg == "<EMPTY>" {
			return nil
		}
		for name := range strings.SplitSeq(arg, ",") {
			der, err := hex.DecodeString(name)
			if err != nil {
				return err
			}
			*field(f) = append(*field(f), der)
		}
		return nil
	}}
}

func encoded(field func(*flags) *[]byte) option {
	return option{true, func(f *flags, arg string) (err error) {
		*field(f), err = base64.StdEncoding.DecodeString(arg)
		return err
	}}
}

func optional[T any](field func(*flags) **T, read func(string) (T, error)) option {
	return option{true, func(f *flags, arg string) error {
		v, err := read(arg)
		*field(f) = &v
		return err
	}}
}

// atMost13 takes a lowest version that mayfly, which speaks TLS 1.3 alone, can keep to.
func atMost13() option {
	return option{true, func(_ *flags, arg string) error {
		if version, err := strconv.Atoi(arg); err != nil || version > tls.VersionTLS13 {
			return fmt.Errorf("%w: a version above TLS 1.3", errUnimplemented)
		}
		return nil
	}}
}

// newCredential begins a credential, which the flags after it describe.
func newCredential(kind string) option {
	return option{set: func(f *flags, _ string) error {
		f.credentials = append(f.credentials, credential{kind: kind})
		return nil
	}}
}

// present is the credential that is being described.
func (f *flags) present() *credential {
	if n := len(f.credentials); n > 0 {
		return &f.credentials[n-1]
	}
	return &f.defaultCredential
}
