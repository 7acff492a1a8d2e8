// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"io"
	"runtime"

	"github.com/mayfly-tls/mayfly/internal/cms"
	"github.com/mayfly-tls/mayfly/internal/content"
	"github.com/mayfly-tls/mayfly/internal/volatile"
)

const (
	defaultMemory = 16 << 20
	defaultSpool  = 1 << 30
	minTag        = 12 // bytes: RFC 5084, Section 3.2
)

// OpenOptions are what Open does without.
type OpenOptions struct {
	// Accept judges the signature. Where it is set, the message must be signed, as CMS or
	// as a mail, and is taken out of that. It is called when the signature has been
	// verified, and before any of the content is given out; SignedBy and SignedUnder
	// make such functions. nil: what was signed and then sealed comes as it is, with its
	// signature around it; only where the sealed message says itself that its content is
	// signed, which Seal's do not, the signature is verified and taken off.
	Accept func(*Signature) error

	// A message that cannot be sought in is kept, sealed as it is, until all of it has
	// been authenticated: in memory up to MemoryLimit bytes (0: 16 MiB), and then in a
	// file in SpoolDir ("": that of os.TempDir) up to SpoolLimit (0: 1 GiB; negative: no
	// limit). The file has no name, where the system allows that.
	MemoryLimit int
	SpoolLimit  int64
	SpoolDir    string
}

// A Message is an opened message: it reads as its content, of which every byte has
// been authenticated. It is not safe for concurrent use.
type Message struct {
	opened    *opened
	signature *Signature
}

// An opened is the part of a Message that is wiped.
type opened struct {
	content io.Reader
	again   source // opens content when it is first read
	sealed  *envelope
	spool   *spool
	err     error
}

// Open opens a message that was sealed for key: DER or BER, a mail, or PEM. It reads
// all of it before it returns, and authenticates it; reading from the Message reads
// it again. If r can be sought in, it must not be used until the Message has been
// read or closed, and may change in between: what was not authenticated is an error
// then, too. nil options are the zero ones.
//
// Its errors are ErrNotForKey, ErrNotAuthentic, ErrDamaged, ErrTruncated,
// ErrUnsupported, ErrTooLarge and ErrNotSigned, to be told apart with errors.Is, that
// of Accept, and those of r.
func Open(r io.Reader, key *Key, o *OpenOptions) (*Message, error) {
	if err := checkMode(); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(OpenOptions)
	}
	raw, keep := newSource(r, o)
	state := &opened{spool: keep}
	m, err := open(raw, key, o, state)
	if err != nil {
		state.close(err)
		return nil, readError(err)
	}
	runtime.AddCleanup(m, func(s *opened) { s.close(nil) }, state)
	return m, nil
}

// Read returns io.EOF at the end of the content. The Message is closed then, and with
// every error.
func (m *Message) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(m)
	return m.opened.Read(p)
}

// Signature returns whose message it is, nil if it is not signed.
func (m *Message) Signature() *Signature { return m.signature }

// Close wipes the content key. It does not close what was opened. It may be called
// again.
func (m *Message) Close() error {
	m.opened.close(errClosedMessage)
	runtime.KeepAlive(m)
	return nil
}

var errClosedMessage = because(io.ErrClosedPipe, "the message was closed")

