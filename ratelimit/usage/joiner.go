package usage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// Joiner brings what this gateway told services into a store that it shares with
// others. What services were told is complete there before anybody sends, because of
// the order of steps:
//
//  1. A gateway joins: its pages are in Redis, and it is named in gw:pages.
//  2. Then its sums are sent to Redis. Whoever sends for all can know of a line only
//     from these sums, so that it finds in the pages what the gateway told of the line.
//
// If Redis is emptied, or another Redis becomes the store, gateways know lines of each
// other from before. Then none sends until all that were named in gw:pages have joined
// again, for at most AwaitOthers.
//
// A mark in gw:pages changes with all that its gateway tells. So Redis that was set back to
// an earlier copy has an earlier mark: the gateway joins again, and others that know the
// later mark wait for it.
//
// Pages are joined item by item, see joinPages: the order does not matter, and joining
// again changes nothing.
//
// While the gateways of a fleet move from one Redis to another, one sends in each. Their
// messages have names of their own, by the id of the store: see Outbox.Alone.
type Joiner struct {
	store *LineStore
	conn  *redisconn.Conn
	place string

	mu    sync.Mutex        // guards all below
	since time.Time         // when others were first missing; zero: none is
	as    string            // the id of the store
	marks map[string]string // of others, when Complete last returned nil
	joins uint64            // how often these changed
}

// NewJoiner returns the joiner of a line store's gateway in a shared store. place names
// the store.
func NewJoiner(store *LineStore, conn *redisconn.Conn, place string) *Joiner {
	return &Joiner{store: store, conn: conn, place: place}
}

// StoreID returns the id of the store after Join: the value of Outbox.Alone there.
func (j *Joiner) StoreID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.as
}

// AwaitOthers bounds how long a gateway waits for the pages of others after Redis was
// emptied. Gateways that run join within seconds; others may never come back.
const AwaitOthers = 10 * time.Minute

// ErrIncomplete says that what services were told is not known in full, so that
// nothing may be sent.
var ErrIncomplete = errors.New("waiting to know what services were told")

// joinedKey is the hash with the gateways whose pages are in Redis, by their ids.
const joinedKey = "gw:pages"

// bucketJoined has what a gateway knows of the store that it shares: its own id there,
// the mark that it left when its pages were in Redis, and the ids of others.
var (
	bucketJoined = []byte("joined")
	keyJoinedID  = []byte("id")
	keyJoinMark  = []byte("mark")
	keyOthers    = []byte("others")
	keySeen      = []byte("seen")   // the numbers of their marks
	keyNumber    = []byte("number") // of the last mark
	keyStore     = []byte("store")  // its place and id
)

// fieldStore is the field of gw:pages with the id of the store. It has none, "", unless
// gateways came from another store that had none.
const fieldStore = "store"

// toldAlone notes that a service was told something that no other gateway knows of.
func toldAlone(tx *bbolt.Tx) error {
	if joined := tx.Bucket(bucketJoined); joined != nil {
		return joined.Delete(keyJoinMark)
	}
	return nil
}

// newMark stores another mark of this gateway, with a higher number than those before, and
// returns it.
func newMark(joined *bbolt.Bucket) (string, error) {
	number, _ := strconv.ParseUint(string(joined.Get(keyNumber)), 10, 64) // 0: it has none yet
	text := strconv.FormatUint(number+1, 10)
	mark := text + "-" + token()
	return mark, errors.Join(joined.Put(keyNumber, []byte(text)), joined.Put(keyJoinMark, []byte(mark)))
}

// skipMarks has marks go on above all those that a file had that was replaced: others may
// have seen later ones than this file knows.
func skipMarks(joined *bbolt.Bucket) error {
	number, _ := strconv.ParseUint(string(joined.Get(keyNumber)), 10, 64) // 0: it has none yet
	number = max(number, uint64(time.Now().UnixMicro()))
	return joined.Put(keyNumber, []byte(strconv.FormatUint(number, 10)))
}

