package bbolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
)

// The layout of a file of bbolt: go.etcd.io/bbolt/internal/common.
const (
	pageHeader  = 16 // id, flags, count, overflow
	elementSize = 16

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	bucketElement = 0x01
	bucketHeader  = 16 // page of its root, sequence

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	noFreelist  = ^uint64(0)
	manyIDs     = 0xFFFF // a count that says that the real one comes first in the data
)

var native = binary.NativeEndian

// meta is one of the two pages that say where everything is.
type meta struct {
	pageSize                   int64
	root, freelist, high, txid uint64
}

// readMeta reads the meta page from the start of a page.
func readMeta(page []byte, id uint64) (m meta, ok bool) {
	if len(page) < pageHeader+metaSize {
		return m, false
	}
	b := page[pageHeader:]
	hash := fnv.New64a()
	_, _ = hash.Write(b[:56])
	m = meta{
		pageSize: int64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		high:     native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
	}
	return m, native.Uint64(page) == id && native.Uint16(page[8:]) == metaPage && native.Uint32(b) == metaMagic &&
		native.Uint32(b[4:]) == metaVersion && native.Uint64(b[56:]) == hash.Sum64()
}

// element is one of a branch or a leaf.
type element struct {
	key, value []byte
	page       uint64 // of a branch
	bucket     bool   // of a leaf: the value is a bucket
}

// Why a page is not as bbolt writes it.
var (
	errElements = errors.New("its elements are not where they belong")
	errOrder    = errors.New("its keys are not in order")
	errMeta     = errors.New("this page, which says where the others are, is not what was written; what is left may be the state before the last change")
)

// elements reads those of a page, which begins with its header. They lie one after the
// other without gaps; end is where the last one ends.
func elements(page []byte, branch bool) (all []element, end int, err error) {
	count := int(native.Uint16(page[10:]))
	end = pageHeader + count*elementSize
	if end > len(page) {
		return nil, 0, errElements
	}
	all = make([]element, count)
	for i := range all {
		at := pageHeader + i*elementSize
		b := page[at : at+elementSize]
		pos, keySize, valueSize := int64(native.Uint32(b)), int64(native.Uint32(b[4:])), int64(0)
		if branch {
			all[i].page = native.Uint64(b[8:])
		} else {
			flags := native.Uint32(b)
			pos, keySize, valueSize = int64(native.Uint32(b[4:])), int64(native.Uint32(b[8:])), int64(native.Uint32(b[12:]))
			all[i].bucket = flags == bucketElement
			if flags&^bucketElement != 0 {
				return nil, 0, errElements
			}
		}
		if int64(at)+pos != int64(end) || keySize == 0 || int64(end)+keySize+valueSize > int64(len(page)) {
			return nil, 0, errElements
		}
		all[i].key = page[end : end+int(keySize)]
		end += int(keySize)
		all[i].value = page[end : end+int(valueSize)]
		end += int(valueSize)
		if i > 0 && bytes.Compare(all[i-1].key, all[i].key) >= 0 {
			return nil, 0, errOrder
		}
	}
	return all, end, nil
}