func open(raw source, key *Key, o *OpenOptions, state *opened) (*Message, error) {
	e := &envelope{src: unarmor(raw, sealedType)}
	state.sealed = e
	if err := e.authenticate(key); err != nil {
		return nil, err
	}
	m := &Message{opened: state}
	signed, bare := source(e.open), true
	switch {
	case e.syntax.ContentType.Equal(cms.OIDSignedData):
	case o.Accept != nil:
		signed, bare = unarmor(e.open, "signed-data"), false
	default:
		state.again = e.open
		return m, nil
	}
	var err error
	if m.signature, state.again, err = verify(signed, bare); err != nil {
		return nil, err
	}
	if o.Accept != nil {
		if err := o.Accept(m.signature); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (o *opened) Read(p []byte) (n int, err error) {
	if o.err != nil {
		return 0, o.err
	}
	if o.content == nil {
		o.content, err = o.again()
	}
	if err == nil {
		n, err = o.content.Read(p)
	}
	if err == io.EOF {
		o.close(io.EOF)
	} else if err != nil {
		n = 0
		o.close(changed(err))
	}
	return n, o.err
}

func (o *opened) close(err error) {
	if o.err == nil {
		o.err = err
	}
	if o.sealed != nil {
		o.sealed.wipe()
	}
	o.spool.close()
}

// An envelope is a sealed message that is being opened.
type envelope struct {
	src     source
	syntax  *cms.Envelope
	content cms.Content
	cipher  content.Algorithm
	nonce   []byte
	key     *volatile.Secret
	marks   *marks
	length  int64 // of the content

	reader *decrypter // that was opened last
}

// authenticate reads the whole message, and checks its tag.
func (e *envelope) authenticate(key *Key) error {
	r, err := e.src()
	if err != nil {
		return err
	}
	d := cms.NewDecoder(r)
	d.AllowPadding()
	if e.syntax, e.content, err = cms.ReadEnvelope(d); err != nil {
		return err
	}
	tagLen, err := e.algorithm()
	if err != nil {
		return err
	}
	if e.key, err = key.unwrap(e.syntax, e.cipher.KeyLen()); err != nil {
		return err
	}
	if e.marks, err = newMarks(); err != nil {
		return err
	}
	tag, err := e.mac(e.content.Pass(d), nil)
	if err != nil {
		return err
	}
	if err := e.syntax.ReadTail(d); err != nil {
		return err
	}
	if err := e.checkType(); err != nil {
		return err
	}
	if e.syntax.AuthAttrs != nil { // they stand behind what they are hashed before
		r, err := e.src.from(e.content.Offset)
		if err != nil {
			return err
		}
		e.marks.check = true
		if tag, err = e.mac(e.content.Reader(r), e.syntax.AuthAttrs); err != nil {
			return changed(err)
		}
	}
	e.marks.check = true
	if len(e.syntax.MAC) != tagLen || subtle.ConstantTimeCompare(tag[:tagLen], e.syntax.MAC) != 1 {
		return ErrNotAuthentic
	}
	return nil
}

// algorithm reads which cipher it is, and its parameters.
func (e *envelope) algorithm() (tagLen int, err error) {
	tagLen = content.TagLen
	ok := true
	switch a := e.syntax.Cipher; {
	case a.ID.Equal(cms.OIDAES128GCM):
		e.cipher = content.AES128GCM
		e.nonce, tagLen, ok = cms.ParseGCMParameters(a.Parameters)
	case a.ID.Equal(cms.OIDAES256GCM):
		e.cipher = content.AES256GCM
		e.nonce, tagLen, ok = cms.ParseGCMParameters(a.Parameters)
	case a.ID.Equal(cms.OIDChaCha20Poly1305):
		e.cipher = content.ChaCha20Poly1305
		e.nonce, ok = cms.ParseOctets(a.Parameters)
	default:
		return 0, because(ErrUnsupported, "it is encrypted with an unknown cipher")
	}
	if !ok || tagLen < minTag || tagLen > content.TagLen {
		return 0, ErrDamaged
	}
	if len(e.nonce) != content.NonceLen {
		return 0, because(ErrUnsupported, "its nonce is not of 12 bytes")
	}
	return tagLen, nil
}

// checkType is RFC 5083, Section 2.1: all types but id-data have to be authenticated.
// Otherwise somebody could have signed data taken for a file, or a file for signed
// data.
func (e *envelope) checkType() error {
	var authenticated asn1.ObjectIdentifier
	if e.syntax.AuthAttrs != nil {
		attrs, ok := cms.ParseAttributes(e.syntax.AuthAttrs)
		if !ok {
			return ErrDamaged
		}
		authenticated = attrs.ContentType
	}
	got := e.syntax.ContentType
	switch {
	case got.Equal(cms.OIDData) && (authenticated == nil || authenticated.Equal(got)):
		return nil
	case got.Equal(cms.OIDSignedData) && authenticated.Equal(got):
		return nil
	case authenticated != nil && !authenticated.Equal(got):
		return ErrNotAuthentic
	}
	return because(ErrUnsupported, "its content is of an unknown type, or one that is not authenticated")
}

// mac reads the ciphertext, part by part, and returns its tag.
func (e *envelope) mac(r io.Reader, aad []byte) (tag [content.TagLen]byte, err error) {
	c, err := content.New(e.cipher, e.key.Bytes(), e.nonce, aad)
	if err != nil {
		return tag, err
	}
	defer c.Wipe()
	size := int64(content.PartSize)
	if n := e.content.Len(); n != cms.Indefinite {
		size = min(size, n+1) // one more than there is, so as to come upon the end
	}
	part := make([]byte, size)
	e.length = 0
	for i := 0; ; i++ {
		n, err := io.ReadFull(r, part)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return tag, err
		}
		if n > 0 {
			if !e.marks.add(i, part[:n]) {
				return tag, changed(nil)
			}
			if err := c.Add(part[:n]); err != nil {
				return tag, err
			}
			e.length += int64(n)
		}
		if err != nil {
			return c.Tag(), nil
		}
	}
}

// open is a source of the plaintext.
func (e *envelope) open() (io.Reader, error) {
	r, err := e.src.from(e.content.Offset)
	if err != nil {
		return nil, err
	}
	c, err := content.New(e.cipher, e.key.Bytes(), e.nonce, nil)
	if err != nil {
		return nil, err
	}
	c.Help = help
	e.reader.wipe()
	e.reader = &decrypter{
		r: e.content.Reader(r), cipher: c, marks: e.marks, left: e.length,
		part: make([]byte, min(e.length, content.PartSize)),
	}
	return e.reader, nil
}

func (e *envelope) wipe() {
	e.reader.wipe()
	e.key.Wipe()
	e.marks.wipe()
}

// A decrypter decrypts what has been authenticated, and checks each part again before
// it decrypts it: the source may have changed since.
type decrypter struct {
	r      io.Reader
	cipher *content.Cipher
	marks  *marks
	left   int64 // not read yet
	part   []byte
	i      int    // the number of the next part
	plain  []byte // of part, not handed out yet
}

func (d *decrypter) Read(p []byte) (int, error) {
	if len(d.plain) == 0 {
		if d.left == 0 {
			d.wipe()
			return 0, io.EOF
		}
		part := d.part[:min(d.left, int64(len(d.part)))]
		if _, err := io.ReadFull(d.r, part); err != nil {
			return 0, changed(err)
		}
		if !d.marks.add(d.i, part) {
			return 0, changed(nil)
		}
		if err := d.cipher.Decrypt(part); err != nil {
			return 0, err
		}
		d.i++
		d.left -= int64(len(part))
		d.plain = part
	}
	n := copy(p, d.plain)
	d.plain = d.plain[n:]
	return n, nil
}

func (d *decrypter) wipe() {
	if d == nil {
		return
	}
	d.cipher.Wipe()
	wipeOnce(&d.part)
	d.plain, d.left = nil, 0
}

// marks are MACs of the parts of a ciphertext, under a key that nobody else has.
type marks struct {
	aead  cipher.AEAD
	parts [][content.TagLen]byte
	check bool // parts are not new, but compared
}

func newMarks() (*marks, error) {
	key := volatile.New(16)
	defer key.Wipe()
	m := new(marks)
	var err error
	volatile.Do(func() {
		var block cipher.Block
		if _, err = rand.Read(key.Bytes()); err == nil {
			if block, err = aes.NewCipher(key.Bytes()); err == nil {
				m.aead, err = cipher.NewGCM(block)
				volatile.WipeFlat(block)
			}
		}
	})
	return m, err
}

// add takes or compares part i, and reports whether it is the same as before.
func (m *marks) add(i int, part []byte) bool {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(i))
	mark := [content.TagLen]byte(m.aead.Seal(nil, nonce[:], nil, part))
	if m.check {
		return i < len(m.parts) && subtle.ConstantTimeCompare(mark[:], m.parts[i][:]) == 1
	}
	m.parts = append(m.parts, mark)
	return true
}

func (m *marks) wipe() {
	if m != nil {
		volatile.WipeFlat(m.aead)
		m.aead = nil
	}
}
