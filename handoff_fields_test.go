// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly/internal/stream"
)

// TestHandOnFields fails where a field is added to a connection of which nobody has said
// whether it goes along with one that is handed on.
func TestHandOnFields(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		of any

		goes   string // along, in a handover.State
		own    string // made anew where the connection goes on
		before string // of no use when the handshake is done
	}{
		{Conn{}, "server firstRecord started in out keys parts early intro",
			"inner settings deadlines deaf done closed leaving claim ended lifetime tickets teller buried",
			"invalid baton cancel machine took until failed doneTold earlyPeer cookies"},
		{parts{}, "in out keys", "over forget", ""},
		{readHalf{}, "err opener assembler receiver ReadBuffer plain early counts oddities", "mu earlyMu told", "raw skip workers"},
		{stream.ReadBuffer{}, "buf r w", "raw truncated large unauthenticated", ""},
		{oddities{}, "empty warnings keyUpdates tickets ccs", "updated sentBefore", ""},
		{counts{}, "records bytes keys", "", ""},
		{writeHalf{}, "err sealer sender pending owing counts owed awaited", "mu rekey workers told callers", ""},
		{keyring{}, "exporter resumption early", "mu", "machine"},
		{earlyData{}, "accepted", "", "reading writing offered wanted left"},
		{introduction{}, "known", "settings ctx local remote peer earlyReason", "sealers askedSealers tickets early ticketEarly wantsEarly earlyRefusal confirm cookies m selected"},
		{known{}, "Summary memory resumed", "skew", ""},
	} {
		var all []string
		for _, list := range []string{test.goes, test.own, test.before} {
			all = append(all, strings.Fields(list)...)
		}
		typ := reflect.TypeOf(test.of)
		for i := range typ.NumField() {
			name := typ.Field(i).Name
			if !slices.Contains(all, name) {
				t.Errorf("%v.%s: does it go along with a connection that is handed on?", typ, name)
			}
			all = slices.DeleteFunc(all, func(s string) bool { return s == name })
		}
		if len(all) > 0 {
			t.Errorf("%v has no fields %v", typ, all)
		}
	}
}
