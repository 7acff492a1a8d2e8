// Copyright 2026 The mayfly Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package dissect

// most is how many entries of one list are explained: what a hostile peer sends must
// not become a tree much larger than itself.
const most = 512

// A cursor moves through bytes and makes Fields of what it passes. After something was
// missing it is at the end, and makes nothing more.
type cursor struct {
	b    []byte
	at   int // the offset of b[0]
	into *Field
	cut  bool
}

// begin returns a Field for all of b, and a cursor at its start.
func begin(name, ref string, b []byte) (*Field, *cursor) {
	root := &Field{Name: name, Ref: ref, Len: len(b)}
	return root, &cursor{b: b, into: root}
}

func (c *cursor) left() int { return len(c.b) }

// over reports whether something was missing.
func (c *cursor) over() bool { return c.cut }

// take makes a Field of the next n bytes, as many as there must be.
func (c *cursor) take(name string, n int) *Field {
	f := &Field{Name: name, Off: c.at, Len: n}
	c.into.Parts = append(c.into.Parts, f)
	c.b, c.at = c.b[n:], c.at+n
	return f
}

// has reports whether there are n bytes more. Where not, what there is becomes a Field
// that says so.
func (c *cursor) has(name string, n int) bool {
	switch {
	case c.cut:
		return false
	case len(c.b) >= n:
		return true
	}
	c.cut = true
	c.take(name, len(c.b)).Wrong = "it ends too early"
	return false
}

// uint makes a Field of a number of n bytes, and says what it means by show.
func (c *cursor) uint(name string, n int, show func(uint64) string) uint64 {
	if !c.has(name, n) {
		return 0
	}
	var v uint64
	for _, x := range c.b[:n] {
		v = v<<8 | uint64(x)
	}
	c.take(name, n).Value = show(v)
	return v
}

// bytes makes a Field of n bytes. It never returns nil.
func (c *cursor) bytes(name string, n int) *Field {
	if !c.has(name, n) {
		return new(Field)
	}
	return c.take(name, n)
}

// rest makes a Field of all that is left, if there is something. It never returns nil.
func (c *cursor) rest(name string) *Field {
	if c.cut || len(c.b) == 0 {
		return new(Field)
	}
	return c.take(name, len(c.b))
}

// end says of what is left that it should not be there.
func (c *cursor) end() {
	if len(c.b) > 0 {
		c.rest("left over").Wrong = "nothing should follow here"
	}
}

// group makes what follows, up to endGroup, the parts of one Field. It returns the Field
// to which that belongs.
func (c *cursor) group(name, ref string) *Field {
	f := &Field{Name: name, Ref: ref, Off: c.at}
	outer := c.into
	outer.Parts = append(outer.Parts, f)
	c.into = f
	return outer
}

// endGroup ends the group that began where outer was returned, and returns its Field.
func (c *cursor) endGroup(outer *Field) *Field {
	f := c.into
	f.Len = c.at - f.Off
	c.into = outer
	return f
}

// vector makes a Field of a length of size bytes and of that many bytes, which f
// explains. It never returns nil.
func (c *cursor) vector(name, ref string, size int, f func(*cursor)) *Field {
	if !c.has(name, size) {
		return new(Field)
	}
	outer := c.group(name, ref)
	defer c.endGroup(outer)
	n := int(c.uint("length", size, number))
	if n > len(c.b) {
		c.cut = true
		if len(c.b) > 0 {
			c.take(name, len(c.b))
		}
		c.into.Wrong = "it ends too early"
		return c.into
	}
	in := &cursor{b: c.b[:n], at: c.at, into: c.into}
	f(in)
	in.end()
	c.b, c.at = c.b[n:], c.at+n
	return c.into
}

// opaque is a vector of bytes that mean nothing by themselves. It never returns nil.
func (c *cursor) opaque(name string, size int) *Field {
	return c.vector(name, "", size, func(c *cursor) { c.rest("bytes") })
}

// text is a vector of text, which becomes its value.
func (c *cursor) text(name string, size int) {
	var said string
	f := c.vector(name, "", size, func(c *cursor) {
		said = quote(c.b)
		c.rest("text")
	})
	f.Value = said
}

// each explains the entries of a list by f, as long as there are some.
func (c *cursor) each(f func(*cursor)) {
	for range most {
		if c.cut || len(c.b) == 0 {
			return
		}
		before := len(c.b)
		f(c)
		if len(c.b) == before {
			return
		}
	}
	c.rest("more entries").Value = "not explained one by one"
}

// numbers is a list of numbers of n bytes each behind a length of size bytes.
func (c *cursor) numbers(name string, size, n int, entry string, show func(uint64) string) {
	c.vector(name, "", size, func(c *cursor) {
		c.each(func(c *cursor) { c.uint(entry, n, show) })
	})
}
