// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/testvec"
)

// TestRFC8448Reference recomputes the traces with the standard library alone.
// It tests the vectors, not mayfly: each value that follows from others must
// follow, each record must open, and no value may be left unchecked.
func TestRFC8448Reference(t *testing.T) {
	t.Parallel()
	for _, tr := range loadRFC8448(t) {
		t.Run(tr.Name, func(t *testing.T) {
			t.Parallel()
			r := &reference{t: t, trace: tr, used: map[string]bool{}, private: map[string]*ecdh.PrivateKey{}, secrets: map[string][]byte{}}
			for _, s := range tr.Steps {
				r.step = s
				r.check()
				for _, name := range s.Names() {
					if !r.used[name] {
						t.Errorf("%s: %s: nothing checks %s", s.Who, s.What, name)
					}
				}
				clear(r.used)
			}
			r.checkRecords()
		})
	}
}

// reference is a walk through one trace.
type reference struct {
	t     *testing.T
	trace *testvec.Trace
	step  *testvec.Step
	used  map[string]bool // values of this step that were looked at

	private    map[string]*ecdh.PrivateKey // by side
	transcript [][]byte                    // messages so far
	secrets    map[string][]byte           // by label, and "early", "handshake", "master"
	derived    []byte                      // the salt of the next extract
	prefix     bool                        // the last message lacks its binders
}

func (r *reference) check() {
	s := r.step
	if s.Same != "" {
		if len(s.Names()) != 0 || r.trace.Resolve(s) == nil {
			r.t.Errorf("%s: %s: not the same as anything", s.Who, s.What)
		}
		return
	}
	what := strings.TrimSuffix(s.What, ` handshake message`)
	label := ""
	if before, quoted, ok := strings.Cut(s.What, ` "`); ok {
		what, label = before, strings.TrimPrefix(strings.TrimSuffix(quoted, `"`), "tls13 ")
	}
	switch {
	case strings.HasPrefix(what, "create an ephemeral "):
		r.keyPair()
	case strings.HasPrefix(what, "construct a"):
		r.message(what[strings.LastIndex(what, " ")+1:])
	case what == "extract secret":
		r.extract(label)
	case what == "derive secret for handshake":
		r.derived = r.expand(r.secrets["early"], label, sum(), 32)
	case what == "derive secret for master":
		r.derived = r.expand(r.secrets["handshake"], label, sum(), 32)
	case what == "derive secret":
		r.secrets[label] = r.expand(r.secrets[stageOf(label)], label, sum(r.transcript...), 32)
	case what == "generate resumption secret":
		r.secrets[label] = r.expand(r.secrets["res master"], label, r.value("hash"), 32)
	case what == "calculate finished":
		r.finished(r.secrets[s.Who[:1]+" hs traffic"], sum(r.transcript...))
	case what == "calculate PSK binder":
		r.binder()
	case strings.HasSuffix(what, " data"):
		r.trafficKeys()
	case strings.HasSuffix(what, " record"):
		r.sent(what)
	default:
		r.t.Errorf("%s: %s: nothing checks this step", s.Who, s.What)
	}
}

