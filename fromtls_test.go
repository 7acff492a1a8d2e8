// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package mayfly_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/mayfly-tls/mayfly"
)

func TestFromTLS(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("db.example")
	sc, err := mayfly.ServerConfigFromTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, NextProtos: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	cc, err := mayfly.ClientConfigFromTLS(&tls.Config{Certificates: []tls.Certificate{ca.issue("app")}, RootCAs: ca.pool, ServerName: "db.example", NextProtos: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err, serverErr := shake(t, cc, sc)
	if err := errors.Join(err, serverErr); err != nil {
		t.Fatal(err)
	}
	if s := c.ConnectionState(); s.NegotiatedProtocol != "x" || len(s.PeerCertificates) != 1 || !s.HandshakeComplete {
		t.Errorf("state %+v", s)
	}
	for _, kind := range []tls.ClientAuthType{tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven} {
		hinting, err := mayfly.ServerConfigFromTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: kind, ClientCAs: ca.pool})
		if err != nil {
			t.Fatal(err)
		}
		if a := hinting.Authorities; len(a) != 1 || !bytes.Equal(a[0], c.ConnectionState().PeerCertificates[0].RawIssuer) {
			t.Errorf("%v: the authorities are %x", kind, a)
		}
	}
}

// A fate is what becomes of a field of a tls.Config in one role.
type fate string

const (
	copied   fate = "carried as it is"
	turned   fate = "carried in another form"
	unfit    fate = "an error that names it"
	leftOver fate = "not carried, as it means nothing to the role"
)

// fromTLS says what becomes of each field of a tls.Config, for a server and for a client.
var fromTLS = map[string]struct{ server, client fate }{
	"Rand":                                {copied, copied},
	"Time":                                {copied, copied},
	"Certificates":                        {copied, copied},
	"NameToCertificate":                   {unfit, leftOver},
	"GetCertificate":                      {unfit, leftOver},
	"GetClientCertificate":                {leftOver, unfit},
	"GetConfigForClient":                  {unfit, leftOver},
	"VerifyPeerCertificate":               {unfit, unfit},
	"VerifyConnection":                    {copied, copied},
	"RootCAs":                             {leftOver, copied},
	"NextProtos":                          {copied, copied},
	"ServerName":                          {leftOver, copied},
	"ClientAuth":                          {turned, leftOver},
	"ClientCAs":                           {turned, leftOver},
	"InsecureSkipVerify":                  {leftOver, unfit},
	"CipherSuites":                        {leftOver, leftOver},
	"PreferServerCipherSuites":            {leftOver, leftOver},
	"SessionTicketsDisabled":              {turned, leftOver},
	"SessionTicketKey":                    {unfit, leftOver},
	"ClientSessionCache":                  {leftOver, unfit},
	"UnwrapSession":                       {unfit, leftOver},
	"WrapSession":                         {unfit, leftOver},
	"MinVersion":                          {leftOver, leftOver},
	"MaxVersion":                          {unfit, unfit},
	"CurvePreferences":                    {copied, copied},
	"DynamicRecordSizingDisabled":         {leftOver, leftOver},
	"Renegotiation":                       {leftOver, leftOver},
	"KeyLogWriter":                        {copied, copied},
	"EncryptedClientHelloConfigList":      {leftOver, unfit},
	"EncryptedClientHelloRejectionVerify": {leftOver, unfit},
	"GetEncryptedClientHelloKeys":         {unfit, leftOver},
	"EncryptedClientHelloKeys":            {unfit, leftOver},
}

