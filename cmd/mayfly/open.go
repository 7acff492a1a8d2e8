// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age/armor"
	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly/cmd/mayfly/internal/dissect"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
	"github.com/mayfly-tls/mayfly/message"
)

func openCommand() *cobra.Command {
	var o openOptions
	cmd := &cobra.Command{
		Use:   "open -i KEY [FILE]",
		Short: "Open a file that was sealed for a key",
		Long: `Open FILE, or standard input: a message of seal's or of another program's (CMS in DER
or PEM, or a mail), or a file in the age format, armored or not. Nothing is written that
is not known to be authentic. KEY is a file made by keygen, or a PEM file with an X25519
or P-256 key and its certificate. With --from or --ca, the message has to be signed,
and what was signed is written; without them, a signed message is written with its
signature around it, as other programs verify it. What cannot be read twice, as standard
input often cannot, is kept in a temporary file for the time, sealed as it is.

Exit codes: 0 success; 1 the message is for another key, damaged, truncated, not
authentic or not signed; 2 the command line or a key file cannot be used.`,
		Example: "  mayfly open -i node.key --from sha256//9fQ…= -o report.pdf report.p7m",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, strings.Join(args, ""))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.key, "identity", "i", "", "the private key: a PEM `file`")
	f.StringVarP(&o.out, "out", "o", "", "`file` to write (- or none: standard output)")
	f.StringArrayVar(&o.from, "from", nil, "the `pin` of a signer to accept, or any, which says who it was; may be repeated")
	f.StringVar(&o.ca, "ca", "", "accept signers with a certificate of the authorities in this PEM `file`, and say who it was")
	f.Int64Var(&o.spool, "spool", 0, "the most `MiB` to keep of a message that cannot be read twice (0: no limit)")
	return cmd
}

type openOptions struct {
	key, out, ca string
	from         []string
	spool        int64
}

// ageIntro is how a file in the age format begins.
const ageIntro = "age-encryption.org/v1\n"

func (o *openOptions) run(cmd *cobra.Command, file string) error {
	if o.key == "" {
		return errors.New("say with which key: -i KEY")
	}
	if err := apart(cmd.Flags(), "from", "ca"); err != nil {
		return err
	}
	key, err := message.LoadKey(o.key)
	if err != nil {
		return err
	}
	defer key.Wipe()
	options := &message.OpenOptions{SpoolLimit: -1}
	switch {
	case o.spool < 0 || o.spool > 1<<40:
		return errors.New("--spool is a number of MiB")
	case o.spool > 0:
		options.SpoolLimit = o.spool << 20
	}
	if options.Accept, err = o.accept(); err != nil {
		return err
	}
	t, err := newTask(cmd.Context(), file, o.out, cmd.InOrStdin(), cmd.OutOrStdout())
	if err != nil {
		return err
	}
	defer t.abandon()
	b := newBar(cmd.ErrOrStderr())
	b.begin(1, t.size)
	defer b.end()
	plain, done, err := o.open(b.follow(t.r), key, options, b)
	if err != nil {
		return t.fail(err)
	}
	defer done()
	if plain, err = o.lookInside(plain, b); err != nil {
		return t.fail(err)
	}
	if _, err = io.CopyBuffer(struct{ io.Writer }{t.w}, struct{ io.Reader }{plain}, make([]byte, copyBuffer)); err != nil {
		return t.fail(err)
	}
	return t.finish()
}

// open returns a reader of what is authentic, and what to call when it was read. The bar
// shows each reading of the file: there are two or more, but of the age format.
func (o *openOptions) open(r io.Reader, key *message.Key, options *message.OpenOptions, b *bar) (plain io.Reader, done func(), err error) {
	r, isAge, err := peekAge(r)
	if err != nil {
		return nil, nil, err
	}
	if isAge {
		if options.Accept != nil {
			return nil, nil, errors.New("it is in the age format, which is not signed")
		}
		plain, err = openAge(r, key)
		return plain, func() {}, err
	}
	m, err := message.Open(r, key, options)
	if err != nil {
		return nil, nil, err
	}
	if s := m.Signature(); s != nil && (options.Accept == nil || o.anybody() || o.ca != "") {
		b.say(signedBy(s, o.ca != ""))
	}
	return m, func() { _ = m.Close() }, nil
}

