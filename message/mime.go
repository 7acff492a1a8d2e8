// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

const (
	maxHeaders = 1 << 20 // bytes of a mail's headers, or of the text before PEM

	lineBytes = 57 // that make a line of 76 letters: RFC 2045, Section 6.8
	lineLen   = lineBytes/3*4 + 2
)

// A mimeWriter writes a MIME entity of application/pkcs7-mime: RFC 8551, Section 3.2.
type mimeWriter struct {
	w     io.WriteCloser
	kind  string // the smime-type
	begun bool
	rest  []byte // less than a line
	out   []byte
}

func newMIMEWriter(w io.WriteCloser, kind string) *mimeWriter {
	return &mimeWriter{w: w, kind: kind}
}

func (m *mimeWriter) Write(p []byte) (int, error) {
	n := len(p)
	m.begin()
	if len(m.rest) > 0 {
		k := min(lineBytes-len(m.rest), len(p))
		m.rest, p = append(m.rest, p[:k]...), p[k:]
		if len(m.rest) < lineBytes {
			return n, nil
		}
		m.line(m.rest)
		m.rest = m.rest[:0]
	}
	for len(p) >= lineBytes {
		m.line(p[:lineBytes])
		p = p[lineBytes:]
	}
	m.rest = append(m.rest, p...)
	return n, m.flush()
}

func (m *mimeWriter) Close() error {
	defer func() { volatile.Wipe(m.out[:cap(m.out)]) }() // it may be what is signed
	m.begin()
	if len(m.rest) > 0 {
		m.line(m.rest)
	}
	if err := m.flush(); err != nil {
		return err
	}
	return m.w.Close()
}

func (m *mimeWriter) begin() {
	if !m.begun {
		m.begun = true
		m.out = append(m.out, "MIME-Version: 1.0\r\n"+
			"Content-Type: application/pkcs7-mime; smime-type="+m.kind+";\r\n name=smime.p7m\r\n"+
			"Content-Transfer-Encoding: base64\r\n"+
			"Content-Disposition: attachment; filename=smime.p7m\r\n\r\n"...)
	}
}

func (m *mimeWriter) line(p []byte) {
	m.out = append(base64.StdEncoding.AppendEncode(m.out, p), '\r', '\n')
}

func (m *mimeWriter) flush() error {
	_, err := m.w.Write(m.out)
	m.out = m.out[:0]
	return err
}

// unarmor returns the CMS in what may be a mail, or PEM. kind is the smime-type that a
// mail should have. It takes what containers look like in practice, as OpenSSL does; what
// is inside is read strictly.
func unarmor(src source, kind string) source {
	return func() (io.Reader, error) {
		raw, err := src()
		if err != nil {
			return nil, err
		}
		r := bufio.NewReaderSize(raw, 64<<10)
		if mark, _ := r.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
			_, _ = r.Discard(len(byteOrderMark))
		}
		first, err := r.Peek(1)
		switch {
		case err != nil && err != io.EOF:
			return nil, err
		case err == io.EOF || first[0] == 0x30: // a SEQUENCE, or nothing
			return r, nil
		}
		return readText(r, kind)
	}
}

// byteOrderMark is what some editors put before text in UTF-8.
const byteOrderMark = "\ufeff"

const space = " \t\r\n"

// readText returns the CMS in a mail, or in PEM with text before it.
func readText(r *bufio.Reader, kind string) (io.Reader, error) {
	var head mailHead
	inHead := true
	for read := 0; ; {
		line, err := readLine(r, maxHeaders-read)
		if err != nil {
			return nil, err
		}
		first := read == 0
		read += len(line)
		switch trimmed := strings.Trim(line, space); {
		case strings.HasPrefix(trimmed, "-----BEGIN "):
			return readPEM(r, trimmed)
		case !inHead: // text before PEM
		case trimmed == "":
			if head.fields["content-type"] != "" {
				return head.body(r, kind)
			}
			inHead = read == len(line) // an empty line may stand before the head
		case first && strings.HasPrefix(line, "From "): // of an mbox
		default:
			if !head.add(strings.TrimRight(line, "\r\n")) {
				return nil, ErrDamaged
			}
		}
	}
}

// readLine reads a line with its end. What has no end within limit is damaged.
func readLine(r *bufio.Reader, limit int) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return "", ErrDamaged
		}
		line = append(line, part...)
		switch err {
		case nil:
			return string(line), nil
		case bufio.ErrBufferFull:
		case io.EOF:
			return "", ErrDamaged // it may as well be something else altogether
		default:
			return "", err
		}
	}
}

// A mailHead holds those fields of a mail that say what its body is.
type mailHead struct {
	fields map[string]string
	last   string // the field that the next line may go on with
}

