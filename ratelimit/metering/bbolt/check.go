package bbolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Finding is a place in a file that is not what was written.
type Finding struct {
	Offset int64
	What   string
}

// visitor takes what is whole in a file. path is that of a bucket.
type visitor interface {
	bucket(path [][]byte)
	value(path [][]byte, key, value []byte)
}

// checker reads a file without bbolt, which trusts its pages.
type checker struct {
	file     io.ReaderAt
	size     int64
	meta     meta
	sealed   bool            // all values have checksums
	used     map[uint64]bool // pages that are in use or free
	kept     map[string]uint64
	allKept  bool              // the bucket with the kept sequences is whole
	seen     map[string]uint64 // sequences in the buckets, by path
	visitor  visitor
	findings []Finding
}

// check reads a whole file. v may be nil.
func check(file io.ReaderAt, size int64, v visitor) *checker {
	c := &checker{
		file:    file,
		size:    size,
		used:    map[uint64]bool{0: true, 1: true},
		kept:    make(map[string]uint64),
		seen:    make(map[string]uint64),
		visitor: v,
	}
	if !c.findMeta() {
		return c
	}
	c.sealed = c.isSealed()
	c.tree(c.meta.root, nil, nil, c.leaf(nil, nil))
	c.freelist()
	c.pages()
	c.sequences()
	return c
}

func (c *checker) found(offset int64, format string, args ...any) {
	c.findings = append(c.findings, Finding{offset, fmt.Sprintf(format, args...)})
}

// damage returns the first finding as an error.
func (c *checker) damage(path string) error {
	what := c.findings[0].What
	switch n := len(c.findings) - 1; n {
	case 0:
	case 1:
		what += ", and 1 place more"
	default:
		what = fmt.Sprintf("%s, and %d places more", what, n)
	}
	return &durable.DamageError{File: path, Offset: c.findings[0].Offset, What: what}
}

// findMeta reads the two meta pages. Both are whole in a file that is: the older one
// alone would be the state before the last transaction.
func (c *checker) findMeta() bool {
	var found [2]bool
	var metas [2]meta
	metas[0], found[0] = readMeta(c.read(0, pageHeader+metaSize), 0)
	size := metas[0].pageSize
	for guess := int64(1024); !found[1] && guess <= 1<<16; guess <<= 1 {
		if found[0] {
			guess = size
		}
		metas[1], found[1] = readMeta(c.read(guess, pageHeader+metaSize), 1)
		size = guess
		if found[0] {
			break
		}
	}
	for i, ok := range found {
		if !ok {
			c.found(int64(i)*size, "%v", errMeta)
		}
	}
	switch {
	case found[0] && (!found[1] || metas[0].txid > metas[1].txid):
		c.meta = metas[0]
	case found[1]:
		c.meta = metas[1]
	default:
		return false
	}
	if c.meta.pageSize < 1024 || c.meta.pageSize > 1<<16 || c.meta.high > uint64(c.size/c.meta.pageSize) {
		c.found(c.size, "the file ends here, and has %d pages of %d bytes", c.meta.high, c.meta.pageSize)
	}
	return true
}

// read returns n bytes, fewer at the end of the file.
func (c *checker) read(at int64, n int) []byte {
	b := make([]byte, max(0, min(int64(n), c.size-at)))
	got, _ := c.file.ReadAt(b, at) // what cannot be read is missing
	return b[:got]
}

func (c *checker) offset(page uint64) int64 { return int64(page) * c.meta.pageSize }

// page reads a page of a kind and marks its pages as used. It returns nil if that fails.
func (c *checker) page(id uint64, kinds ...uint16) []byte {
	at := c.offset(id)
	if id < 2 || id >= c.meta.high {
		c.found(0, "page %d is used, and the file has %d", id, c.meta.high)
		return nil
	}
	head := c.read(at, pageHeader)
	if len(head) < pageHeader {
		c.found(at, "page %d is beyond the end of the file", id)
		return nil
	}
	kind, more := native.Uint16(head[8:]), uint64(native.Uint32(head[12:]))
	known := false
	for _, k := range kinds {
		known = known || k == kind
	}
	if native.Uint64(head) != id || !known || id+more >= c.meta.high {
		c.found(at, "the head of page %d is not what was written", id)
		return nil
	}
	for n := id; n <= id+more; n++ {
		if c.used[n] {
			c.found(at, "page %d is used twice", n)
			return nil
		}
	}
	size := int((more + 1)) * int(c.meta.pageSize)
	data := c.read(at, size)
	if len(data) < size {
		c.found(at, "page %d is beyond the end of the file", id)
		return nil
	}
	for n := id; n <= id+more; n++ {
		c.used[n] = true
	}
	return data
}

