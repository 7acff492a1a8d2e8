// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package kex

import (
	"crypto/fips140"
	"io"
	"runtime"

	"github.com/mayfly-tls/mayfly/internal/volatile"
)

// An implementation is where X25519 and ML-KEM come from. The NIST curves are always the
// standard library's.
type implementation struct {
	// x25519 returns the key of a scalar, which it owns from then on.
	x25519 func(scalar *volatile.Secret) (PrivateKey, error)

	mlkem768, mlkem1024 kem
}

var (
	circl    = implementation{newX25519, circl768, circl1024}
	standard = implementation{newStandardX25519, standard768, standard1024}

	chosen = choose(fips140.Enabled(), runtime.GOARCH)
)

// choose prefers circl: it is faster, its X25519 and the message of its encapsulation use
// memory that this package owns, and its ML-KEM leaves nothing on the heap but the key.
// In FIPS 140-3 mode all comes from Go's validated module. circl's X25519 is faster on amd64
// and arm64; elsewhere it is at best as fast, and up to three times slower.
func choose(fips bool, arch string) implementation {
	switch {
	case fips:
		return standard
	case arch != "amd64" && arch != "arm64":
		return implementation{standard.x25519, circl.mlkem768, circl.mlkem1024}
	}
	return circl
}

func (i implementation) generate(g Group, random io.Reader) (PrivateKey, error) {
	switch g {
	case P256, P384, P521:
		return generateECDH(g, random)
	case X25519:
		return i.generateX25519(random)
	case MLKEM1024:
		k, err := i.mlkem1024.generate(g, random)
		if err != nil {
			return nil, err
		}
		return k, nil
	case X25519MLKEM768:
		return i.generateHybrid(random)
	}
	return nil, errGroup()
}

func (i implementation) respond(g Group, random io.Reader, clientShare []byte) ([]byte, *volatile.Secret, error) {
	switch g {
	case P256, P384, P521, X25519:
		k, err := i.generate(g, random)
		if err != nil {
			return nil, nil, err
		}
		defer k.Wipe()
		secret, err := k.Agree(clientShare)
		if err != nil {
			return nil, nil, err
		}
		return k.Share(), secret, nil
	case MLKEM1024:
		return i.mlkem1024.respond(random, clientShare)
	case X25519MLKEM768:
		return i.respondHybrid(random, clientShare)
	}
	return nil, nil, errGroup()
}