// markNumber returns the number of a mark; 0 for one of a build that had none.
func markNumber(mark string) uint64 {
	text, _, _ := strings.Cut(mark, "-")
	if text == mark {
		return 0
	}
	number, _ := strconv.ParseUint(text, 10, 64)
	return number
}

// toldShared stores another mark if this gateway has joined the shared store, and returns
// it with the gateway's id. mark is "" otherwise.
func toldShared(tx *bbolt.Tx) (id, mark string, err error) {
	joined := tx.Bucket(bucketJoined)
	if joined == nil || joined.Get(keyJoinMark) == nil {
		return "", "", nil
	}
	id = string(joined.Get(keyJoinedID))
	mark, err = newMark(joined)
	return id, mark, err
}

// SharedAs returns the id under which this gateway joined a shared store, "" if it
// never did.
func (b *LineStore) SharedAs() (id string, err error) {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	err = b.with(false, func(tx *bbolt.Tx) error {
		if joined := tx.Bucket(bucketJoined); joined != nil {
			id = string(joined.Get(keyJoinedID))
		}
		return nil
	})
	return id, err
}

// membership is what a gateway knows of the store that it shares.
type membership struct {
	id, mark  string
	others    []string
	seen      map[string]uint64 // the numbers of their marks
	place, as string            // of the store that it shared last
}

// joined reads what the gateway knows of the store. A gateway that has no id gets one.
func (b *LineStore) joined() (m membership, err error) {
	err = b.with(false, func(tx *bbolt.Tx) error {
		joined := tx.Bucket(bucketJoined)
		if joined == nil {
			return nil
		}
		m.id, m.mark = string(joined.Get(keyJoinedID)), string(joined.Get(keyJoinMark))
		m.as, m.place, _ = strings.Cut(string(joined.Get(keyStore)), " ")
		if text := joined.Get(keyOthers); text != nil {
			if err := json.Unmarshal(text, &m.others); err != nil {
				return err
			}
		}
		if text := joined.Get(keySeen); text != nil {
			return json.Unmarshal(text, &m.seen)
		}
		return nil
	})
	if err != nil || m.id != "" {
		return m, err
	}
	m.id = token()
	return m, b.setJoined(keyJoinedID, []byte(m.id))
}

// token returns 12 random hex digits.
func token() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// setJoined stores what the gateway knows of the store.
func (b *LineStore) setJoined(key, value []byte) error {
	return b.withJoined(func(joined *bbolt.Bucket) error { return joined.Put(key, value) })
}

// withJoined changes what the gateway knows of the store.
func (b *LineStore) withJoined(change func(joined *bbolt.Bucket) error) error {
	return b.with(true, func(tx *bbolt.Tx) error {
		joined, err := tx.CreateBucketIfNotExists(bucketJoined)
		if err != nil {
			return err
		}
		return change(joined)
	})
}

