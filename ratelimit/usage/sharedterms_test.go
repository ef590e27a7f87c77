package usage_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// book has the terms of a gateway with a directory of its own.
type book struct {
	*usage.TermBook
	t    *testing.T
	conn *redisconn.Conn
}

func newBook(t *testing.T, gateway string, conn *redisconn.Conn) *book {
	t.Helper()
	return &book{usage.NewTermBook(usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger"), gateway), t, conn}
}

// sync has the configuration include n invocations.
func (b *book) sync(minute int, n int64) error {
	b.t.Helper()
	return b.Sync(b.t.Context(), usage.SyncInput{
		Now:    time.Date(2026, 11, 18, 14, minute, 0, 0, time.UTC),
		Prices: map[string]usage.Price{"acme": {Plan: "pro", Included: n, Package: 10, Minor: 5, Currency: "USD"}},
		Redis:  b.conn,
	})
}

func (b *book) mustSync(minute int, n int64) {
	b.t.Helper()
	if err := b.sync(minute, n); err != nil {
		b.t.Fatal(err)
	}
}

// terms are what is included from which minute on.
func (b *book) terms() string {
	var all []string
	for _, term := range b.All()["acme"] {
		all = append(all, fmt.Sprintf("%d:%d", term.From.Minute(), term.Price.Included))
	}
	return fmt.Sprint(all)
}

// The first gateway that sees a change writes it, once; the others have it from the store, whatever their configurations say. A
// store that is emptied, or that is a new one, gets all of it back.
func testSharedTerms(t *testing.T, conn *redisconn.Conn, empty func()) {
	t.Helper()
	one, two := newBook(t, "one", conn), newBook(t, "two", conn)
	expect := func(step, want string, all ...*book) {
		t.Helper()
		for i, b := range all {
			if got := b.terms(); got != want {
				t.Errorf("%s: %d has %s, want %s", step, i, got, want)
			}
		}
	}
	one.mustSync(30, 1)
	two.mustSync(30, 1)
	expect("nothing changed", "[]", one, two)
	one.mustSync(30, 2)
	two.mustSync(30, 1) // it is loaded again later
	expect("one is ahead", "[0:1 31:2]", one, two)
	two.mustSync(40, 2)
	expect("both have it", "[0:1 31:2]", one, two)
	two.mustSync(41, 3)
	one.mustSync(42, 2)
	expect("two is ahead", "[0:1 31:2 42:3]", one, two)
	if p, ok := one.Configured("acme"); !ok || p.Included != 2 {
		t.Errorf("one is configured with %+v", p)
	}
	for _, first := range []*book{one, two} {
		empty()
		third := newBook(t, "third", conn)
		third.mustSync(43, 3) // it knows nothing, and writes nothing
		first.mustSync(43, int64(2+slices.Index([]*book{one, two}, first)))
		third.mustSync(43, 3)
		expect("emptied", "[0:1 31:2 42:3]", first, third)
	}
	one.mustSync(44, 3)
	expect("all have it", "[0:1 31:2 42:3]", one, two)
	one.conn = nil // another store: the directory
	one.mustSync(45, 4)
	expect("embedded", "[0:1 31:2 42:3 46:4]", one)
	one.conn = conn
	one.mustSync(46, 4)
	two.mustSync(46, 3)
	expect("back", "[0:1 31:2 42:3 46:4]", one, two)
}

func TestSharedTerms(t *testing.T) {
	redis, conn := openHashes(t)
	testSharedTerms(t, conn, redis.empty)
}

// While the store is away nothing changes; what was configured meanwhile is written as soon as it is back, also by a process that
// starts anew.
func TestTermsWithoutStore(t *testing.T) {
	redis, conn := openHashes(t)
	lines := usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
	again := func() *book { return &book{usage.NewTermBook(lines, "one"), t, conn} }
	one := again()
	if _, ok := one.Configured("acme"); ok || one.All() != nil {
		t.Error("something is known before the first look")
	}
	one.mustSync(30, 1)
	one.mustSync(31, 2)
	redis.breakDown(true)
	for _, b := range []*book{one, again()} {
		if err := b.sync(40, 3); err == nil {
			t.Error("no error")
		}
		if got := b.terms(); got != "[0:1 32:2]" {
			t.Errorf("%s", got)
		}
		if p, _ := b.Configured("acme"); p.Included != 2 {
			t.Errorf("configured is %+v", p)
		}
	}
	redis.breakDown(false)
	b := again()
	b.mustSync(50, 3)
	if got := b.terms(); got != "[0:1 32:2 51:3]" {
		t.Errorf("%s", got)
	}
}

// A gateway that another one is faster than joins its change to the other's; text that is no terms is an error.
func TestTermsRace(t *testing.T) {
	redis, conn := openHashes(t)
	b := newBook(t, "one", conn)
	b.mustSync(30, 1)
	b.mustSync(31, 2)
	other := `[{"from":"0001-01-01T00:00:00Z","price":{"Plan":"pro","Included":1,"Package":10,"Minor":5,"Currency":"USD"}},` +
		`{"from":"2026-11-18T14:40:00Z","price":{"Plan":"pro","Included":9,"Package":10,"Minor":5,"Currency":"USD"}}]`
	redis.faster = []string{other}
	b.mustSync(41, 3)
	if got := b.terms(); got != "[0:1 32:2 40:9 42:3]" {
		t.Errorf("%s", got)
	}
	for range 10 {
		redis.faster = append(redis.faster, other, other+" ")
	}
	if err := b.sync(50, 4); err == nil {
		t.Error("it never gives up")
	}
	redis.faster = nil
	redis.mu.Lock()
	maps.Copy(redis.all["gw:terms"], map[string]string{"acme": "{", "|changed": "x"})
	redis.mu.Unlock()
	if err := b.sync(51, 4); err == nil {
		t.Error("nonsense is taken for terms")
	}
}
