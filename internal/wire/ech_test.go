// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

import (
	"encoding/hex"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/alert"
)

func TestECH(t *testing.T) {
	t.Parallel()
	outer := &ECHOuter{KDF: 1, AEAD: 3, ConfigID: 9, Enc: []byte("enc"), Payload: []byte("payload")}
	if got := hex.EncodeToString(outer.Marshal()); got != "00"+"0001"+"0003"+"09"+"0003656e63"+"00077061796c6f6164" {
		t.Errorf("marshalled to %s", got)
	}
	outer.Payload = make([]byte, 1<<16)
	if outer.Marshal() != nil {
		t.Error("a payload that is too long was marshalled")
	}
	for list, good := range map[string]bool{
		"\x00\x04\xfe\x0d\x00\x00":                  true,
		"\x00\x09\xba\xdd\x00\x00\xfe\x0d\x00\x01x": true,
		"\xba\xdd\xec\xcc":                          false,
		"":                                          false,
		"\x00\x00":                                  false,
		"\x00\x03\xfe\x0d\x00":                      false,
		"\x00\x04\xfe\x0d\x00\x01":                  false,
		"\x00\x04\xfe\x0d\x00\x00\x00":              false,
	} {
		err := CheckECHConfigList([]byte(list))
		if (err == nil) != good || err != nil && alert.Of(err) != alert.DecodeError {
			t.Errorf("%x: %v", list, err)
		}
	}
}
