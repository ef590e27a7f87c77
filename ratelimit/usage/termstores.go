package usage

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// termStore has the terms of all organizations that ever changed theirs.
type termStore interface {
	// read returns them all.
	read(ctx context.Context) (map[string]Terms, error)
	// edit changes the terms of an organization and returns what it has then. It calls
	// change again if another process was faster.
	edit(ctx context.Context, organization string, change func(Terms) Terms) (Terms, error)
}

var (
	bucketTerms = []byte("terms")
	// bucketConfigured has the prices that the configuration of each gateway says, by
	// gateway and organization.
	bucketConfigured = []byte("configured")
)

// storedTerms are terms in the file of a line store: those of the embedded store, or
// a copy of those in Redis.
type storedTerms LineStore

func (b *storedTerms) read(context.Context) (map[string]Terms, error) {
	all := make(map[string]Terms)
	err := (*LineStore)(b).with(false, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketTerms)
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(k, v []byte) (err error) {
			all[string(k)], err = parseTerms(string(k), v)
			return err
		})
	})
	return all, err
}

func (b *storedTerms) edit(_ context.Context, organization string, change func(Terms) Terms) (now Terms, err error) {
	err = (*LineStore)(b).with(true, func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(bucketTerms)
		if err != nil {
			return err
		}
		has, err := parseTerms(organization, bucket.Get([]byte(organization)))
		if err != nil {
			return err
		}
		if now = change(has); now.Equal(has) {
			return nil
		}
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		return bucket.Put([]byte(organization), text)
	})
	return now, err
}

// parseTerms reads terms as they are stored; no text are none.
func parseTerms(organization string, text []byte) (t Terms, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("reading the terms of organization %s: %w", organization, err)
	}
	return t, nil
}

// configured returns the prices that the configuration of a gateway said last, by
// organization.
func (b *LineStore) configured(gateway string) (map[string]Price, error) {
	prices := make(map[string]Price)
	err := b.with(false, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketConfigured)
		if bucket == nil || bucket.Bucket([]byte(gateway)) == nil {
			return nil
		}
		return bucket.Bucket([]byte(gateway)).ForEach(func(k, v []byte) error {
			var p Price
			if err := json.Unmarshal(v, &p); err != nil {
				return fmt.Errorf("reading the price of organization %s: %w", k, err)
			}
			prices[string(k)] = p
			return nil
		})
	})
	return prices, err
}

// configure stores the prices that the configuration of a gateway says.
func (b *LineStore) configure(gateway string, prices map[string]Price) error {
	if len(prices) == 0 {
		return nil
	}
	return b.with(true, func(tx *bbolt.Tx) error {
		all, err := tx.CreateBucketIfNotExists(bucketConfigured)
		if err != nil {
			return err
		}
		bucket, err := all.CreateBucketIfNotExists([]byte(gateway))
		if err != nil {
			return err
		}
		for organization, p := range prices {
			text, err := json.Marshal(p)
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte(organization), text); err != nil {
				return err
			}
		}
		return nil
	})
}

//go:embed terms.lua
var termsText string

var termsScript = redisconn.NewScript(termsText)

const (
	// termsKey is the hash with the terms by organization.
	termsKey = "gw:terms"
	// termsChanged is its field with a word that every change replaces.
	termsChanged = "|changed"
	// termsWait bounds one call, termsTries how often an edit is tried.
	termsWait  = 2 * time.Second
	termsTries = 5
)

// sharedTerms are terms in Redis.
type sharedTerms struct {
	conn    *redisconn.Conn
	changed string // the word when all were read
	all     map[string]Terms
}

func (s *sharedTerms) read(ctx context.Context) (map[string]Terms, error) {
	ctx, cancel := context.WithTimeout(ctx, termsWait)
	defer cancel()
	found, err := s.conn.HashGet(ctx, termsKey, termsChanged)
	if err != nil {
		return nil, err
	}
	// Read first: what changes while all is read is read again.
	word := found[termsChanged]
	if s.all != nil && word != "" && word == s.changed {
		return s.all, nil
	}
	fields, err := s.conn.HashAll(ctx, termsKey)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Terms)
	for organization, text := range fields {
		if organization == termsChanged {
			continue
		}
		if all[organization], err = parseTerms(organization, []byte(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", termsKey, err)
		}
	}
	s.changed, s.all = word, all
	return all, nil
}

func (s *sharedTerms) edit(ctx context.Context, organization string, change func(Terms) Terms) (Terms, error) {
	ctx, cancel := context.WithTimeout(ctx, termsWait)
	defer cancel()
	fields, err := s.conn.HashGet(ctx, termsKey, organization)
	if err != nil {
		return nil, err
	}
	text := fields[organization]
	for range termsTries {
		has, err := parseTerms(organization, []byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", termsKey, err)
		}
		next := change(has)
		if next.Equal(has) {
			return next, nil
		}
		becomes, err := json.Marshal(next)
		if err != nil {
			return nil, err
		}
		reply, err := s.conn.Run(ctx, termsScript, termsKey, organization, text, string(becomes), rand.Text())
		if err != nil {
			return nil, err
		}
		is, _ := reply.(string)
		if is == string(becomes) {
			return next, nil
		}
		text = strings.Clone(is)
	}
	return nil, fmt.Errorf("%s: other gateways keep changing the terms of organization %s", termsKey, organization)
}
