// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package wire

// An EndOfEarlyData is that of RFC 9846, Section 4.6.
type EndOfEarlyData struct{}

// ParseEndOfEarlyData parses a whole message.
func ParseEndOfEarlyData(raw []byte) (*EndOfEarlyData, error) {
	s, err := body(raw, EndOfEarlyDataType)
	if err != nil {
		return nil, err
	}
	if !s.Empty() {
		return nil, errDecode(EndOfEarlyDataType)
	}
	return new(EndOfEarlyData), nil
}

// Marshal returns the whole message.
func (*EndOfEarlyData) Marshal() []byte {
	return marshal(EndOfEarlyDataType, func(*builder) {})
}