// add reads a line. It reports false for a second field of a name: two readers could
// take one each.
func (h *mailHead) add(line string) bool {
	if line[0] == ' ' || line[0] == '\t' {
		if h.last != "" {
			h.fields[h.last] += line
		}
		return true
	}
	name, value, _ := strings.Cut(line, ":")
	h.last = ""
	switch name = strings.ToLower(strings.TrimRight(name, space)); name {
	case "content-type", "content-transfer-encoding":
		if _, twice := h.fields[name]; twice {
			return false
		}
		if h.fields == nil {
			h.fields = make(map[string]string)
		}
		h.fields[name], h.last = strings.TrimSpace(value), name
	}
	return true
}

var (
	// errApart is that of RFC 8551, Section 3.5.3, which has the signed text outside CMS.
	errApart = because(ErrUnsupported, "it is signed by a part of its own (multipart/signed), and not sealed: openssl cms -verify reads it")

	errNotAuthenticated = because(ErrUnsupported, "it is EnvelopedData, which an attacker can change unseen: ask the sender for AES-GCM (AuthEnvelopedData), or open it with openssl cms -decrypt")

	errOnlySigned = because(ErrUnsupported, "it is signed and not sealed: openssl cms -verify reads it")
)

// body returns the body of an entity of application/pkcs7-mime.
func (h *mailHead) body(r *bufio.Reader, kind string) (io.Reader, error) {
	media, smimeType, ok := mediaType(h.fields["content-type"])
	switch {
	case !ok:
		return nil, ErrDamaged
	case media == "multipart/signed":
		return nil, errApart
	case media != "application/pkcs7-mime" && media != "application/x-pkcs7-mime":
		return nil, because(ErrUnsupported, "the mail is not of type application/pkcs7-mime")
	case smimeType == "", smimeType == strings.ToLower(kind):
	case kind == sealedType && smimeType == "enveloped-data": // some programs say so: the content tells
	case kind == sealedType && smimeType == "signed-data":
		return nil, errOnlySigned
	default:
		return nil, because(ErrUnsupported, "the mail is not of S/MIME type "+kind)
	}
	switch strings.ToLower(h.fields["content-transfer-encoding"]) {
	case "base64":
		return newBase64Reader(r), nil
	case "binary":
		return r, nil
	}
	return nil, because(ErrUnsupported, "the mail is neither in base64 nor binary")
}

// sealedType is the smime-type of a sealed mail: RFC 8551, Section 3.2.2.
const sealedType = "authEnveloped-data"

// mediaType reads a Content-Type for its type and smime-type, in lower case. Other
// parameters may have any form: names of files stand there without quotes, or in UTF-8.
func mediaType(field string) (media, smimeType string, ok bool) {
	quoted := false
	parts := strings.FieldsFunc(field, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ';' && !quoted
	})
	if len(parts) == 0 {
		return "", "", false
	}
	media = strings.ToLower(strings.Trim(parts[0], space))
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.Trim(name, space), "smime-type") {
			continue
		}
		value = strings.ToLower(strings.Trim(strings.Trim(value, space), `"`))
		if smimeType != "" && smimeType != value {
			return "", "", false
		}
		smimeType = value
	}
	return media, smimeType, true
}

// readPEM returns what is in a block of PEM (RFC 7468, Section 9), after its first line.
func readPEM(r *bufio.Reader, label string) (io.Reader, error) {
	if label != "-----BEGIN CMS-----" && label != "-----BEGIN PKCS7-----" {
		return nil, ErrDamaged
	}
	return newBase64Reader(&pemReader{r: r, end: strings.Replace(label, "BEGIN", "END", 1)}), nil
}

// A pemReader reads up to a line.
type pemReader struct {
	r    *bufio.Reader
	end  string
	line []byte
	done bool
}

func (p *pemReader) Read(b []byte) (int, error) {
	for len(p.line) == 0 {
		if p.done {
			return 0, io.EOF
		}
		line, err := p.r.ReadSlice('\n')
		if text := bytes.Trim(line, space); len(text) > 0 && text[0] == '-' {
			if string(text) != p.end {
				return 0, ErrDamaged
			}
			p.done = true
			continue
		}
		switch {
		case err == io.EOF:
			return 0, ErrTruncated
		case err != nil && err != bufio.ErrBufferFull:
			return 0, err
		}
		p.line = line
	}
	n := copy(b, p.line)
	p.line = p.line[n:]
	return n, nil
}

func newBase64Reader(r io.Reader) io.Reader {
	return &base64Reader{r: base64.NewDecoder(base64.StdEncoding.Strict(), blankless{r})}
}

// blankless leaves out the blanks that stand before and behind lines of base64. The
// decoder leaves out the ends of lines.
type blankless struct{ r io.Reader }

func (b blankless) Read(p []byte) (int, error) {
	for {
		n, err := b.r.Read(p)
		kept := p[:0]
		for _, c := range p[:n] {
			if c != ' ' && c != '\t' {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil || len(p) == 0 {
			return len(kept), err
		}
	}
}

// A base64Reader says of what is no base64 that it is damaged.
type base64Reader struct{ r io.Reader }

func (b *base64Reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if _, ok := errors.AsType[base64.CorruptInputError](err); ok {
		err = ErrDamaged
	}
	return n, err
}
