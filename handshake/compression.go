// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package handshake

import (
	"bytes"
	"io"
	"slices"

	"github.com/mayfly-tls/mayfly/internal/alert"
	"github.com/mayfly-tls/mayfly/internal/credential"
	"github.com/mayfly-tls/mayfly/internal/wire"
)

// A Compression is an algorithm for Certificate messages (RFC 8879, Section 3).
type Compression struct {
	Algorithm uint16

	// Compress returns the message in fewer bytes; nil where it had better go as it
	// is. It must not keep the message. A nil Compress only receives.
	Compress func(message []byte) ([]byte, error)

	// Decompress returns a reader of what was compressed. Of it no more is read than
	// the peer announced, and a byte to see that there is no more. A nil Decompress
	// only sends.
	Decompress func(compressed io.Reader) (io.Reader, error)
}

// maxCompressions is how many algorithms the extension has room for.
const maxCompressions = 127

// messageHeader is the length of a handshake message's type and length, which are not
// compressed.
const messageHeader = 4

// compress returns the Certificate as a CompressedCertificate, in the first algorithm
// of ours that the peer has listed; or as it is, where that is none or is of no use
// (RFC 8879, Section 4).
func (m *Machine) compress(certificate []byte, listed []uint16) ([]byte, error) {
	for _, c := range m.cfg.Compressions {
		if c.Compress == nil || !slices.Contains(listed, c.Algorithm) {
			continue
		}
		body := certificate[messageHeader:]
		data, err := c.Compress(body)
		if err != nil {
			return nil, withAlert(err, alert.InternalError, "our certificate cannot be compressed")
		}
		if len(data) == 0 {
			return certificate, nil
		}
		if len(data) > maxCertificate {
			return nil, alert.New(alert.InternalError, "our certificate was compressed to something too long")
		}
		return (&wire.CompressedCertificate{Algorithm: c.Algorithm, UncompressedLength: uint32(len(body)), Data: data}).Marshal(), nil
	}
	return certificate, nil
}

// decompressors are the algorithms that compress_certificate lists. Raw public keys
// are as short as they get: where only these may come it is not sent.
func (m *Machine) decompressors() []uint16 {
	if m.role == Client && !slices.Contains(m.cfg.peerTypes(), credential.X509) ||
		m.role == Server && m.clientType != credential.X509 {
		return nil
	}
	var list []uint16
	for _, c := range m.cfg.Compressions {
		if c.Decompress != nil {
			list = append(list, c.Algorithm)
		}
	}
	return list
}

// decompress returns the Certificate message in a CompressedCertificate (RFC 8879,
// Section 4).
func (m *Machine) decompress(msg wire.Message) (wire.Message, error) {
	listed := m.decompressors()
	if len(listed) == 0 {
		return wire.Message{}, alert.New(alert.UnexpectedMessage, "a Certificate is compressed, and we did not offer to take one")
	}
	message, err := wire.ParseCompressedCertificate(msg.Raw)
	if err != nil {
		return wire.Message{}, err
	}
	if !slices.Contains(listed, message.Algorithm) {
		return wire.Message{}, alert.New(alert.IllegalParameter, "a Certificate is compressed by an algorithm that was not offered")
	}
	n := int(message.UncompressedLength)
	if messageHeader+n > maxCertificate {
		// RFC 8879, Section 5: the limit of a Certificate that is not compressed.
		return wire.Message{}, alert.New(alert.BadCertificate, "a compressed Certificate would be too long")
	}
	i := slices.IndexFunc(m.cfg.Compressions, func(c Compression) bool { return c.Algorithm == message.Algorithm })
	raw := append(make([]byte, 0, messageHeader+n), byte(wire.CertificateType), byte(n>>16), byte(n>>8), byte(n))
	raw = raw[:messageHeader+n]
	if err := m.cfg.Compressions[i].fill(raw[messageHeader:], message.Data); err != nil {
		return wire.Message{}, alert.Wrap(alert.BadCertificate, "a compressed Certificate cannot be decompressed", err)
	}
	return wire.Message{Type: wire.CertificateType, Raw: raw}, nil
}

// fill decompresses data, which must make exactly so many bytes.
func (c *Compression) fill(to, data []byte) error {
	source := bytes.NewReader(data)
	r, err := c.Decompress(source)
	if err != nil {
		return err
	}
	if closer, ok := r.(io.Closer); ok {
		defer closer.Close()
	}
	if _, err := io.ReadFull(r, to); err != nil {
		return err
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return alert.New(alert.BadCertificate, "it is longer than was announced")
	case err != io.EOF:
		return err
	case source.Len() > 0:
		return alert.New(alert.BadCertificate, "something follows it")
	}
	return nil
}

// checkCompressions judges the peer's compress_certificate: what is listed twice is
// not a list of algorithms.
func checkCompressions(listed []uint16) error {
	seen := make(map[uint16]bool, len(listed))
	for _, algorithm := range listed {
		if seen[algorithm] {
			return alert.New(alert.IllegalParameter, "a list of compression algorithms names one twice")
		}
		seen[algorithm] = true
	}
	return nil
}

// uncompressed makes a handler of CompressedCertificate of one of Certificate: what is
// in it is treated as if it had come as it is (RFC 8879, Section 5). The transcript has
// what did come.
func uncompressed[S state](f func(*Machine, S, wire.Message) (state, error)) func(*Machine, wire.Message) (state, error) {
	return on(func(m *Machine, s S, msg wire.Message) (state, error) {
		certificate, err := m.decompress(msg)
		if err != nil {
			return nil, err
		}
		return f(m, s, certificate)
	})
}