// TestFromTLSFields sets each field of a tls.Config, by itself. A field that a later Go
// adds fails it.
func TestFromTLSFields(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[tls.Config]().NumField() {
		field := reflect.TypeFor[tls.Config]().Field(i)
		if !field.IsExported() {
			continue
		}
		fates, ok := fromTLS[field.Name]
		if !ok {
			t.Errorf("nothing is known of %s", field.Name)
			continue
		}
		config := new(tls.Config)
		value := reflect.ValueOf(config).Elem().Field(i)
		fill(t, value)
		for _, role := range []struct {
			name string
			fate fate
			from func(*tls.Config) (*mayfly.Config, error)
		}{{"server", fates.server, mayfly.ServerConfigFromTLS}, {"client", fates.client, mayfly.ClientConfigFromTLS}} {
			c, err := role.from(config)
			if role.fate == unfit {
				if err == nil || !strings.Contains(err.Error(), "tls.Config."+field.Name) && !strings.Contains(err.Error(), " and "+field.Name) || !errors.Is(err, mayfly.ErrConfig) {
					t.Errorf("%s, %s: %v, want an error that names it", role.name, field.Name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", role.name, field.Name, err)
				continue
			}
			plain, err := role.from(nil)
			if err != nil {
				t.Fatal(err)
			}
			if role.fate == copied {
				same := reflect.ValueOf(c).Elem().FieldByName(field.Name)
				if !same.IsValid() || same.IsZero() || value.Kind() != reflect.Func && !reflect.DeepEqual(same.Interface(), value.Interface()) {
					t.Errorf("%s, %s was not carried over", role.name, field.Name)
				}
				reflect.ValueOf(plain).Elem().FieldByName(field.Name).Set(same)
			}
			// Nothing else has changed.
			if role.fate != turned && !alike(c, plain) {
				t.Errorf("%s, %s has changed something else: %+v", role.name, field.Name, c)
			}
		}
	}
}

// alike compares the fields of two Configs that can be compared.
func alike(a, b *mayfly.Config) bool {
	for i := range reflect.TypeFor[mayfly.Config]().NumField() {
		x, y := reflect.ValueOf(a).Elem().Field(i), reflect.ValueOf(b).Elem().Field(i)
		if x.Kind() == reflect.Func && x.IsNil() != y.IsNil() || x.Kind() != reflect.Func && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return false
		}
	}
	return true
}

// fill sets a field of a tls.Config to something else than nothing.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case io.Reader:
		v.Set(reflect.ValueOf(strings.NewReader("")))
	case io.Writer:
		v.Set(reflect.ValueOf(io.Discard))
	case []tls.CurveID:
		v.Set(reflect.ValueOf([]tls.CurveID{tls.CurveP384}))
	case *x509.CertPool:
		v.Set(reflect.ValueOf(newAuthority(t).pool))
	case tls.ClientAuthType:
		v.Set(reflect.ValueOf(tls.RequireAnyClientCert))
	case uint16: // MinVersion, MaxVersion
		v.Set(reflect.ValueOf(uint16(tls.VersionTLS12)))
	default:
		switch v.Kind() {
		case reflect.Func:
			v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("nobody calls it") }))
		case reflect.Interface:
			if v.Type() == reflect.TypeFor[tls.ClientSessionCache]() {
				v.Set(reflect.ValueOf(tls.NewLRUClientSessionCache(1)))
			} else if v.Type() == reflect.TypeFor[io.Reader]() {
				v.Set(reflect.ValueOf(strings.NewReader("")))
			} else {
				v.Set(reflect.ValueOf(io.Discard))
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
		case reflect.Array:
			v.Index(0).SetUint(1)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString("db.example")
		default:
			v.SetInt(1)
		}
	}
}

// TestFromTLSClientAuth has each kind of ClientAuth judge a client with a certificate of
// the authority, one of another, and one without.
func TestFromTLSClientAuth(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	server := ca.issue("db.example")
	mine, foreign := ca.issue("app.example"), newAuthority(t).issue("app.example")
	for kind, want := range map[tls.ClientAuthType][3]bool{
		tls.NoClientCert:               {true, true, true},
		tls.RequestClientCert:          {true, true, true},
		tls.RequireAnyClientCert:       {true, true, false},
		tls.VerifyClientCertIfGiven:    {true, false, true},
		tls.RequireAndVerifyClientCert: {true, false, false},
	} {
		sc, err := mayfly.ServerConfigFromTLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: kind, ClientCAs: ca.pool})
		if err != nil {
			t.Fatal(err)
		}
		for i, shows := range [][]tls.Certificate{{mine}, {foreign}, nil} {
			cc := &mayfly.Config{Certificates: shows, Peers: mayfly.Roots(ca.pool), ServerName: "db.example"}
			_, _, clientErr, serverErr := shake(t, cc, sc)
			if ok := errors.Join(clientErr, serverErr) == nil; ok != want[i] {
				t.Errorf("%v, client %d: %v, %v", kind, i, clientErr, serverErr)
			}
		}
	}
	if _, err := mayfly.ServerConfigFromTLS(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert + 1}); err == nil || !strings.Contains(err.Error(), "ClientAuth") {
		t.Errorf("a mode that does not exist: %v", err)
	}
	if _, err := mayfly.ServerConfigFromTLS(&tls.Config{MinVersion: tls.VersionTLS13 + 1}); err == nil || !strings.Contains(err.Error(), "MinVersion") {
		t.Errorf("a version after TLS 1.3: %v", err)
	}
	c, err := mayfly.ServerConfigFromTLS(&tls.Config{SessionTicketsDisabled: true})
	if err != nil || c.Tickets.Count >= 0 {
		t.Errorf("SessionTicketsDisabled: %+v, %v", c, err)
	}
	c, err = mayfly.ServerConfigFromTLS(&tls.Config{CurvePreferences: []tls.CurveID{0x6399, tls.CurveP384, tls.X25519}})
	if err != nil || !reflect.DeepEqual(c.CurvePreferences, []tls.CurveID{tls.CurveP384, tls.X25519}) {
		t.Errorf("a group that is not to be had: %+v, %v", c, err)
	}
	if _, err = mayfly.ServerConfigFromTLS(&tls.Config{CurvePreferences: []tls.CurveID{0x6399}}); err == nil || !strings.Contains(err.Error(), "CurvePreferences") {
		t.Errorf("no group that is to be had: %v", err)
	}
}
