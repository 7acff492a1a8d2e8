// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

import (
	"encoding/asn1"
	"fmt"
	"math/big"
)

// deepest is how far DER is followed into itself.
const deepest = 24

// A shape names the parts of a structure in ASN.1.
type shape struct {
	name  string
	tag   byte     // of what may be left out; 0 for what must be there
	parts []*shape // by their places
	all   *shape   // of each part, where they are alike
	holds bool     // an OCTET STRING that holds DER
}

// structure is the shape of a SEQUENCE, or of one value.
func structure(name string, parts ...*shape) *shape { return &shape{name: name, parts: parts} }

// algorithm is an AlgorithmIdentifier.
func algorithm(name string) *shape {
	return structure(name, structure("algorithm"), structure("parameters"))
}

// publicKeyShape is a SubjectPublicKeyInfo.
func publicKeyShape(name string) *shape {
	return structure(name, algorithm("algorithm"), structure("subjectPublicKey"))
}

// nameShape is a Name.
func nameShape(name string) *shape {
	return &shape{name: name, all: &shape{name: "RelativeDistinguishedName", all: structure("AttributeTypeAndValue", structure("type"), structure("value"))}}
}

// certificateShape is a Certificate of RFC 5280, Section 4.1.
func certificateShape() *shape {
	extension := structure("Extension", structure("extnID"), &shape{name: "critical", tag: 0x01}, &shape{name: "extnValue", holds: true})
	return structure("Certificate",
		structure("tbsCertificate",
			&shape{name: "version", tag: 0xa0, all: structure("version")},
			structure("serialNumber"),
			algorithm("signature"),
			nameShape("issuer"),
			structure("validity", structure("notBefore"), structure("notAfter")),
			nameShape("subject"),
			publicKeyShape("subjectPublicKeyInfo"),
			&shape{name: "issuerUniqueID", tag: 0x81},
			&shape{name: "subjectUniqueID", tag: 0x82},
			&shape{name: "extensions", tag: 0xa3, all: &shape{name: "Extensions", all: extension}}),
		algorithm("signatureAlgorithm"),
		structure("signatureValue"))
}

// part is the shape of a part with that tag, and how many of the shapes are used up.
func (s *shape) part(used int, tag byte) (*shape, int) {
	if s != nil && s.all != nil {
		return s.all, used
	}
	for ; s != nil && used < len(s.parts); used++ {
		if p := s.parts[used]; p.tag == 0 || p.tag == tag {
			return p, used + 1
		}
	}
	return nil, used
}

// header reads the tag and the length at the start of DER. ok is false for what is none,
// or is of no use in certificates.
func header(b []byte) (tag byte, size, length int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, 0, false
	}
	size, length = 2, int(b[1])
	if b[1] > 0x7f {
		n := int(b[1] & 0x7f)
		if n == 0 || n > 3 || len(b) < 2+n {
			return 0, 0, 0, false
		}
		length = 0
		for _, x := range b[2 : 2+n] {
			length = length<<8 | int(x)
		}
		size += n
	}
	return b[0], size, length, length <= len(b)-size
}

// der explains one value in DER, of the shape s if that is not nil. What cannot be read
// becomes one field.
func der(c *cursor, s *shape, depth int) {
	tag, size, length, ok := header(c.b)
	if !ok || depth > deepest {
		c.rest("DER")
		return
	}
	name := tagName(tag)
	if s != nil {
		name = s.name
	}
	outer := c.group(name, "")
	defer c.endGroup(outer)
	c.bytes("tag and length", size).Value = fmt.Sprintf("%s, length %d", tagName(tag), length)
	in := &cursor{b: c.b[:length], at: c.at, into: c.into}
	switch {
	case tag&0x20 != 0:
		used := 0
		in.each(func(c *cursor) {
			next := byte(0)
			if len(c.b) > 0 {
				next = c.b[0]
			}
			var p *shape
			p, used = s.part(used, next)
			der(c, p, depth+1)
		})
	case s != nil && s.holds && wholeDER(in.b):
		der(in, nil, depth+1)
	case tag == 0x03 && length > 0:
		in.uint("unused bits", 1, number)
		in.rest("bits")
	default:
		c.into.Value = derValue(tag, in.b)
		in.rest("content")
	}
	in.end()
	c.b, c.at = c.b[length:], c.at+length
}

