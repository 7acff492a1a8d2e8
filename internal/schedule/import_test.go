// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package schedule

import (
	"encoding/hex"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/suite"
)

// TestImport has what BoringSSL's test suite, an implementation of its own, computes
// for the key 00 01 … 1f, whose hash is SHA-256 or SHA-384, with the identity "key of
// the mesh" and the context of the client "sensor" and the server "hub".
func TestImport(t *testing.T) {
	t.Parallel()
	const identity = "000f6b6579206f6620746865206d657368000b0673656e736f7203687562"
	epsk := make([]byte, 32)
	for i := range epsk {
		epsk[i] = byte(i)
	}
	for _, v := range []struct {
		hash, target   suite.ID
		tail           string // of the identity: target_protocol and target_kdf
		psk, binderKey string
	}{
		{
			hash: suite.AES128GCM, target: suite.ChaCha20Poly1305, tail: "03040001",
			psk:       "9febc56980ead7c30f85f650be4d7561ea1122bc4457f79076bf4686d312ceea",
			binderKey: "572058096a582ef14fb9229fb19d1a551a3e77d40720861d8f10fcaad74462a1",
		},
		{
			hash: suite.AES128GCM, target: suite.AES256GCM, tail: "03040002",
			psk:       "64d7d2e05dfd1f3f170989faaed0430ae359884d06bb91ad7bba9b4ffb91f9e41f16ee08fd760b72d548bcf5ca6dca1d",
			binderKey: "9417ed5732b3252fb5e03dc43c725af7e8e83508c40e41da93389b74125b17af64999daa906e7c44142668aa0f7ff044",
		},
		{
			hash: suite.AES256GCM, target: suite.AES128GCM, tail: "03040001",
			psk:       "5cce71e03ed9e7632e6dde777eb37525de47c9a1171d6a42b1793582269d8174",
			binderKey: "a6e6be16485708f764ee9299490ab0e1ccb05f7b1e5759e634a67a7656773822",
		},
		{
			hash: suite.AES256GCM, target: suite.AES256GCM, tail: "03040002",
			psk:       "e299ef899e8ee742540d5bd56d95456513217532ab83dbd48ae01660eb4fe0f3a04ba4a3602f77b56a948faf75ae8757",
			binderKey: "09a5cc7ceee06617248e7fba8d1453f91fd9eb938297fd293a24a081adcefeedbea6349e9b7d0bf51fc28b469dc0e048",
		},
	} {
		imported, err := hex.DecodeString(identity + v.tail)
		if err != nil {
			t.Fatal(err)
		}
		target := suite.ByID(v.target)
		psk := Import(suite.ByID(v.hash), epsk, imported, target)
		if got := hex.EncodeToString(psk.Bytes()); got != v.psk {
			t.Errorf("%v, %v: PSK %s, want %s", v.hash, v.target, got, v.psk)
		}
		early := NewEarly(target, psk.Bytes())
		binderKey := deriveForTest(&early.stage, string(ImportedBinder))
		if got := hex.EncodeToString(binderKey); got != v.binderKey {
			t.Errorf("%v, %v: binder key %s, want %s", v.hash, v.target, got, v.binderKey)
		}
	}
}
