// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package message_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/mayfly-tls/mayfly"
	"github.com/mayfly-tls/mayfly/message"
)

// One program seals a message for another, and signs it; errors are left out.
func Example() {
	sender, _ := mayfly.GenerateIdentity()
	receiver, _ := mayfly.GenerateIdentity()
	key, _ := message.NewKey(receiver) // programs keep theirs: LoadKey
	public, _ := key.Recipient()
	text := public.String() // mfpub1…, which the sender was given

	to, _ := message.ParseRecipient(text)
	signer, _ := message.NewSigner(sender)
	var sealed bytes.Buffer
	w, _ := message.Seal(&sealed, []*message.Recipient{to}, &message.SealOptions{Signer: signer})
	io.WriteString(w, "a message")
	w.Close() // without this it is not complete

	m, err := message.Open(&sealed, key, &message.OpenOptions{Accept: message.SignedBy(sender.Pin())})
	if err != nil {
		fmt.Println(err)
		return
	}
	content, err := io.ReadAll(m)
	fmt.Printf("%s, %v\n", content, err)
	fmt.Println(m.Signature().Pin == sender.Pin())
	// Output:
	// a message, <nil>
	// true
}
