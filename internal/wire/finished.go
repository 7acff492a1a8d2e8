// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

// A Finished is that of RFC 9846, Section 4.5.3.
type Finished struct{ VerifyData []byte }

// ParseFinished parses a whole message. How long VerifyData must be is the suite's.
func ParseFinished(raw []byte) (*Finished, error) {
	s, err := body(raw, FinishedType)
	if err != nil {
		return nil, err
	}
	return &Finished{VerifyData: s}, nil
}

// Marshal returns the whole message.
func (m *Finished) Marshal() []byte {
	return marshal(FinishedType, func(b *builder) { b.AddBytes(m.VerifyData) })
}
