// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// A Cipher encrypts and authenticates the content of messages.
type Cipher int

// The ciphers. AES256GCM is the default.
const (
	AES256GCM        Cipher = iota // RFC 5084
	AES128GCM                      // RFC 5084
	ChaCha20Poly1305               // RFC 8103; few mail programs know it, and it is slower
)

// String returns the name that the RFCs give the cipher.
func (c Cipher) String() string {
	switch c {
	case AES256GCM:
		return "AES-256-GCM"
	case AES128GCM:
		return "AES-128-GCM"
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	}
	return fmt.Sprintf("Cipher(%d)", int(c))
}

// MaxLength returns the most bytes that a message with the cipher may hold, a signature
// and MIME included: 64 GiB, or 256 GiB with ChaCha20Poly1305, less some bytes. It is 0
// for a Cipher that there is none of.
func (c Cipher) MaxLength() int64 {
	switch c {
	case AES256GCM, AES128GCM:
		return content.AES256GCM.MaxLen()
	case ChaCha20Poly1305:
		return content.ChaCha20Poly1305.MaxLen()
	}
	return 0
}

// maxRecipients bounds how many a message may be sealed for, so that what stands
// before the content is within what Open reads.
const maxRecipients = 1000

// SealOptions are what Seal does without.
type SealOptions struct {
	Cipher Cipher

	// Signer signs the message, inside, so that only recipients see by whom. nil: it is
	// not signed, and its recipients know nothing of where it comes from. A signature
	// does not say for whom it was meant: a recipient can seal what is signed again, for
	// somebody else. The signed message is a CMS message in the sealed one, so that
	// programs that take one off and then the other read it.
	Signer *Signer

	// SigningTime is what the signature says about when it was made. The zero Time
	// stands for now.
	SigningTime time.Time

	// MIME makes the message a mail: headers, and base64. What is sealed should be a
	// MIME entity then, for a mail program to show. Headers of the caller's, such as
	// Subject, may be written to w before Seal is called.
	MIME bool
}

// Seal returns a writer of a message's content. What it makes of that goes to w, for
// each of the recipients to open. The message is complete when Close has returned nil,
// which does not close w; without it, receivers find the message truncated. nil
// options are the zero ones.
//
// What is longer than Cipher.MaxLength fails, with ErrTooLarge, where that is reached. A
// message of any length takes less than 1 MiB of memory. With ChaCha20Poly1305, Write
// has all processors that are free work at it; they are done when it returns. The writer
// is not safe for concurrent use.
func Seal(w io.Writer, to []*Recipient, o *SealOptions) (io.WriteCloser, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(SealOptions)
	}
	if len(to) == 0 || len(to) > maxRecipients {
		return nil, fmt.Errorf("message: a message has from 1 to %d recipients", maxRecipients)
	}
	at := o.SigningTime
	if at.IsZero() {
		at = time.Now()
	}
	out := io.WriteCloser(leaveOpen{w})
	if o.MIME {
		out = newMIMEWriter(out, "authEnveloped-data")
	}
	keys, err := newSealing(to, o.Cipher)
	if err != nil {
		return nil, err
	}
	layers := []*contentWriter{newContentWriter(out, keys)}
	switch {
	case o.Signer == nil:
	case o.MIME: // RFC 8551, Section 3.7: one MIME entity in another
		layers = append(layers, newSigning(newMIMEWriter(layers[0], "signed-data"), o.Signer, at))
	default:
		layers = append(layers, newSigning(layers[0], o.Signer, at))
	}
	m := &sealed{layers[len(layers)-1]}
	runtime.AddCleanup(m, func(layers []*contentWriter) {
		for _, l := range layers {
			l.stop(errClosed)
		}
	}, layers)
	return m, nil
}

// sealed is what the caller holds. When it is dropped, the keys are wiped.
type sealed struct{ w io.WriteCloser }

func (s *sealed) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(s)
	return s.w.Write(p)
}

func (s *sealed) Close() error {
	defer runtime.KeepAlive(s)
	return s.w.Close()
}

// leaveOpen has a Close that does nothing.
type leaveOpen struct{ io.Writer }

func (leaveOpen) Close() error { return nil }

// A sealing is the AuthEnvelopedData that is being written.
type sealing struct {
	envelope cms.Envelope
	cipher   *content.Cipher
}

// newSealing draws a content key, and wraps it for the recipients. The content is
// always id-data, which needs no authenticated attributes (RFC 5083, Section 2.1):
// OpenSSL before 2026 does not read those.
func newSealing(to []*Recipient, c Cipher) (*sealing, error) {
	s := new(sealing)
	s.envelope.ContentType = cms.OIDData
	nonce := make([]byte, content.NonceLen)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("message: no randomness: %w", err)
	}
	var algorithm content.Algorithm
	switch c {
	case AES256GCM:
		algorithm = content.AES256GCM
		s.envelope.Cipher = cms.Algorithm{ID: cms.OIDAES256GCM, Parameters: cms.GCMParameters(nonce, content.TagLen)}
	case AES128GCM:
		algorithm = content.AES128GCM
		s.envelope.Cipher = cms.Algorithm{ID: cms.OIDAES128GCM, Parameters: cms.GCMParameters(nonce, content.TagLen)}
	case ChaCha20Poly1305:
		algorithm = content.ChaCha20Poly1305
		s.envelope.Cipher = cms.Algorithm{ID: cms.OIDChaCha20Poly1305, Parameters: cms.Octets(nonce)}
	default:
		return nil, errors.New("message: an unknown cipher")
	}
	key := volatile.New(algorithm.KeyLen())
	defer key.Wipe()
	var err error
	volatile.Do(func() { _, err = rand.Read(key.Bytes()) })
	if err != nil {
		return nil, fmt.Errorf("message: no randomness: %w", err)
	}
	for _, r := range to {
		if r == nil || r.key == nil {
			return nil, errors.New("message: a recipient is nil")
		}
		wrapped, err := wrapFor(r, key.Bytes())
		if err != nil {
			return nil, err
		}
		s.envelope.Recipients = append(s.envelope.Recipients, wrapped)
	}
	if s.cipher, err = content.New(algorithm, key.Bytes(), nonce, nil); err != nil {
		return nil, err
	}
	s.cipher.Help = help
	return s, nil
}

// help has other processors work at a cipher that is slow, for as long as there is
// something to do in one part of a message.
func help(n int, f func()) {
	for range min(n, runtime.GOMAXPROCS(0)-1) {
		go f()
	}
}

func (s *sealing) seal(dst, part []byte) error { return s.cipher.Seal(dst, part) }

func (s *sealing) head() []byte { return s.envelope.Frame(cms.Indefinite).Head }

func (s *sealing) finish(length int64) (cms.Frame, error) {
	tag := s.cipher.Tag()
	s.envelope.MAC = tag[:]
	return s.envelope.Frame(length), nil
}

func (s *sealing) wipe() { s.cipher.Wipe() }
