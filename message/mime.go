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
	"mime"
	"net/textproto"
	"strings"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

const (
	maxHeaders = 64 << 10 // bytes of a mail's headers

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
// mail should have.
func unarmor(src source, kind string) source {
	return func() (io.Reader, error) {
		raw, err := src()
		if err != nil {
			return nil, err
		}
		r := bufio.NewReaderSize(raw, 64<<10)
		first, err := r.Peek(1)
		switch {
		case err != nil && err != io.EOF:
			return nil, err
		case err == io.EOF || first[0] == 0x30: // a SEQUENCE, or nothing
			return r, nil
		case first[0] == '-':
			return readPEM(r)
		}
		return readMIME(r, kind)
	}
}

// errApart is that of RFC 8551, Section 3.5.3, which has the signed text outside CMS.
var errApart = because(ErrUnsupported, "it is signed by a part of its own (multipart/signed)")

// readMIME returns the body of an entity of application/pkcs7-mime.
func readMIME(r *bufio.Reader, kind string) (io.Reader, error) {
	text, err := readHeaders(r)
	if err != nil {
		return nil, err
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return nil, ErrDamaged
	}
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, ErrDamaged
	case media == "multipart/signed":
		return nil, errApart
	case media != "application/pkcs7-mime" && media != "application/x-pkcs7-mime":
		return nil, because(ErrUnsupported, "the mail is not of type application/pkcs7-mime")
	case params["smime-type"] != "" && !strings.EqualFold(params["smime-type"], kind):
		return nil, because(ErrUnsupported, "the mail is not of S/MIME type "+kind)
	}
	switch strings.ToLower(strings.TrimSpace(header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return &base64Reader{r: base64.NewDecoder(base64.StdEncoding.Strict(), r)}, nil
	case "binary":
		return r, nil
	}
	return nil, because(ErrUnsupported, "the mail is neither in base64 nor binary")
}

// readHeaders reads up to the empty line.
func readHeaders(r *bufio.Reader) (text []byte, err error) {
	for len(text) < maxHeaders {
		line, err := r.ReadSlice('\n')
		switch err {
		case nil:
		case io.EOF:
			return nil, ErrDamaged // it may as well be something else altogether
		case bufio.ErrBufferFull:
			return nil, ErrDamaged
		default:
			return nil, err
		}
		text = append(text, line...)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return text, nil
		}
	}
	return nil, ErrDamaged
}

// readPEM returns what is in a block of PEM: RFC 7468, Section 9.
func readPEM(r *bufio.Reader) (io.Reader, error) {
	line, err := r.ReadSlice('\n')
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return nil, err
	}
	label := string(bytes.TrimRight(line, "\r\n"))
	if label != "-----BEGIN CMS-----" && label != "-----BEGIN PKCS7-----" {
		return nil, ErrDamaged
	}
	end := strings.Replace(label, "BEGIN", "END", 1)
	return &base64Reader{r: base64.NewDecoder(base64.StdEncoding.Strict(), &pemReader{r: r, end: end})}, nil
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
		if len(line) > 0 && line[0] == '-' {
			if string(bytes.TrimRight(line, "\r\n")) != p.end {
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

// A base64Reader says of what is no base64 that it is damaged.
type base64Reader struct{ r io.Reader }

func (b *base64Reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if _, ok := errors.AsType[base64.CorruptInputError](err); ok {
		err = ErrDamaged
	}
	return n, err
}