func (r *reference) keyPair() {
	curve := ecdh.X25519()
	if strings.Contains(r.step.What, "P-256") {
		curve = ecdh.P256()
	}
	key, err := curve.NewPrivateKey(r.value("private_key"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.equal("public_key", key.PublicKey().Bytes())
	r.private[r.step.Who] = key
}

func (r *reference) message(name string) {
	types := map[string]byte{
		"ClientHello": 1, "ServerHello": 2, "NewSessionTicket": 4, "EndOfEarlyData": 5, "EncryptedExtensions": 8,
		"Certificate": 11, "CertificateRequest": 13, "CertificateVerify": 15, "Finished": 20,
	}
	m := r.value(name)
	if len(m) < 4 || m[0] != types[name] {
		r.t.Fatalf("%s does not begin as one", name)
	}
	r.prefix = int(binary.BigEndian.Uint32(m)&0xffffff) != len(m)-4
	switch {
	case name == "ServerHello" && len(r.transcript) == 1 && len(m) > 38 && bytes.Equal(m[6:38], sum([]byte("HelloRetryRequest"))):
		// RFC 9846, Section 4.1: ClientHello1 becomes a message_hash.
		r.transcript[0] = append([]byte{254, 0, 0, 32}, sum(r.transcript[0])...)
	case name == "CertificateVerify":
		r.signature(m)
	case name == "Finished":
		r.equal(name, append([]byte{20, 0, 0, 32}, r.secrets["finished of "+r.step.Who]...))
	}
	r.transcript = append(r.transcript, m)
}

// signature verifies a CertificateVerify with the key of the certificate in
// the message before it.
func (r *reference) signature(m []byte) {
	certificate := r.transcript[len(r.transcript)-1]
	leaf := certificate[4+1+3:] // an empty context, the list's length
	n := int(leaf[0])<<16 | int(leaf[1])<<8 | int(leaf[2])
	cert, err := x509.ParseCertificate(leaf[3 : 3+n])
	if err != nil {
		r.t.Fatal(err)
	}
	content := strings.Repeat(" ", 64) + "TLS 1.3, " + r.step.Who + " CertificateVerify\x00" + string(sum(r.transcript...))
	digest := sum([]byte(content))
	scheme, sig := binary.BigEndian.Uint16(m[4:]), m[8:]
	switch scheme {
	case 0x0804:
		err := rsa.VerifyPSS(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		if err != nil {
			r.t.Errorf("CertificateVerify of the %s: %v", r.step.Who, err)
		}
	case 0x0403:
		if !ecdsa.VerifyASN1(cert.PublicKey.(*ecdsa.PublicKey), digest, sig) {
			r.t.Errorf("CertificateVerify of the %s: the signature is wrong", r.step.Who)
		}
	default:
		r.t.Errorf("CertificateVerify of the %s: scheme %04x", r.step.Who, scheme)
	}
}

func (r *reference) extract(stage string) {
	switch stage {
	case "early":
		r.equal("salt", make([]byte, 32))
		if r.trace.Name == "resumed-0rtt" {
			first := loadTrace(r.t, "simple-1rtt")
			r.equal("IKM", first.Find("server", `generate resumption secret "tls13 resumption"`).Value("expanded"))
		} else {
			r.equal("IKM", make([]byte, 32))
		}
	case "handshake":
		shared, err := r.private["client"].ECDH(r.private["server"].PublicKey())
		if err != nil {
			r.t.Fatal(err)
		}
		r.equal("salt", r.derived)
		r.equal("IKM", shared)
	case "master":
		r.equal("salt", r.derived)
		r.equal("IKM", make([]byte, 32))
	}
	secret, err := hkdf.Extract(sha256.New, r.value("IKM"), r.value("salt"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.equal("secret", secret)
	r.secrets[stage] = secret
}

// expand checks the four values of one HKDF-Expand-Label.
func (r *reference) expand(prk []byte, label string, context []byte, n int) []byte {
	r.equal("PRK", prk)
	r.equal("hash", context)
	r.equal("info", expandInfo(label, context, n))
	out := hkdfExpand(r.t, prk, label, context, n)
	r.equal("expanded", out)
	return out
}

func (r *reference) finished(base, th []byte) {
	key := r.expand(base, "finished", nil, 32)
	mac := hmac.New(sha256.New, key)
	mac.Write(th)
	verify := mac.Sum(nil)
	r.equal("finished", verify)
	r.secrets["finished of "+r.step.Who] = verify
}

func (r *reference) binder() {
	prefix := r.transcript[len(r.transcript)-1]
	r.equal("ClientHello_prefix", prefix)
	r.equal("binder_hash", sum(prefix))
	r.finished(hkdfExpand(r.t, r.secrets["early"], "res binder", sum(), 32), sum(prefix))
}

func (r *reference) trafficKeys() {
	words := strings.Fields(r.step.What) // derive read traffic keys for handshake data
	sender := r.step.Who
	if words[1] == "read" {
		sender = map[string]string{"client": "server", "server": "client"}[sender]
	}
	epoch := map[string]string{"early": " e ", "handshake": " hs ", "application": " ap "}[words[5]]
	secret := r.secrets[sender[:1]+epoch+"traffic"]
	r.equal("PRK", secret)
	r.equal("key_info", expandInfo("key", nil, 16))
	r.equal("key_expanded", hkdfExpand(r.t, secret, "key", nil, 16))
	r.equal("iv_info", expandInfo("iv", nil, 12))
	r.equal("iv_expanded", hkdfExpand(r.t, secret, "iv", nil, 12))
}

// sent checks that a handshake record carries what was constructed;
// checkRecords opens it.
func (r *reference) sent(what string) {
	payload := r.value("payload")
	r.value("complete_record")
	if what != "send handshake record" || len(r.transcript) == 0 {
		return
	}
	last := r.transcript[len(r.transcript)-1]
	if r.prefix {
		binders := append([]byte{0, 33, 32}, r.secrets["finished of client"]...)
		last = append(bytes.Clone(last), binders...)
		r.transcript[len(r.transcript)-1] = last
		r.prefix = false
	}
	if !bytes.HasSuffix(payload, last) || !bytes.HasSuffix(bytes.Join(r.transcript, nil), payload) && len(r.transcript) > 1 {
		r.t.Errorf("%s: %s: not the messages that were constructed", r.step.Who, what)
	}
}

// checkRecords opens each record with its sender's keys.
func (r *reference) checkRecords() {
	records, err := r.trace.Records()
	if err != nil {
		r.t.Fatal(err)
	}
	for i, rec := range records {
		header, fragment := rec.Raw[:5], rec.Raw[5:]
		if int(binary.BigEndian.Uint16(header[3:])) != len(fragment) {
			r.t.Errorf("record %d: its length is wrong", i)
		}
		if rec.Label == "" {
			if header[0] != rec.Type || !bytes.Equal(fragment, rec.Payload) {
				r.t.Errorf("record %d: not its payload in the clear", i)
			}
			continue
		}
		block, err := aes.NewCipher(rec.Key)
		if err != nil {
			r.t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			r.t.Fatal(err)
		}
		nonce := new(big.Int).Xor(new(big.Int).SetBytes(rec.IV), new(big.Int).SetUint64(rec.Seq)).FillBytes(make([]byte, 12))
		inner, err := aead.Open(nil, nonce, fragment, header)
		if err != nil {
			r.t.Errorf("record %d (%s, number %d): %v", i, rec.Label, rec.Seq, err)
			continue
		}
		if want := append(bytes.Clone(rec.Payload), rec.Type); !bytes.Equal(inner, want) {
			r.t.Errorf("record %d: holds %x, want %x", i, inner, want)
		}
	}
}

// value returns a value of the step and notes that it was looked at.
func (r *reference) value(name string) []byte {
	v := r.step.Value(name)
	if v == nil {
		r.t.Fatalf("%s: %s: has no %s", r.step.Who, r.step.What, name)
	}
	r.used[name] = true
	return v
}

func (r *reference) equal(name string, want []byte) {
	r.t.Helper()
	if got := r.value(name); !bytes.Equal(got, want) {
		r.t.Errorf("%s: %s: %s is %x, computed %x", r.step.Who, r.step.What, name, got, want)
	}
}

// stageOf names the secret that a label is derived from (RFC 9846, Section 7.1).
func stageOf(label string) string {
	switch label {
	case "c e traffic", "e exp master":
		return "early"
	case "c hs traffic", "s hs traffic":
		return "handshake"
	}
	return "master"
}

func sum(parts ...[]byte) []byte {
	h := sha256.Sum256(bytes.Join(parts, nil))
	return h[:]
}

// expandInfo is the HkdfLabel of RFC 9846, Section 7.1.
func expandInfo(label string, context []byte, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, byte(len(context)))
	return append(info, context...)
}

func hkdfExpand(t *testing.T, prk []byte, label string, context []byte, n int) []byte {
	t.Helper()
	out, err := hkdf.Expand(sha256.New, prk, string(expandInfo(label, context, n)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRFC8448Key checks the RSA key, and that it is the key of the servers
// that are said to use it.
func TestRFC8448Key(t *testing.T) {
	t.Parallel()
	v, err := testvec.LoadValues("testdata/rfc8448/rsa-key.txt")
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string) *big.Int { return new(big.Int).SetBytes(v[name]) }
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number("modulus"), E: int(number("public_exponent").Int64())},
		D:         number("private_exponent"),
		Primes:    []*big.Int{number("prime1"), number("prime2")},
	}
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	key.Precompute()
	for name, got := range map[string]*big.Int{"exponent1": key.Precomputed.Dp, "exponent2": key.Precomputed.Dq, "coefficient": key.Precomputed.Qinv} {
		if got.Cmp(number(name)) != 0 {
			t.Errorf("%s is %x, computed %x", name, number(name), got)
		}
	}
	for _, name := range []string{"simple-1rtt", "hello-retry-request", "compatibility-mode"} {
		certificate := loadTrace(t, name).Find("server", "construct a Certificate handshake message").Value("Certificate")
		if !bytes.Contains(certificate, v["modulus"]) {
			t.Errorf("%s: the server has another key", name)
		}
	}
}

var rfc8448 = []string{"simple-1rtt", "resumed-0rtt", "hello-retry-request", "client-authentication", "compatibility-mode"}

func loadRFC8448(t *testing.T) []*testvec.Trace {
	t.Helper()
	traces := make([]*testvec.Trace, 0, len(rfc8448))
	for _, name := range rfc8448 {
		traces = append(traces, loadTrace(t, name))
	}
	return traces
}

func loadTrace(t *testing.T, name string) *testvec.Trace {
	t.Helper()
	tr, err := testvec.Load(filepath.Join("testdata", "rfc8448", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
