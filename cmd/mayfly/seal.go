// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
	"github.com/mayfly-tls/mayfly/message"
)

func sealCommand() *cobra.Command {
	var o sealOptions
	cmd := &cobra.Command{
		Use:   "seal -r RECIPIENT [FILE]",
		Short: "Seal a file for those who hold a key",
		Long: `Seal FILE, or standard input, for one or more recipients, as an S/MIME message (CMS),
a mail (--mime) or a file in the age format (--age). A RECIPIENT is the string that
begins with mfpub1, as keygen and recipient print it, or a PEM file with the
certificate of an X25519 or P-256 key. With -i the message is signed, inside, by an
identity; with --cert and --cert-key, by an X.509 certificate (Ed25519, ECDSA or RSA).`,
		Example: "  mayfly seal -r mfpub1… -i node.key -o report.p7m report.pdf",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, strings.Join(args, ""))
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.to, "recipient", "r", nil, "for whom: a `string` that begins with mfpub1, or a certificate's PEM file; may be repeated")
	f.StringVarP(&o.key, "identity", "i", "", "sign with the identity in this PEM `file`")
	f.StringVar(&o.cert, "cert", "", "sign with the X.509 certificate chain in this PEM `file`")
	f.StringVar(&o.certKey, "cert-key", "", "the private key of --cert: a PEM `file` that nobody else may read")
	f.StringVarP(&o.out, "out", "o", "", "`file` to write (- or none: standard output)")
	f.StringVar(&o.cipher, "cipher", "aes-256-gcm", "`cipher`: aes-256-gcm, aes-128-gcm or chacha20-poly1305")
	f.BoolVar(&o.mime, "mime", false, "write a mail; FILE should be a MIME entity")
	f.BoolVar(&o.age, "age", false, "write the age format, which is read as it comes")
	return cmd
}

type sealOptions struct {
	to            []string
	key, out      string
	cert, certKey string
	cipher        string
	mime, age     bool
}

func (o *sealOptions) run(cmd *cobra.Command, file string) error {
	if len(o.to) == 0 {
		return errors.New("say for whom: -r RECIPIENT")
	}
	if err := apart(cmd.Flags(), "identity", "cert"); err != nil {
		return err
	}
	if (o.cert == "") != (o.certKey == "") {
		return errors.New("--cert and --cert-key go together")
	}
	var recipients []*message.Recipient
	for _, s := range o.to {
		r, err := recipient(s)
		if err != nil {
			return err
		}
		recipients = append(recipients, r)
	}
	options := &message.SealOptions{MIME: o.mime}
	var ok bool
	if options.Cipher, ok = ciphers[strings.ToLower(o.cipher)]; !ok {
		return fmt.Errorf("there is no cipher %q: there are aes-256-gcm, aes-128-gcm and chacha20-poly1305", o.cipher)
	}
	var err error
	if options.Signer, err = o.signer(); err != nil {
		return err
	}
	if o.age && (o.mime || options.Signer != nil || cmd.Flags().Changed("cipher")) {
		return errors.New("--age goes with none of --mime, --cipher, -i and --cert: files in the age format are not signed")
	}
	t, err := newTask(cmd.Context(), file, o.out, cmd.InOrStdin(), cmd.OutOrStdout())
	if err != nil {
		return err
	}
	defer t.abandon()
	if most := options.Cipher.MaxLength(); !o.age && t.size > most {
		return fmt.Errorf("%s is longer than a message with %v may be, %d GiB: --age has no such limit", t.name, options.Cipher, (most+1<<20)>>30)
	}
	start := func() (io.WriteCloser, error) { return message.Seal(t.w, recipients, options) }
	if o.age {
		start = func() (io.WriteCloser, error) { return sealAge(t.w, recipients) }
	}
	w, err := start()
	if err != nil {
		return err
	}
	b := newBar(cmd.ErrOrStderr())
	b.begin(1, t.size)
	_, err = io.CopyBuffer(io.MultiWriter(w, b), struct{ io.Reader }{t.r}, make([]byte, copyBuffer))
	b.end()
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return t.fail(err)
	}
	return t.finish()
}

// signer makes the signer of the flags, nil if there is none.
func (o *sealOptions) signer() (*message.Signer, error) {
	switch {
	case o.key != "":
		id, err := mayfly.LoadIdentity(o.key)
		if err != nil {
			return nil, err
		}
		return message.NewSigner(id)
	case o.cert != "":
		cert, err := loadCertificate(o.cert, o.certKey)
		if err != nil {
			return nil, err
		}
		s, err := message.CertificateSigner(cert)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", o.cert, strings.TrimPrefix(err.Error(), "message: "))
		}
		return s, nil
	}
	return nil, nil
}

var ciphers = map[string]message.Cipher{
	"aes-256-gcm": message.AES256GCM, "aes-128-gcm": message.AES128GCM, "chacha20-poly1305": message.ChaCha20Poly1305,
}

// recipient reads what stands behind -r.
func recipient(s string) (*message.Recipient, error) {
	b, err := os.ReadFile(s)
	if err != nil {
		r, unread := message.ParseRecipient(s)
		if unread != nil && !strings.HasPrefix(s, "mfpub1") {
			unread = fmt.Errorf("%w: %w", unread, err)
		}
		return r, unread
	}
	b = keyfile.TrimMark(b)
	block, _ := pem.Decode(b)
	if block == nil {
		r, err := message.ParseRecipient(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: it holds neither a certificate nor a string that begins with mfpub1", s)
		}
		return r, nil
	}
	if block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: it holds no certificate: of a key made by keygen, recipient prints what others need", s)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if time.Now().After(cert.NotAfter) {
		return nil, fmt.Errorf("%s: the certificate has expired, on %s", s, cert.NotAfter.Format(time.DateOnly))
	}
	r, err := message.CertificateRecipient(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", s, strings.TrimPrefix(err.Error(), "message: "))
	}
	return r, nil
}

func recipientCommand() *cobra.Command {
	var certificates, age bool
	cmd := &cobra.Command{
		Use:   "recipient FILE",
		Short: "Print what others need to seal messages for a key",
		Long: `Print the public half of the keys in FILE, as seal takes it: a string that begins with
mfpub1. --certificate prints it for other programs: the certificate of the
encryption key, and that of the identity that has signed it. --age prints it for
the age tool.`,
		Example: "  mayfly recipient node.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := apart(cmd.Flags(), "certificate", "age"); err != nil {
				return err
			}
			k, err := message.LoadKey(args[0])
			if err != nil {
				return err
			}
			defer k.Wipe()
			r, err := k.Recipient()
			if err != nil {
				return err
			}
			switch {
			case age:
				fmt.Fprintln(cmd.OutOrStdout(), r.Age())
			case certificates:
				encryption, identity, err := k.Certificates()
				if err != nil {
					return err
				}
				for _, der := range [][]byte{encryption, identity} {
					if err := pem.Encode(cmd.OutOrStdout(), &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
						return err
					}
				}
			default:
				fmt.Fprintln(cmd.OutOrStdout(), r)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&certificates, "certificate", false, "print certificates in PEM")
	cmd.Flags().BoolVar(&age, "age", false, "print a recipient of the age tool")
	return cmd
}