// signedBy is the line about who it was: the name in the certificate, too, where an
// authority stands behind that, and with nothing in it that a terminal obeys.
func signedBy(s *message.Signature, named bool) string {
	line := "signed by " + s.Pin.String()
	if named {
		line += fmt.Sprintf(" (%+q%s)", dissect.Name(s.Certificate.Subject), addresses(s.Certificate))
		if !s.CertificateBound {
			line += "; the signature does not cover the name: a recipient could have put in another certificate of the same key"
		}
	}
	return line
}

// accept makes the judge of signatures of the flags, nil if there is none.
// addresses are the e-mail addresses of a certificate (rfc822Name), as a list that goes on.
func addresses(cert *x509.Certificate) string {
	all := cert.EmailAddresses
	shown := all[:min(len(all), 10)]
	var text strings.Builder
	for _, a := range shown {
		fmt.Fprintf(&text, ", %+q", a)
	}
	if more := len(all) - len(shown); more > 0 {
		fmt.Fprintf(&text, ", and %d more", more)
	}
	return text.String()
}

func (o *openOptions) accept() (func(*message.Signature) error, error) {
	if o.ca != "" {
		pool, err := authorities(o.ca)
		if err != nil {
			return nil, err
		}
		return message.SignedUnder(pool, time.Now()), nil
	}
	switch {
	case len(o.from) == 0:
		return nil, nil
	case o.anybody():
		return func(*message.Signature) error { return nil }, nil
	}
	pins, err := parsePins("from", o.from)
	if err != nil {
		return nil, err
	}
	return message.SignedBy(pins...), nil
}

func (o *openOptions) anybody() bool { return len(o.from) == 1 && o.from[0] == "any" }

// lookInside says so where a signed message is about to be written as it is. It is
// never taken apart unasked: it may be what somebody wanted to send.
func (o *openOptions) lookInside(plain io.Reader, b *bar) (io.Reader, error) {
	if o.ca != "" || len(o.from) > 0 {
		return plain, nil
	}
	r := bufio.NewReaderSize(plain, 512)
	head, err := r.Peek(300)
	if err != nil && err != io.EOF {
		return nil, err
	}
	signedData := []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02") // RFC 5652, Section 5.1
	if at := bytes.Index(head, signedData); at > 0 && at < 8 || bytes.Contains(head, []byte("smime-type=signed-data")) {
		b.say("a signed message is inside: --from PIN, --from any or --ca FILE takes it out of its signature")
	}
	return r, nil
}

// peekAge looks at how a file begins. What can be sought in still can, unless it is armored:
// then the armor is taken off.
func peekAge(r io.Reader) (io.Reader, bool, error) {
	head := make([]byte, 256)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, err
	}
	head = head[:n]
	text := bytes.TrimLeft(keyfile.TrimMark(head), " \t\r\n")
	if bytes.HasPrefix(text, []byte(armor.Header)) {
		return armor.NewReader(&shortLines{r: io.MultiReader(bytes.NewReader(text), r)}), true, nil
	}
	isAge := bytes.HasPrefix(head, []byte(ageIntro))
	if s, ok := r.(io.Seeker); ok {
		if _, err := s.Seek(-int64(n), io.SeekCurrent); err == nil {
			return r, isAge, nil
		}
	}
	return io.MultiReader(bytes.NewReader(head), r), isAge, nil
}

// maxArmorLine is more than any line of armor has. The armor's reader holds a line as a whole.
const maxArmorLine = 4 << 10

// shortLines fails where a line is longer than maxArmorLine.
type shortLines struct {
	r io.Reader
	n int // bytes since the last end of a line
}

func (s *shortLines) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), maxArmorLine)])
	if at := bytes.LastIndexByte(p[:n], '\n'); at >= 0 {
		s.n = n - at - 1
	} else {
		s.n += n
	}
	if s.n > maxArmorLine {
		return 0, message.ErrDamaged
	}
	return n, err
}
