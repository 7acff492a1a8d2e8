// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/keyfile"
	"github.com/mayfly-tls/mayfly/message"
)

func keygenCommand() *cobra.Command {
	var file string
	var add bool
	cmd := &cobra.Command{
		Use:   "keygen [-o FILE]",
		Short: "Make a key, and print its pin",
		Long: `Make an Ed25519 key, and an X25519 key beside it to open messages with, write them as
PKCS#8 PEM with mode 0600, and print the first one's pin on standard output. A file
that is there is never overwritten. recipient prints what others need to seal
messages for the key; --add adds the second key to a file that has only the first.`,
		Example: "  mayfly keygen -o node.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if add && file == "-" {
				return errors.New("--add goes with a file: -o - writes a new key to standard output")
			}
			if add {
				return addKey(file)
			}
			id, err := mayfly.GenerateIdentity()
			if err != nil {
				return err
			}
			pin := cmd.OutOrStdout()
			if file == "-" {
				pin = cmd.ErrOrStderr()
			}
			if err := saveKey(file, id, cmd.OutOrStdout()); err != nil {
				return err
			}
			fmt.Fprintln(pin, id.Pin())
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "out", "o", "mayfly.key", "`file` to write the private key to (-: standard output, and the pin to standard error)")
	cmd.Flags().BoolVar(&add, "add", false, "add a key for messages to that in the file")
	return cmd
}

// addKey appends an encryption key to the file of an identity.
func addKey(file string) error {
	id, err := mayfly.LoadIdentity(file)
	if err != nil {
		return err
	}
	if k, err := message.LoadKey(file); err == nil {
		defer k.Wipe()
		if _, err := k.Recipient(); err == nil {
			return fmt.Errorf("%s has a key for messages already", file)
		}
	}
	k, err := message.NewKey(id)
	if err != nil {
		return err
	}
	defer k.Wipe()
	both, err := k.MarshalPEM()
	if err != nil {
		return err
	}
	defer clear(both)
	_, second := pem.Decode(both)
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	last := make([]byte, 1)
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			second = append([]byte("\n"), second...)
			defer clear(second)
		}
	}
	_, err = f.Write(second)
	return errors.Join(err, f.Sync(), f.Close())
}

// saveKey writes a key, and one for messages, to a file that must not be there; "-" is
// stdout.
func saveKey(file string, id *mayfly.Identity, stdout io.Writer) error {
	k, err := message.NewKey(id)
	if err != nil {
		return err
	}
	defer k.Wipe()
	key, err := k.MarshalPEM()
	if err != nil {
		return err
	}
	defer clear(key)
	if file == "-" {
		_, err := stdout.Write(key)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and a key is never overwritten: name another file with -o", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(file)
	}
	return err
}

func pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin FILE",
		Short: "Print the pin of a private key, public key or certificate",
		Long: `Print the pin of what a PEM file holds: a private key, a public key, or a
certificate (of several, the first). A pin is the SHA-256 of the public key, as
curl --pinnedpubkey takes it.`,
		Example: "  mayfly pin cert.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pin, err := pinOfFile(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), pin)
			return nil
		},
	}
}

func pinOfFile(file string) (mayfly.Pin, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return mayfly.Pin{}, err
	}
	defer clear(b)
	block, _ := pem.Decode(bytes.TrimSpace(keyfile.TrimMark(b)))
	if block == nil {
		return mayfly.Pin{}, fmt.Errorf("%s is not a PEM file", file)
	}
	defer clear(block.Bytes)
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return mayfly.Pin{}, fmt.Errorf("%s: %w", file, err)
		}
		return mayfly.PinOfCertificate(cert), nil
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return mayfly.Pin{}, fmt.Errorf("%s: %w", file, err)
		}
		return mayfly.PinOf(key)
	}
	id, err := mayfly.LoadIdentity(file)
	if err != nil {
		return mayfly.Pin{}, err
	}
	return id.Pin(), nil
}
