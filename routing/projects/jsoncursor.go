package projects

import (
	"bytes"
	"encoding/json"
	"iter"
)

// cursor walks over JSON that is known to be valid, which spares it every
// error. encoding/json is not enough for documents: it takes the last of
// duplicate members, names fields in any case, and stops at the first mistake.
type cursor struct {
	data []byte
	pos  int
}

// kind returns the first byte of the next value.
func (c *cursor) kind() byte {
	for {
		switch b := c.data[c.pos]; b {
		case ' ', '\t', '\n', '\r', ',', ':':
			c.pos++
		default:
			return b
		}
	}
}

// value passes the next value and returns it.
func (c *cursor) value() []byte {
	kind := c.kind()
	start := c.pos
	switch kind {
	case '"':
		c.skipString()
	case '{', '[':
		c.skipNested()
	default:
		for c.pos < len(c.data) && bytes.IndexByte([]byte(" \t\n\r,]}"), c.data[c.pos]) < 0 {
			c.pos++
		}
	}
	return c.data[start:c.pos]
}

func (c *cursor) skipString() {
	for c.pos++; c.data[c.pos] != '"'; c.pos++ {
		if c.data[c.pos] == '\\' {
			c.pos++
		}
	}
	c.pos++
}

func (c *cursor) skipNested() {
	for depth := 0; ; {
		switch c.data[c.pos] {
		case '"':
			c.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.pos++
		if depth == 0 {
			return
		}
	}
}

// members enters the object that is next. The loop's body may pass the value of
// the member; otherwise it is skipped.
func (c *cursor) members() iter.Seq[string] {
	return func(yield func(string) bool) {
		c.kind()
		for c.pos++; c.kind() != '}'; {
			name := unquote(c.value())
			c.kind()
			before := c.pos
			if !yield(name) {
				return
			}
			if c.pos == before {
				c.value()
			}
		}
		c.pos++
	}
}

// elements enters the list that is next, as members does an object.
func (c *cursor) elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		c.kind()
		i := 0
		for c.pos++; c.kind() != ']'; i++ {
			before := c.pos
			if !yield(i) {
				return
			}
			if c.pos == before {
				c.value()
			}
		}
		c.pos++
	}
}

// unquote returns the string that a JSON string stands for.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic(err) // it was checked
	}
	return s
}
