package usage

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// bucketPages has a bucket of pages for each service.
var bucketPages = []byte("pages")

// Pages returns pages that are stored in the line store's file.
func (b *LineStore) Pages() Pages { return &storedPages{store: b} }

// storedPages are pages in the file of a line store.
type storedPages struct {
	store *LineStore
	read  map[PageKey][]byte // by the last Load
}

func (s *storedPages) Load(_ context.Context, service string, keys []PageKey) (map[PageKey][]byte, error) {
	found := make(map[PageKey][]byte)
	if _, err := os.Stat(s.store.path); errors.Is(err, os.ErrNotExist) {
		return found, nil
	}
	err := s.store.with(false, func(tx *bbolt.Tx) error {
		own := pagesOf(tx, service)
		if own == nil {
			return nil
		}
		for _, k := range keys {
			if text := own.Get(pageText(k)); text != nil {
				found[k] = bytes.Clone(text)
			}
		}
		return nil
	})
	s.read = found
	return found, err
}

// pagesOf returns the bucket of a service's pages, nil if there is none.
func pagesOf(tx *bbolt.Tx, service string) *bbolt.Bucket {
	if all := tx.Bucket(bucketPages); all != nil {
		return all.Bucket([]byte(service))
	}
	return nil
}

func (s *storedPages) Save(_ context.Context, service string, pages map[PageKey][]byte) (others map[PageKey][]byte, err error) {
	others = make(map[PageKey][]byte)
	saved := maps.Clone(pages)
	err = s.store.withThen(true, func(tx *bbolt.Tx) error {
		own, err := writablePagesOf(tx, service)
		if err != nil {
			return err
		}
		for k, text := range pages {
			if is := own.Get(pageText(k)); is != nil && !bytes.Equal(is, s.read[k]) && !bytes.Equal(is, text) {
				others[k] = bytes.Clone(is)
				delete(saved, k)
				continue
			}
			if err := own.Put(pageText(k), text); err != nil {
				return err
			}
		}
		return errors.Join(toldAlone(tx), s.store.step(tx))
	}, func() error { return s.store.copyPages(service, saved) })
	if err != nil {
		return nil, err
	}
	s.read = noted(s.read, pages, others)
	return others, nil
}

// noted returns what is known to be stored after pages were saved, of which others
// were not.
func noted(read, pages, others map[PageKey][]byte) map[PageKey][]byte {
	now := make(map[PageKey][]byte, len(read))
	maps.Copy(now, read)
	maps.Copy(now, pages)
	maps.Copy(now, others)
	return now
}

func writablePagesOf(tx *bbolt.Tx, service string) (*bbolt.Bucket, error) {
	all, err := tx.CreateBucketIfNotExists(bucketPages)
	if err != nil {
		return nil, err
	}
	return all.CreateBucketIfNotExists([]byte(service))
}

func (s *storedPages) Each(_ context.Context, service string, visit func(PageKey, []byte) error) error {
	if _, err := os.Stat(s.store.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return s.store.with(false, func(tx *bbolt.Tx) error {
		own := pagesOf(tx, service)
		if own == nil {
			return nil
		}
		return own.ForEach(func(k, text []byte) error {
			key, err := parsePageText(k)
			if err != nil {
				return err
			}
			return visit(key, bytes.Clone(text))
		})
	})
}

// join adds what pages say to those that are stored.
func (s *storedPages) join(service string, pages map[PageKey][]byte) error {
	if len(pages) == 0 {
		return nil
	}
	var joined map[PageKey][]byte
	return s.store.withThen(true, func(tx *bbolt.Tx) (err error) {
		if joined, err = joinStored(tx, service, pages); err != nil {
			return err
		}
		return s.store.step(tx)
	}, func() error { return s.store.copyPages(service, joined) })
}

// joinTold is join of pages with what this gateway told in the shared store. It returns
// the gateway's id and its new mark there, see toldShared.
func (s *storedPages) joinTold(service string, pages map[PageKey][]byte) (id, mark string, err error) {
	if len(pages) == 0 {
		return "", "", nil
	}
	var joined map[PageKey][]byte
	err = s.store.withThen(true, func(tx *bbolt.Tx) (err error) {
		if joined, err = joinStored(tx, service, pages); err != nil {
			return err
		}
		id, mark, err = toldShared(tx)
		return errors.Join(err, s.store.step(tx))
	}, func() error { return s.store.copyPages(service, joined) })
	return id, mark, err
}

// joinStored adds what pages say to those that are stored, and returns what is stored then.
func joinStored(tx *bbolt.Tx, service string, pages map[PageKey][]byte) (now map[PageKey][]byte, err error) {
	own, err := writablePagesOf(tx, service)
	if err != nil {
		return nil, err
	}
	now = make(map[PageKey][]byte, len(pages))
	for k, text := range pages {
		if now[k], err = joinTexts(bytes.Clone(own.Get(pageText(k))), text); err != nil {
			return nil, damaged(service, k, err)
		}
		if err := own.Put(pageText(k), now[k]); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// Services returns the names of the services that have pages in the file.
func (b *LineStore) Services() (names []string, err error) {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	err = b.with(false, func(tx *bbolt.Tx) error {
		all := tx.Bucket(bucketPages)
		if all == nil {
			return nil
		}
		return all.ForEachBucket(func(name []byte) error {
			names = append(names, string(name))
			return nil
		})
	})
	return names, err
}
