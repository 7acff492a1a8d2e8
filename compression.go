// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"compress/zlib"
	"io"

	"github.com/mayfly-tls/mayfly/handshake"
	"github.com/mayfly-tls/mayfly/internal/compress"
)

// A CertificateCompression is an algorithm that makes the message with a side's
// certificates shorter (RFC 8879), for Config.CertificateCompression. ZlibCompression
// returns one; Brotli and Zstandard can be had from any package that has them:
//
//	mayfly.CertificateCompression{
//		Algorithm:  2,
//		Compress:   func(message []byte) ([]byte, error) { ... },
//		Decompress: func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
//	}
//
// Its functions must be safe for concurrent use.
type CertificateCompression struct {
	// Algorithm is its number with IANA: 1 is zlib, 2 Brotli, 3 Zstandard.
	Algorithm uint16

	// Compress returns the message in fewer bytes, or nothing where it had better go as
	// it is: when it would not get shorter, say. An error ends the handshake with
	// internal_error. The message must neither be kept nor changed. What it returns is
	// kept, and must not change: Compress is asked once for a message that was sent a
	// short time ago. Nil: only what the peer sends may be compressed.
	Compress func(message []byte) ([]byte, error)

	// Decompress returns a reader of what was compressed, which need not bound what it
	// gives: only so many bytes are read of it as the peer has announced, and these are
	// no more than a certificate message that is not compressed may have, 128 KiB. It
	// must bound the memory that it takes by itself. Where the reader is an io.Closer
	// it is closed. An error, or another length, ends the handshake with
	// bad_certificate. What comes is not authenticated yet. Nil: only what is sent may
	// be compressed.
	Decompress func(compressed io.Reader) (io.Reader, error)
}

// ZlibCompression returns the algorithm zlib, by the standard library: a chain of
// certificates takes some two thirds to three quarters of its bytes.
func ZlibCompression() CertificateCompression {
	return CertificateCompression{
		Algorithm:  1,
		Compress:   compress.Zlib,
		Decompress: func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	}
}

// settleCompression checks CertificateCompression.
func (s *settings) settleCompression() error {
	const most = 127 // RFC 8879, Section 3
	if len(s.CertificateCompression) > most {
		return configError("CertificateCompression has more algorithms than can be offered")
	}
	seen := make(map[uint16]bool)
	for _, c := range s.CertificateCompression {
		switch {
		case c.Compress == nil && c.Decompress == nil:
			return configError("CertificateCompression has an algorithm that neither compresses nor decompresses: take ZlibCompression(), for instance")
		case seen[c.Algorithm]:
			return configError("CertificateCompression has an algorithm twice")
		}
		seen[c.Algorithm] = true
		algorithm := handshake.Compression{Algorithm: c.Algorithm, Decompress: c.Decompress}
		if c.Compress != nil {
			algorithm.Compress = compress.Remember(c.Compress)
		}
		s.compressions = append(s.compressions, algorithm)
	}
	return nil
}