// tree reads the pages of a bucket from its root on: keys from low on and below high.
// It reports whether the root is whole.
func (c *checker) tree(id uint64, low, high []byte, leaf func(at int64, e *element)) bool {
	page := c.page(id, branchPage, leafPage)
	if page == nil {
		return false
	}
	branch := native.Uint16(page[8:]) == branchPage
	all, _, err := elements(page, branch)
	if err != nil {
		c.found(c.offset(id), "page %d: %v", id, err)
		return false
	}
	if n := len(all); n > 0 && (bytes.Compare(all[0].key, low) < 0 || high != nil && bytes.Compare(all[n-1].key, high) >= 0) {
		c.found(c.offset(id), "page %d: %v", id, errOrder)
		return false
	}
	for i := range all {
		if !branch {
			leaf(c.offset(id), &all[i])
			continue
		}
		next := high
		if i+1 < len(all) {
			next = all[i+1].key
		}
		c.tree(all[i].page, all[i].key, next, leaf)
	}
	return true
}

// leaf returns what reads the elements of the bucket with a path.
func (c *checker) leaf(names [][]byte, path []byte) func(at int64, e *element) {
	return func(at int64, e *element) {
		if e.bucket {
			c.nested(at, append(slices.Clip(names), e.key), pathOf(path, e.key), e.value)
			return
		}
		value, whole := unseal(path, e.key, e.value)
		switch {
		case len(names) == 0:
			c.found(at, "there is a value outside of all buckets")
			return
		case c.sealed && !whole:
			c.found(at, "the value under %q is not what was written", e.key)
			return
		case !c.sealed && whole:
			c.found(at, "the value under %q has a checksum, and the file says that none has", e.key)
			return
		case !c.sealed:
			value = e.value
		}
		if bytes.Equal(names[0], bucketSeals) {
			if len(value) == 8 {
				c.kept[string(e.key)] = binary.BigEndian.Uint64(value)
			}
			return
		}
		if c.visitor != nil {
			c.visitor.value(names, e.key, value)
		}
	}
}

// nested reads a bucket in a bucket.
func (c *checker) nested(at int64, names [][]byte, path, head []byte) {
	if bytes.Equal(names[0], bucketSeals) {
		before := len(c.findings)
		defer func() { c.allKept = len(c.findings) == before }()
	}
	if len(head) < bucketHeader {
		c.found(at, "the bucket %q is not what was written", names[len(names)-1])
		return
	}
	root, sequence, inline := native.Uint64(head), native.Uint64(head[8:]), head[bucketHeader:]
	leaf := c.leaf(names, path)
	if root != 0 {
		if len(inline) > 0 {
			c.found(at, "the bucket %q is not what was written", names[len(names)-1])
			return
		}
		if c.tree(root, nil, nil, leaf) {
			c.bucket(names, path, sequence)
		}
		return
	}
	if len(inline) < pageHeader || native.Uint64(inline) != 0 || native.Uint16(inline[8:]) != leafPage || native.Uint32(inline[12:]) != 0 {
		c.found(at, "the bucket %q is not what was written", names[len(names)-1])
		return
	}
	all, end, err := elements(inline, false)
	if err != nil || end != len(inline) {
		c.found(at, "the bucket %q is not what was written", names[len(names)-1])
		return
	}
	for i := range all {
		leaf(at, &all[i])
	}
	c.bucket(names, path, sequence)
}

func (c *checker) bucket(names [][]byte, path []byte, sequence uint64) {
	c.seen[string(path)] = sequence
	if c.visitor != nil && !bytes.Equal(names[0], bucketSeals) {
		c.visitor.bucket(names)
	}
}

// isSealed reports whether the file says that all values have checksums. It marks no
// pages as used and finds nothing.
func (c *checker) isSealed() (sealed bool) {
	quiet := &checker{
		file: c.file,
		size: c.size,
		meta: c.meta,
		used: make(map[uint64]bool),
	}
	quiet.tree(c.meta.root, nil, nil, func(_ int64, e *element) { sealed = sealed || e.bucket && bytes.Equal(e.key, bucketSeals) })
	return sealed
}

// freelist reads the pages that are free.
func (c *checker) freelist() {
	if c.meta.freelist == noFreelist {
		return
	}
	page := c.page(c.meta.freelist, freelistPage)
	if page == nil {
		return
	}
	at, ids := c.offset(c.meta.freelist), page[pageHeader:]
	count := uint64(native.Uint16(page[10:]))
	if count == manyIDs {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		c.found(at, "the list of free pages is not what was written")
		return
	}
	for i := range count {
		id := native.Uint64(ids[8*i:])
		if id >= c.meta.high || c.used[id] {
			c.found(at, "page %d is free and in use", id)
			return
		}
		c.used[id] = true
	}
}

// pages finds those that are neither in use nor free.
func (c *checker) pages() {
	for id := range c.meta.high {
		if !c.used[id] {
			c.found(c.offset(id), "page %d is neither in use nor free", id)
			return
		}
	}
}

// sequences compares those of the buckets with those that were kept besides.
func (c *checker) sequences() {
	if !c.sealed {
		return
	}
	for path, n := range c.seen {
		if c.kept[path] != n {
			c.found(-1, "the sequence of the bucket %q is %d, and was %d", path, n, c.kept[path])
		}
	}
	for path, n := range c.kept {
		if _, ok := c.seen[path]; !ok && n > 0 {
			c.found(-1, "the bucket %q is missing", path)
		}
	}
}