// wholeDER reports whether b is one value in DER, as far as its outermost header tells.
func wholeDER(b []byte) bool {
	_, size, length, ok := header(b)
	return ok && size+length == len(b)
}

func tagName(tag byte) string {
	if tag&0xc0 == 0x80 {
		return fmt.Sprintf("[%d]", tag&0x1f)
	}
	return named(uint64(tag), 1, map[uint64]string{
		0x01: "BOOLEAN", 0x02: "INTEGER", 0x03: "BIT STRING", 0x04: "OCTET STRING", 0x05: "NULL", 0x06: "OBJECT IDENTIFIER",
		0x0c: "UTF8String", 0x13: "PrintableString", 0x14: "T61String", 0x16: "IA5String", 0x17: "UTCTime", 0x18: "GeneralizedTime",
		0x1e: "BMPString", 0x30: "SEQUENCE", 0x31: "SET",
	})
}

// derValue says what the content of a primitive value means.
func derValue(tag byte, b []byte) string {
	switch tag {
	case 0x01:
		if len(b) == 1 && b[0] == 0 {
			return "false"
		}
		return "true"
	case 0x02:
		if len(b) > 0 && len(b) <= 8 && b[0] < 0x80 {
			return new(big.Int).SetBytes(b).String()
		}
	case 0x06:
		var id asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(append([]byte{6, byte(len(b))}, b...), &id); len(b) < 0x80 && err == nil && len(rest) == 0 {
			return objectName(id.String())
		}
	case 0x0c, 0x13, 0x14, 0x16, 0x17, 0x18:
		return quote(b)
	case 0x81, 0x82, 0x86: // in a GeneralName: an e-mail address, a DNS name, a URI
		if printable(b) {
			return quote(b)
		}
	}
	return ""
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x > '~' {
			return false
		}
	}
	return len(b) > 0
}

// objectName names an object identifier that certificates commonly have.
func objectName(id string) string {
	name := map[string]string{
		"2.5.4.3": "commonName", "2.5.4.5": "serialNumber", "2.5.4.6": "countryName", "2.5.4.7": "localityName", "2.5.4.8": "stateOrProvinceName",
		"2.5.4.10": "organizationName", "2.5.4.11": "organizationalUnitName", "1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "domainComponent",
		"2.5.29.14": "subjectKeyIdentifier", "2.5.29.15": "keyUsage", "2.5.29.17": "subjectAltName", "2.5.29.19": "basicConstraints", "2.5.29.30": "nameConstraints",
		"2.5.29.31": "cRLDistributionPoints", "2.5.29.32": "certificatePolicies", "2.5.29.35": "authorityKeyIdentifier", "2.5.29.37": "extKeyUsage",
		"1.3.6.1.5.5.7.1.1": "authorityInfoAccess", "1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth", "1.3.6.1.5.5.7.48.1": "ocsp", "1.3.6.1.5.5.7.48.2": "caIssuers",
		"1.3.6.1.4.1.11129.2.4.2": "signed certificate timestamps", "1.2.840.10045.2.1": "ecPublicKey", "1.2.840.10045.3.1.7": "secp256r1", "1.3.132.0.34": "secp384r1", "1.3.132.0.35": "secp521r1",
		"1.2.840.10045.4.3.2": "ecdsa-with-SHA256", "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
		"1.2.840.113549.1.1.1": "rsaEncryption", "1.2.840.113549.1.1.10": "RSASSA-PSS", "1.2.840.113549.1.1.11": "sha256WithRSAEncryption", "1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
	}[id]
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}
