// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// TestApproved holds the lists against those of Go's crypto/tls/defaults_fips140.go.
func TestApproved(t *testing.T) {
	t.Parallel()
	suites := []uint16{tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_AES_128_GCM_SHA256}
	if got := filter(suites, approvedSuites); !slices.Equal(got, suites[1:]) {
		t.Errorf("suites %x", got)
	}
	groups := []tls.CurveID{tls.X25519, tls.X25519MLKEM768, tls.CurveP256, tls.CurveP384, tls.CurveP521, 0x11eb, 0x11ed, 0x0202, 0x001e}
	if got := filter(groups, approvedGroups); !slices.Equal(got, groups[1:8]) {
		t.Errorf("groups %v", got)
	}
	schemes := []tls.SignatureScheme{
		tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256, tls.Ed25519, tls.PSSWithSHA384, tls.PSSWithSHA512,
		tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512,
		tls.PKCS1WithSHA1, tls.ECDSAWithSHA1,
	}
	if got := filter(schemes, approvedSchemes); !slices.Equal(got, schemes[:10]) {
		t.Errorf("schemes %v", got)
	}
	if got := Suites(suites); !slices.Equal(got, suites) != fips140.Enabled() {
		t.Errorf("in this mode %x may be used", got)
	}
}

func TestApprovedKeys(t *testing.T) {
	t.Parallel()
	rsaOf := func(bits uint) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	good := []crypto.PublicKey{
		rsaOf(2048), rsaOf(4096), ed25519.PublicKey(make([]byte, 32)),
		&ecdsa.PublicKey{Curve: elliptic.P256()}, &ecdsa.PublicKey{Curve: elliptic.P384()}, &ecdsa.PublicKey{Curve: elliptic.P521()},
	}
	bad := []crypto.PublicKey{rsaOf(2047), rsaOf(1024), &ecdsa.PublicKey{Curve: elliptic.P224()}, nil, "a key"}
	cert := func(k crypto.PublicKey) *x509.Certificate { return &x509.Certificate{PublicKey: k} }
	for i, k := range slices.Concat(good, bad) {
		want := i < len(good)
		if approvedKey(k) != want {
			t.Errorf("key %d: %v", i, !want)
		}
		chains := [][]*x509.Certificate{{cert(nil), cert(k)}, {cert(nil), cert(k), cert(good[0])}, {}, {cert(nil), cert(bad[0])}}
		if got := approvedChains(chains, good[0]); want && (len(got) != 2 || got[0][1] != chains[0][1]) || !want && len(got) > 0 {
			t.Errorf("key %d of an authority: %d chains", i, len(got))
		}
		if got := approvedChains([][]*x509.Certificate{{cert(nil), cert(good[0])}}, k); (len(got) == 1) != want {
			t.Errorf("key %d of a leaf: %d chains", i, len(got))
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	defaults := []tls.CurveID{1, 2}
	known := func(v tls.CurveID) bool { return v < 10 }
	odd := func(list []tls.CurveID) []tls.CurveID {
		return slices.DeleteFunc(slices.Clone(list), func(v tls.CurveID) bool { return v%2 == 0 })
	}
	for name, v := range map[string]struct {
		wanted, want []tls.CurveID
		err          string
	}{
		"default":  {nil, []tls.CurveID{1}, ""},
		"some":     {[]tls.CurveID{5, 3, 4, 5, 1}, []tls.CurveID{5, 3, 1}, ""},
		"empty":    {[]tls.CurveID{}, nil, "is empty"},
		"unknown":  {[]tls.CurveID{1, 10}, nil, "there are those"},
		"excluded": {[]tls.CurveID{4, 8}, nil, "FIPS"},
	} {
		got, err := Choose("Field", v.wanted, defaults, known, odd, "those")
		if !slices.Equal(got, v.want) || (err == nil) != (v.err == "") || err != nil && !(strings.Contains(err.Error(), v.err) && strings.HasPrefix(err.Error(), "Field ")) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if !slices.Equal(defaults, []tls.CurveID{1, 2}) {
		t.Error("the defaults were changed")
	}
}
