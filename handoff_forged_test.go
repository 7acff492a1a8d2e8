// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"math"
	"math/rand/v2"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/internal/handover"
	"github.com/mayfly-tls/mayfly/internal/volatile"
	"github.com/mayfly-tls/mayfly/mayflytest"
)

// forged is a State that nobody has handed on: of a plausible one, some fields are
// anything.
func forged(t *testing.T, rnd *rand.Rand, spki []byte) *handover.State {
	t.Helper()
	secret := func(n int) *volatile.Secret { return volatile.Take(bytes.Repeat([]byte{byte(rnd.Uint32())}, n)) }
	s := &handover.State{
		Server: rnd.IntN(2) == 0, Suite: 0x1301, Group: 29, PeerType: 2, PeerEntries: [][]byte{spki}, Started: time.Now().UnixMilli(),
		Exporter: secret(32), Resumption: secret(32), EarlyExporter: secret(0),
		In:  handover.In{Secret: secret(32), Limit: 16384, Message: secret(0), Plain: secret(0), Early: secret(0)},
		Out: handover.Out{Secret: secret(32), Limit: 16384},
	}
	lengths := []int{0, 1, 3, 4, 5, 31, 32, 33, 48, 300, 20_000}
	numbers := []uint64{0, 1, 2, 63, 255, math.MaxUint16, math.MaxInt32, math.MaxUint32, 1 << 48, math.MaxInt64, math.MaxUint64}
	length := func() int { return lengths[rnd.IntN(len(lengths))] }
	var alter func(v reflect.Value)
	alter = func(v reflect.Value) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				alter(v.Field(i))
			}
			return
		}
		if rnd.IntN(12) != 0 {
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.ValueOf(secret(length())))
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.String:
			v.SetString(string(bytes.Repeat([]byte{byte(rnd.Uint32())}, length())))
		case reflect.Slice:
			b := bytes.Repeat([]byte{byte(rnd.Uint32())}, length())
			if v.Type() == reflect.TypeFor[[][]byte]() {
				v.Set(reflect.ValueOf([][]byte{b, nil}))
			} else {
				v.SetBytes(b)
			}
		case reflect.Array:
			for i := range v.Len() {
				v.Index(i).SetUint(uint64(byte(rnd.Uint32())))
			}
		case reflect.Int64:
			v.SetInt(int64(numbers[rnd.IntN(len(numbers))]))
		default:
			v.SetUint(numbers[rnd.IntN(len(numbers))]) // as much of it as fits
		}
	}
	alter(reflect.ValueOf(s).Elem())
	return s
}

// A hollow connection has so much to say, and takes whatever it is given.
type hollow struct{ in *bytes.Reader }

func (h *hollow) Read(p []byte) (int, error)     { return h.in.Read(p) }
func (*hollow) Write(p []byte) (int, error)      { return len(p), nil }
func (*hollow) Close() error                     { return nil }
func (*hollow) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*hollow) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*hollow) SetDeadline(time.Time) error      { return nil }
func (*hollow) SetReadDeadline(time.Time) error  { return nil }
func (*hollow) SetWriteDeadline(time.Time) error { return nil }

// TestAttachForged takes over connections that were made up, by somebody who knows the
// offer: they are refused, or are of no use, and do no harm.
func TestAttachForged(t *testing.T) {
	t.Parallel()
	cc, sc := mayflytest.Configs(t)
	cc.Sessions = mayfly.NewSessionCache(0)
	spki, err := x509.MarshalPKIXPublicKey(cc.Identity.Public())
	if err != nil {
		t.Fatal(err)
	}
	sc.Peers, cc.Peers = mayfly.Pins(cc.Identity.Pin()), mayfly.InsecureAnyServer()
	cc.AllowSelf = true
	taken := 0
	for n := range 600 {
		r, err := mayfly.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		offer, err := handover.ParseOffer(r.Offer())
		if err != nil {
			t.Fatal(err)
		}
		state := forged(t, rand.New(rand.NewPCG(7, uint64(n))), spki)
		blob, err := offer.Seal(state)
		if err != nil {
			t.Fatal(err)
		}
		config := cc
		if state.Server {
			config = sc
		}
		raw := &hollow{in: bytes.NewReader(append([]byte{23, 3, 3, 0, 30}, make([]byte, 30)...))}
		c, err := r.Attach(raw, blob, config)
		if err == nil {
			taken++
			for range 20 {
				if _, err := c.Read(make([]byte, 5000)); err != nil {
					break
				}
			}
			_, _ = c.Write(make([]byte, 40_000))
			_ = c.Rekey(context.Background())
			_, _ = c.ExportKeyingMaterial("x", nil, 32)
			_, _ = c.ExportEarlyKeyingMaterial("x", nil, 32)
			_, _, _ = c.ConnectionState(), c.Peer(), c.Stats()
			_ = c.CloseWrite()
			if blob, _, err := c.Detach(t.Context(), newOffer(t)); err == nil && len(blob) == 0 {
				t.Error("nothing was handed on")
			}
			_ = c.Close()
		}
	}
	if taken < 60 || taken == 600 {
		t.Errorf("%d of 600 were taken", taken)
	}
}
