// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package credential

import (
	"cmp"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

// costlyLimit is how many verifications of a signature any of it may cost: far more than
// it should take, and far less than a peer should be able to cost.
const costlyLimit = 10_000

// verification is what one takes now, on a machine that may be busy.
func verification(t *testing.T) time.Duration {
	t.Helper()
	const n = 50
	key := edKey(1)
	signature := ed25519.Sign(key, []byte("message"))
	begin := time.Now()
	for range n {
		if !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("message"), signature) {
			t.Fatal("a signature is wrong")
		}
	}
	return time.Since(begin) / n
}

// TestCostlyCertificates shows certificates that were made to cost as much as can be:
// they are refused before anything costly is done with them, or what is done is
// bounded.
func TestCostlyCertificates(t *testing.T) {
	for _, test := range []struct {
		name  string
		chain func(t *testing.T) []*x509.Certificate
		want  alert.Code // of ParseShown; 0: of VerifyChain, whichever
		most  int        // 0: the default
	}{
		{"RSA of 16,384 bits", func(t *testing.T) []*x509.Certificate {
			return []*x509.Certificate{issue(t, func(o *order) { o.key = bigRSA(16384) })}
		}, alert.UnsupportedCertificate, 0},
		{"an authority with RSA of 16,384 bits", func(t *testing.T) []*x509.Certificate {
			return []*x509.Certificate{issue(t, nil), issue(t, func(o *order) { o.Certificate, o.key = *authority(100, ""), bigRSA(16384) })}
		}, alert.UnsupportedCertificate, 0},
		{"a long chain", func(t *testing.T) []*x509.Certificate {
			chain := []*x509.Certificate{issue(t, nil)}
			for n := range byte(10) {
				chain = append(chain, root(t, 30+n))
			}
			return chain
		}, alert.BadCertificate, 0},
		{"more names than an extension may have", func(t *testing.T) []*x509.Certificate {
			return []*x509.Certificate{issue(t, func(o *order) { o.DNSNames = names(4000, "") })}
		}, alert.BadCertificate, 0},
		{"a huge extension", func(t *testing.T) []*x509.Certificate {
			return []*x509.Certificate{issue(t, func(o *order) {
				o.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, maxExtension+1)}}
			})}
		}, alert.BadCertificate, 0},
		{"very many extensions", func(t *testing.T) []*x509.Certificate {
			return []*x509.Certificate{issue(t, func(o *order) {
				for i := range 3500 {
					o.ExtraExtensions = append(o.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, i}, Value: []byte{5, 0}})
				}
			})}
		}, 0, 0},
		{name: "authorities that all have one name", chain: manyPaths(9, elliptic.P521())},
		{name: "very many authorities that all have one name", chain: manyPaths(99, elliptic.P256()), most: MostCertificates},
		{"many names under many constraints", func(t *testing.T) []*x509.Certificate {
			chain := between(t, func(o *order) { o.ExcludedDNSDomains = names(1600, "-") })
			chain[0] = issue(t, func(o *order) {
				o.issuer, o.by, o.DNSNames = chain[1], edKey(101), append(names(1500, ""), "db.example")
			})
			return chain
		}, 0, 0},
		{"many policies", func(t *testing.T) []*x509.Certificate {
			policies := func(o *order) {
				for i := range uint64(2000) {
					o.Policies = append(o.Policies, oid(t, 1, 2, 3, i))
				}
			}
			chain := between(t, policies)
			chain[0] = issue(t, func(o *order) { o.issuer, o.by = chain[1], edKey(101); policies(o) })
			return chain
		}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var entries [][]byte
			for _, cert := range test.chain(t) {
				entries = append(entries, cert.Raw)
			}
			unit := verification(t)
			begin := time.Now()
			p, err := ParseShown(X509, entries, cmp.Or(test.most, DefaultCertificates))
			if (err == nil) != (test.want == 0) || err != nil && alert.Of(err) != test.want {
				t.Errorf("ParseShown: %v, want %v", err, test.want)
			}
			if err == nil {
				_, err = VerifyChain(p, VerifyOptions{Roots: pool(root(t, 100)), Name: "db.example", Now: now, Server: true})
			}
			took := time.Since(begin)
			if n := took / max(unit, verification(t)); n > costlyLimit {
				t.Errorf("it took as long as %d verifications, %v", n, took)
			} else {
				t.Logf("%v, %d verifications: %v", took, n, err)
			}
		})
	}
}

// names are so many host names of 16 bytes, which lie after prefix.
func names(n int, prefix string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%sh%d.example", prefix, 10000+i)
	}
	return list
}

func oid(t *testing.T, numbers ...uint64) x509.OID {
	t.Helper()
	id, err := x509.OIDFromInts(numbers)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// manyPaths is a leaf, and so many authorities that might each have issued it and each
// other: none has. The keys of P-521 take longest.
func manyPaths(n byte, curve elliptic.Curve) func(*testing.T) []*x509.Certificate {
	return func(t *testing.T) []*x509.Certificate {
		leaf := issue(t, func(o *order) { o.issuer, o.by = authority(101, ""), ecKey(t, curve, 200) })
		chain := []*x509.Certificate{leaf}
		for i := range n {
			chain = append(chain, issue(t, func(o *order) {
				o.Certificate = *authority(101, "")
				o.SerialNumber = big.NewInt(int64(1000 + int(i)))
				o.key, o.issuer, o.by = ecKey(t, curve, 10+i).Public(), authority(101, ""), ecKey(t, curve, 200)
			}))
		}
		return chain
	}
}
