package usage_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// hook is a webhook that counts all that it is told, also what it was told before.
func hook(t *testing.T) *sink {
	t.Helper()
	fake := &fakesinks.Receiver{Path: "/in", Knows: time.Nanosecond}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	service, err := webhook.New(webhook.Config{Title: "hook", URL: server.URL + "/in", Now: fake.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &sink{"hook", service, &fake.Faults, fake.Added}
}

// runIn is a round in a shared store.
func (r *rig) runIn(conn *redisconn.Conn, j *usage.Joiner, s *sink) (usage.Result, error) {
	r.t.Helper()
	if err := errors.Join(j.Join(r.t.Context(), time.Time{}), j.Complete(r.t.Context())); err != nil {
		return usage.Result{}, err
	}
	o := r.outbox(s)
	o.Pages, o.Alone = usage.NewSharedPages(r.store, conn), j.StoreID()
	return o.Run(r.t.Context(), s.service)
}

// What a gateway told alone is known to the others as soon as it has joined, also what it tells when it is alone again.
func TestJoin(t *testing.T) {
	_, conn := openHashes(t)
	one, two, s := newRig(t, 1), newRig(t, 1), hook(t)
	first, second := usage.NewJoiner(one.store, conn, "redis"), usage.NewJoiner(two.store, conn, "redis")
	for round := range 3 {
		one.pass()
		two.pass()
		o := one.outbox(s)
		o.Alone, _ = one.store.SharedAs()
		if r, err := o.Run(t.Context(), s.service); err != nil || r.Sent == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := first.Join(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if r, err := two.runIn(conn, second, s); err != nil || r.Sent != 0 {
			t.Errorf("round %d: it was told again: %+v, %v", round, r, err)
		}
		for _, account := range []string{"acme", "globex"} {
			if got, want := s.has(account), one.billed(account, false); got != want {
				t.Errorf("round %d: %d of %s, want %d", round, got, account, want)
			}
		}
	}
	if id, err := two.store.SharedAs(); err != nil || len(id) != 12 {
		t.Errorf("%q, %v", id, err)
	}
}

// After Redis was emptied, nobody sends before those have joined again that were there, whose copies may be newer.
func TestEmptiedRedisAwaitsOthers(t *testing.T) {
	redis, conn := openHashes(t)
	one, two, s := newRig(t, 1), newRig(t, 1), hook(t)
	first, second := usage.NewJoiner(one.store, conn, "redis"), usage.NewJoiner(two.store, conn, "redis")
	for _, j := range []*usage.Joiner{first, second} {
		if err := j.Join(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range []*usage.Joiner{first, second} {
		if err := j.Note(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	one.pass()
	two.pass()
	if r, err := one.runIn(conn, first, s); err != nil || r.Sent == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	redis.empty()
	if _, err := two.runIn(conn, second, s); !errors.Is(err, usage.ErrIncomplete) || !strings.HasPrefix(err.Error(), "waiting to know what services were told: ") {
		t.Errorf("it does not wait: %v", err)
	}
	if err := first.Join(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if r, err := two.runIn(conn, second, s); err != nil || r.Sent != 0 {
		t.Errorf("it was told again: %+v, %v", r, err)
	}
	if got, want := s.has("acme"), one.billed("acme", false); got != want {
		t.Errorf("%d, want %d", got, want)
	}
	// Whoever left with a copy awaits nobody elsewhere.
	if err := second.Left(); err != nil {
		t.Fatal(err)
	}
	redis.empty()
	if _, err := two.runIn(conn, second, s); err != nil {
		t.Error(err)
	}
}

// After Redis was set back to an earlier copy, nobody sends before the gateway that told something since has joined again: the copy
// has its mark, but an earlier one. What the others told alone is no longer the whole then: it is corrected.
func TestRedisSetBack(t *testing.T) {
	redis, conn := openHashes(t)
	one, two, s := newRig(t, 1), newRig(t, 1), hook(t)
	first, second := usage.NewJoiner(one.store, conn, "redis"), usage.NewJoiner(two.store, conn, "redis")
	round := func(sends bool) {
		t.Helper()
		one.pass()
		two.pass()
		if err := second.Join(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if r, err := one.runIn(conn, first, s); err != nil || r.Sent > 0 != sends {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := errors.Join(second.Note(t.Context()), second.Complete(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	round(true)
	earlier := redis.copied()
	round(true)
	redis.back(earlier)
	for range 2 {
		if _, err := two.runIn(conn, second, s); !errors.Is(err, usage.ErrIncomplete) {
			t.Errorf("it does not wait: %v", err)
		}
		if err := second.Note(t.Context()); err != nil { // the later mark stays known
			t.Fatal(err)
		}
	}
	if err := first.Join(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if r, err := two.runIn(conn, second, s); err != nil || r.Sent != 0 {
		t.Errorf("it was told again: %+v, %v", r, err)
	}
	for _, account := range []string{"acme", "globex"} {
		if got, want := s.has(account), one.billed(account, false); got != want {
			t.Errorf("%d of %s, want %d", got, account, want)
		}
	}
}

// Joins is another number whenever others have brought pages, not when this gateway tells something.
func TestJoins(t *testing.T) {
	redis, conn := openHashes(t)
	one, two, s := newRig(t, 1), newRig(t, 1), hook(t)
	first, second := usage.NewJoiner(one.store, conn, "redis"), usage.NewJoiner(two.store, conn, "redis")
	number := func(when string, changes bool) {
		t.Helper()
		before := first.Joins()
		one.pass()
		if _, err := one.runIn(conn, first, s); err != nil {
			t.Fatal(err)
		}
		if now := first.Joins(); (now != before) != changes {
			t.Errorf("%s: %d, before %d", when, now, before)
		}
	}
	number("alone", false)
	if err := second.Join(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	number("another joined", true)
	number("the same", false)
	if err := first.Left(); err != nil { // it awaits nobody
		t.Fatal(err)
	}
	redis.empty()
	number("emptied", true)
	if err := second.Join(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	number("it joined again", true)
}

// What a gateway that joins has sent without an answer is sent again under its name by the leader, to whom the line is not new.
func TestRecheck(t *testing.T) {
	_, conn := openHashes(t)
	one, two, s := newRig(t, 1), newRig(t, 1), hook(t)
	first, second := usage.NewJoiner(one.store, conn, "redis"), usage.NewJoiner(two.store, conn, "redis")
	one.pass()
	two.pass()
	if _, err := one.runIn(conn, first, s); err != nil {
		t.Fatal(err)
	}
	key := usage.PageKey{Account: "acme", Period: "2026-11", Span: "2026-11-01T00"}
	if s.service.Span() != time.Hour {
		key.Span = "2026-11-01"
	}
	waiting := `{"way":[{"id":"00000000000000000000000000000001","account":"acme","value":7,"revision":1,"delta":7,"tries":1,"line":{"account_id":"acme"}}]}`
	if _, err := two.store.Pages().Save(t.Context(), s.service.Name(), map[usage.PageKey][]byte{key: []byte(waiting)}); err != nil {
		t.Fatal(err)
	}
	if err := second.Join(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	o := one.outbox(s)
	o.Pages = usage.NewSharedPages(one.store, conn)
	before, err := o.Status(t.Context(), s.service)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Recheck(t.Context(), s.service); err != nil {
		t.Fatal(err)
	}
	if after, err := o.Status(t.Context(), s.service); err != nil || before.Unanswered != 0 || after.Unanswered != 1 || after.Due != before.Due+1 {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
}

// A store to which gateways come from another gets an id, the same for all, and keeps it when it is emptied.
func TestStoreID(t *testing.T) {
	redis, conn := openHashes(t)
	_, old := openHashes(t)
	one, two := newRig(t, 1), newRig(t, 2)
	id := func(r *rig, conn *redisconn.Conn, place string) string {
		t.Helper()
		j := usage.NewJoiner(r.store, conn, place)
		if err := j.Join(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		return j.StoreID()
	}
	if a, b := id(one, old, "old"), id(two, old, "old"); a != "" || b != "" {
		t.Errorf("the first store has the ids %q and %q", a, b)
	}
	a := id(one, conn, "new")
	if b := id(two, conn, "new"); a == "" || a != b {
		t.Errorf("the second store has the ids %q and %q", a, b)
	}
	redis.empty()
	if b := id(two, conn, "new"); b != a {
		t.Errorf("emptied it has the id %q, want %q", b, a)
	}
	if b := id(one, old, "old"); b != "" {
		t.Errorf("back in the first store it has the id %q", b)
	}
}

// A page that somebody else changed is not overwritten.
func TestSaveChanged(t *testing.T) {
	_, conn := openHashes(t)
	one, two, alone := newRig(t, 1), newRig(t, 2), newRig(t, 3)
	key := usage.PageKey{Account: "acme", Period: "2026-11", Span: "2026-11-10"}
	page := func(v string) map[usage.PageKey][]byte {
		return map[usage.PageKey][]byte{key: []byte(`{"sent":{"i":{"r":` + v + `,"v":` + v + `}}}`)}
	}
	for name, pages := range map[string][2]usage.Pages{
		"embedded": {alone.store.Pages(), alone.store.Pages()},
		"redis":    {usage.NewSharedPages(one.store, conn), usage.NewSharedPages(two.store, conn)},
	} {
		for i, step := range []struct {
			by   int
			v    string
			lost bool
		}{{0, "1", false}, {1, "2", true}, {1, "3", false}, {0, "4", true}, {0, "4", false}, {0, "5", false}} {
			others, err := pages[step.by].Save(t.Context(), "sink", page(step.v))
			if err != nil || (len(others) > 0) != step.lost {
				t.Errorf("%s, step %d: %q, %v", name, i, others, err)
			}
		}
	}
}