// Join adds the pages of this gateway to those in Redis, unless that was done already
// and Redis still has them. Pages of spans that began before a time are left out.
func (j *Joiner) Join(ctx context.Context, since time.Time) error {
	m, err := j.store.joined()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	there, err := hashGet(ctx, j.conn, joinedKey, []string{m.id, fieldStore})
	if err == nil {
		err = j.identify(ctx, &m, there[fieldStore])
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	id, mark := m.id, m.mark
	if mark != "" && there[id] == mark {
		return nil
	}
	pages := &redisPages{conn: j.conn, own: &storedPages{store: j.store}}
	// The mark is stored first: what is told meanwhile by another process removes it.
	err = j.store.withJoined(func(joined *bbolt.Bucket) (err error) {
		mark, err = newMark(joined)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	if err := pages.contribute(ctx, since); err != nil {
		return fmt.Errorf("%w: adding what this gateway told to Redis: %w", ErrIncomplete, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	if err := j.conn.HashSet(ctx, joinedKey, id, mark); err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return nil
}

// identify finds out which id the store has, and gives it another one if this gateway
// comes from a store with the same.
func (j *Joiner) identify(ctx context.Context, m *membership, as string) error {
	was := as
	switch {
	case m.place == j.place && as == "":
		as = m.as // Redis was emptied, or has none
	case m.place != j.place && m.place != "" && as == m.as:
		as = token()
	}
	if as != was {
		ctx, cancel := context.WithTimeout(ctx, pagesWait)
		defer cancel()
		if err := j.conn.HashSet(ctx, joinedKey, fieldStore, as); err != nil {
			return err
		}
	}
	if m.place != j.place || m.as != as {
		if err := j.store.setJoined(keyStore, []byte(as+" "+j.place)); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.as = as
	return nil
}

// Note remembers the gateways whose pages are in Redis, to await them should Redis be
// emptied. It is called after their sums were read, and before these are stored.
func (j *Joiner) Note(ctx context.Context) error {
	m, err := j.store.joined()
	if err != nil {
		return err
	}
	there, err := j.conn.HashAll(ctx, joinedKey)
	if err != nil {
		return err
	}
	return j.remember(&m, m.others, m.seen, there)
}

// remember stores the ids of other gateways: those of a list, and those in Redis; and the
// numbers of their marks, those that were seen or the later ones in Redis.
func (j *Joiner) remember(m *membership, list []string, seen map[string]uint64, there map[string]string) error {
	others, numbers := slices.Clone(list), make(map[string]uint64)
	for id, mark := range there {
		if id != m.id && id != fieldStore {
			others = append(others, id)
			numbers[id] = markNumber(mark)
		}
	}
	for _, id := range list {
		numbers[id] = max(numbers[id], seen[id])
	}
	slices.Sort(others)
	if others = slices.Compact(others); slices.Equal(others, m.others) && maps.Equal(numbers, m.seen) {
		return nil
	}
	text, err := json.Marshal(others)
	if err != nil {
		return err
	}
	marks, err := json.Marshal(numbers)
	if err != nil {
		return err
	}
	return j.store.withJoined(func(joined *bbolt.Bucket) error {
		return errors.Join(joined.Put(keyOthers, text), joined.Put(keySeen, marks))
	})
}

// Complete returns nil if Redis has what all gateways told that shared a store with
// this one, otherwise an error that wraps ErrIncomplete.
func (j *Joiner) Complete(ctx context.Context) error {
	m, err := j.store.joined()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	there, err := j.conn.HashAll(ctx, joinedKey)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	missing := slices.DeleteFunc(slices.Clone(m.others), func(other string) bool {
		return there[other] != "" && markNumber(there[other]) >= m.seen[other]
	})
	if len(missing) > 0 && !j.enough() {
		return fmt.Errorf("%w: %w: %s; after %s it is sent without them", ErrIncomplete, errOthers, strings.Join(missing, ", "), AwaitOthers)
	}
	j.complete(m.id, there)
	if err := j.remember(&m, nil, nil, there); err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return nil
}

// complete notes that Redis has all pages, and the marks of others that it has with them.
func (j *Joiner) complete(own string, there map[string]string) {
	marks := maps.Clone(there)
	delete(marks, own)
	delete(marks, fieldStore)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.since = time.Time{}
	if !maps.Equal(marks, j.marks) {
		j.marks = marks
		j.joins++
	}
}

// Joins returns a number that is another one after each Complete that found the pages of
// other gateways in Redis that were not there at the one before.
func (j *Joiner) Joins() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.joins
}

// Left says that this gateway has a copy of what all told in the store, which is not
// its store any more: nobody needs to be awaited in the next one.
func (j *Joiner) Left() error {
	if _, err := os.Stat(j.store.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return j.store.setJoined(keyOthers, []byte("[]"))
}

// enough reports whether others were awaited for long enough.
func (j *Joiner) enough() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.since.IsZero() {
		j.since = time.Now()
	}
	return time.Since(j.since) > AwaitOthers
}
