// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/message"
)

// A keeper is GnuPG's gpgsm, with a home of its own.
type keeper struct {
	*workshop
	home, version string
}

// gpgsm starts nothing: its agent is started by itself, and ends with the test.
func gpgsm(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{workshop: newWorkshop(t, "gpgsm")}
	lookFor(t, "gpg-agent")
	home, err := os.MkdirTemp("", "gpgsm") // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	k.home = home
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--homedir", home, "--kill", "gpg-agent")
		_ = cmd.Run()
		os.RemoveAll(home)
	})
	out, err := k.try("--version")
	if err != nil {
		t.Fatal(err, out)
	}
	k.version, _, _ = strings.Cut(out, "\n")
	return k
}

// gpg runs gpgsm in its home.
func (k *keeper) gpg(args ...string) (string, error) {
	k.t.Helper()
	return k.try(append([]string{"--homedir", k.home, "--batch", "--yes", "--no-tty", "--disable-crl-checks"}, args...)...)
}

func (k *keeper) must(args ...string) string {
	k.t.Helper()
	out, err := k.gpg(args...)
	if err != nil {
		k.t.Fatalf("%s: %s: %v\n%s", k.version, strings.Join(args, " "), err, out)
	}
	return out
}

// trust imports a certificate, which is its own authority, and returns the name that
// gpgsm's agent has for its key.
func (k *keeper) trust(name string, der []byte) (grip string) {
	k.t.Helper()
	k.put(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	k.must("--import", name)
	for line := range strings.Lines(k.must("--with-colons", "--with-keygrip", "--list-keys", name)) {
		switch f := strings.Split(line, ":"); f[0] {
		case "fpr":
			list, err := os.OpenFile(filepath.Join(k.home, "trustlist.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				k.t.Fatal(err)
			}
			fmt.Fprintf(list, "%s S relax\n", f[9])
			list.Close()
		case "grp":
			grip = f[9]
		}
	}
	_ = exec.Command("gpgconf", "--homedir", k.home, "--reload", "gpg-agent").Run() // it has read the list before
	if grip == "" {
		k.t.Fatalf("%s does not name the key of %s", k.version, name)
	}
	return grip
}

// hold gives the agent a private key, without a passphrase.
func (k *keeper) hold(grip string, key *ecdsa.PrivateKey) {
	k.t.Helper()
	d, err := key.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	q, err := key.PublicKey.Bytes()
	if err != nil {
		k.t.Fatal(err)
	}
	var b bytes.Buffer
	s := func(v []byte) string { return fmt.Sprintf("%d:%s", len(v), v) }
	fmt.Fprintf(&b, "(11:private-key(3:ecc(5:curve10:NIST P-256)(1:q%s)(1:d%s)))", s(q), s(d))
	dir := filepath.Join(k.home, "private-keys-v1.d")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, grip+".key"), b.Bytes(), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// p256 is a key that gpgsm holds and trusts.
func (k *keeper) p256(usage x509.KeyUsage) (der []byte) {
	k.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	der = certificate(k.t, "keeper", key, usage|x509.KeyUsageCertSign).Certificate[0]
	k.hold(k.trust("keeper", der), key)
	return der
}

// TestSignForGPGSM has gpgsm verify what is signed, once it is opened.
func TestSignForGPGSM(t *testing.T) {
	t.Parallel()
	g := gpgsm(t)
	k, to := newKey(t)
	for name, key := range signerKeys() {
		if name == "Ed25519" || name == "ECDSA P-521" {
			continue // gpgsm 2.2 imports no certificate of these
		}
		cert := certificate(t, name, key, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign)
		g.trust(name, cert.Certificate[0])
		signer, err := message.CertificateSigner(cert)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range sizes {
			plain := pattern(n)
			signed, err := open(seal(t, plain, []*message.Recipient{to}, &message.SealOptions{Signer: signer}), k, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.put("signed", signed)
			out := g.must("--output", "out", "--verify", "signed")
			if !strings.Contains(out, "Good signature") || !bytes.Equal(g.get("out"), plain) {
				t.Errorf("%s, %s, %d bytes: %s", g.version, name, n, out)
			}
		}
	}
}

// TestOpenSignedByGPGSM opens what gpgsm has signed, and others have sealed.
func TestOpenSignedByGPGSM(t *testing.T) {
	t.Parallel()
	g := gpgsm(t)
	k, to := newKey(t)
	cert := g.p256(x509.KeyUsageDigitalSignature)
	for _, n := range sizes[1:] { // gpgsm signs no empty message
		plain := pattern(n)
		g.put("in", plain)
		g.must("--include-certs", "1", "--local-user", "keeper", "--output", "signed", "--sign", "in")
		sealed := seal(t, g.get("signed"), []*message.Recipient{to}, nil)
		accept := func(s *message.Signature) error {
			if !bytes.Equal(s.Certificate.Raw, cert) || s.Time.IsZero() {
				return errors.New("signed by another")
			}
			return nil
		}
		if got, err := open(sealed, k, &message.OpenOptions{Accept: accept}); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s, %d bytes: %v", g.version, n, err)
		}
	}
}

// TestSealForGPGSM has gpgsm open what is sealed, where it can. It seals nothing that
// is authenticated: what it writes is EnvelopedData, which is refused.
func TestSealForGPGSM(t *testing.T) {
	t.Parallel()
	g := gpgsm(t)
	cert := g.p256(x509.KeyUsageKeyAgreement)
	x, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	to, err := message.CertificateRecipient(x)
	if err != nil {
		t.Fatal(err)
	}
	plain := pattern(1000)
	for _, c := range []message.Cipher{message.AES256GCM, message.AES128GCM} {
		g.put("in", seal(t, plain, []*message.Recipient{to}, &message.SealOptions{Cipher: c}))
		out, err := g.gpg("--output", "out", "--decrypt", "in")
		if strings.Contains(out, "error getting IV: Buffer too short") {
			t.Skipf("%s does not read the parameters of AES-GCM, whoever wrote them (OpenSSL's neither)", g.version)
		}
		if err != nil || !bytes.Equal(g.get("out"), plain) {
			t.Errorf("%s, %v: %v, %s", g.version, c, err, out)
		}
	}
}
