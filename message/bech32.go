// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message

import (
	"errors"
	"strings"
)

// Bech32m, BIP 350, without its limit on the length: a string of letters and digits
// with a checksum, which tells a wrong letter from a right one. Bech32, BIP 173, which
// age uses, differs in a constant.

const (
	bech32Letters  = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	bech32Checksum = 6 // letters
	bech32         = 1
	bech32m        = 0x2bc830a3
)

var errBech32 = errors.New("it was not copied as it was: its checksum is wrong")

// encodeBech32 returns prefix, "1", and data with a checksum of a variant.
func encodeBech32(prefix string, data []byte, variant uint32) string {
	values, _ := regroup(data, 8, 5, true)
	sum := polymod(append(expand(prefix), append(values, make([]byte, bech32Checksum)...)...)) ^ variant
	for i := range bech32Checksum {
		values = append(values, byte(sum>>(5*(bech32Checksum-1-i))&31))
	}
	var b strings.Builder
	b.WriteString(prefix + "1")
	for _, v := range values {
		b.WriteByte(bech32Letters[v])
	}
	return b.String()
}

// decodeBech32 returns the data of a Bech32m string with that prefix, of which there are at
// most max bytes. Upper case is read too, but not a mixture.
func decodeBech32(prefix, s string, max int) ([]byte, error) {
	if s == strings.ToUpper(s) {
		s = strings.ToLower(s)
	}
	letters, ok := strings.CutPrefix(s, prefix+"1")
	if !ok || len(letters) < bech32Checksum || len(letters) > 2*max+bech32Checksum {
		return nil, errBech32
	}
	values := make([]byte, len(letters))
	for i := range letters {
		v := strings.IndexByte(bech32Letters, letters[i])
		if v < 0 {
			return nil, errBech32
		}
		values[i] = byte(v)
	}
	if polymod(append(expand(prefix), values...)) != bech32m {
		return nil, errBech32
	}
	data, ok := regroup(values[:len(values)-bech32Checksum], 5, 8, false)
	if !ok || len(data) > max {
		return nil, errBech32
	}
	return data, nil
}

// polymod is BIP 173's checksum function.
func polymod(values []byte) uint32 {
	sum := uint32(1)
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}

// expand is how the prefix enters the checksum.
func expand(prefix string) []byte {
	var high, low []byte
	for _, c := range []byte(prefix) {
		high, low = append(high, c>>5), append(low, c&31)
	}
	return append(append(high, 0), low...)
}

// regroup turns groups of from bits into such of to bits. Without pad, bits that are
// left over must be fewer than from, and zeros.
func regroup(data []byte, from, to uint, pad bool) (out []byte, ok bool) {
	var acc, bits uint
	for _, v := range data {
		acc = acc<<from | uint(v)
		for bits += from; bits >= to; {
			bits -= to
			out = append(out, byte(acc>>bits&(1<<to-1)))
		}
	}
	rest := acc & (1<<bits - 1)
	if pad && bits > 0 {
		out = append(out, byte(rest<<(to-bits)))
	}
	return out, pad || bits < from && rest == 0
}
