package billing

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// Before its start an engine has nothing, refuses questions, and lets requests pass without counting them.
func TestBeforeStart(t *testing.T) {
	e := NewEngine(t.TempDir())
	if e.Ledger() != nil || e.Shared() != nil || e.InUse() {
		t.Error("it has something")
	}
	for name, ask := range map[string]func() error{
		"Update":      func() error { _, err := e.Update(t.Context()); return err },
		"Usage":       func() error { _, err := e.Usage(t.Context(), UsageQuery{}); return err },
		"Quota":       func() error { _, err := e.Quota(t.Context(), ""); return err },
		"SetQuota":    func() error { _, err := e.SetQuota(t.Context(), QuotaOrder{}); return err },
		"release":     func() error { _, err := e.SetQuota(t.Context(), QuotaOrder{Release: "x"}); return err },
		"Bill":        func() error { _, err := e.Bill(t.Context(), Query{}); return err },
		"Select":      func() error { _, err := e.Select(t.Context(), Query{}); return err },
		"Proof":       func() error { _, err := e.Proof(t.Context(), strings.Repeat("a", 32)); return err },
		"Adjust":      func() error { _, err := e.Adjust(t.Context(), order()); return err },
		"Adjustments": func() error { _, err := e.Adjustments(Query{}); return err },
		"Reconcile":   func() error { _, err := e.Reconcile(t.Context(), ReconcileQuery{}); return err },
		"Exporters":   func() error { _, err := e.Exporters(); return err },
		"Push":        func() error { _, err := e.Push(t.Context(), PushOrder{}); return err },
		"LedgerState": func() error { _, err := e.LedgerState(begins); return err },
		"QuotaState":  func() error { _, err := e.QuotaState(begins); return err },
	} {
		if err := ask(); !errors.Is(err, ErrNotOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := e.Receive()
	if err := r.Take(t.Context(), "acme", &soft); !errors.Is(err, ErrNotOpen) {
		t.Error(err)
	}
	if r.Restricted("acme", &soft) != 0 || r.FunctionName("p", Wildcard, "f") != Wildcard {
		t.Error("it knows something")
	}
	if n := e.UnderWay(); n != 1 {
		t.Errorf("%d are under way", n)
	}
	r.Refused(called.Subject, 503)
	if err := r.Finish(metering.Ending{}); err != nil {
		t.Error(err)
	}
	if n := e.UnderWay(); n != 0 {
		t.Errorf("%d are under way", n)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// An engine that cannot be opened says what to do, and may be started again.
func TestStartAgain(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := NewEngine(dir)
	if err := e.Start(Settings{}); err == nil || e.Ledger() != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	for range 2 { // the second time it is open
		if err := e.Start(Settings{Sync: metering.SyncStrict, Logger: quiet}); err != nil {
			t.Fatal(err)
		}
	}
	e.Use(new(plan))
	if !e.InUse() || e.Dir() != dir || e.Ledger() == nil {
		t.Error("something is missing")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// What calls still do when the engine closes is recorded.
func TestCloseAwaitsCalls(t *testing.T) {
	f := newFixture(t)
	r := f.admitted()
	if err := r.Send(&called); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		f.open.background.Wait() // Close has begun
		ended <- r.Finish(metering.Ending{Status: 101})
	}()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f.open = nil
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An engine is busy from the arrival of a request to its end, whatever becomes of it meanwhile.
func TestBusy(t *testing.T) {
	f := newFixture(t)
	expect := func(when string, want bool) {
		t.Helper()
		if got := f.Busy(); got != want {
			t.Errorf("%s: busy is %t", when, got)
		}
	}
	expect("before", false)
	r := f.admitted()
	expect("admitted", true)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"sent", func() error { return r.Send(&called) }},
		{"never sent after all", r.Unsent},
		{"sent to another region", func() error { return r.Send(&called) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		expect(step.name, true)
	}
	if err := r.Finish(metering.Ending{Status: 200}); err != nil {
		t.Error(err)
	}
	expect("ended", false)
	refused := f.Receive()
	expect("received", true)
	refused.Refused(called.Subject, 401)
	if err := refused.Finish(metering.Ending{}); err != nil {
		t.Error(err)
	}
	expect("refused", false)
}

// A call that never ends holds nothing up for long: its end is not recorded.
func TestCloseAwaitsNoneForEver(t *testing.T) {
	f := newFixture(t)
	r := f.admitted()
	if err := r.Send(&called); err != nil {
		t.Fatal(err)
	}
	f.end()
	if err := r.Finish(metering.Ending{}); err == nil {
		t.Error("the end was recorded in a closed ledger")
	}
}

// What a power loss left is logged when the engine is opened: a record after those that were on the disk.
func TestRecoveryIsLogged(t *testing.T) {
	f := newFixture(t)
	f.call(1, called)
	f.end()
	segments, err := filepath.Glob(filepath.Join(f.dir, "inst", "*", "wal", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%v, %v", segments, err)
	}
	file, err := os.OpenFile(segments[len(segments)-1], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	// After the header of 1 KiB, the call has two records.
	if _, err := file.WriteAt([]byte("torn"), 1<<10+2*metering.RecordSize); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(filepath.Dir(filepath.Dir(segments[0])), "checkpoint.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("boot"), []byte("before the power was lost"))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, f.dir, f.clock)
	if n := again.logs.count(`"level":"WARN"`, "recovered ledger after unclean shutdown", `"records_damaged":1`); n != 1 {
		t.Errorf("logged: %s", again.logs.text.String())
	}
}

// Trouble of the ledger and of the store is logged, and its end.
func TestTroubleIsLogged(t *testing.T) {
	f := newFixture(t)
	failure := errors.New("no space left on device")
	for _, log := range []func(error){f.logLedger, f.logMirror} {
		log(failure)
		log(nil)
	}
	for text, want := range map[string]int{`"error":"no space left on device"`: 2, "again": 2, `"level":"ERROR"`: 2, `"level":"INFO"`: 3} {
		if n := f.logs.count(text); n != want {
			t.Errorf("%d lines have %s, want %d: %s", n, text, want, f.logs.text.String())
		}
	}
}

// A store that is away keeps nobody from starting, and nobody from going back to the embedded one.
func TestSharedStoreIsAway(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	away, other := redisconn.Config{Addresses: []string{"127.0.0.1:1"}}, redisconn.Config{Addresses: []string{"127.0.0.1:2"}}
	log := slog.New(slog.NewJSONHandler(f.logs, nil))
	var before *SharedStore
	for i, config := range []*redisconn.Config{&away, &away, &other} {
		if err := f.Start(Settings{Redis: config, Logger: log}); err != nil {
			t.Fatal(err)
		}
		s := f.Shared()
		if s == nil || s.Mirror() == nil || s.Conn() == nil || s.URL() != config.String() {
			t.Fatalf("%+v", s)
		}
		if same := s == before; same != (i == 1) {
			t.Errorf("%d: it is the same: %v", i, same)
		}
		before = s
	}
	f.call(1, called)
	if _, err := f.Update(t.Context()); err == nil {
		t.Error("line items are up to date without the other gateways")
	}
	if err := f.Start(Settings{Logger: log}); err != nil {
		t.Fatal(err)
	}
	if f.Shared() != nil {
		t.Error("the store is still there")
	}
	if n := f.logs.count("last sums not sent to Redis", `"redis":"`+other.String()+`"`); n != 1 {
		t.Errorf("logged: %s", f.logs.text.String())
	}
	if len(f.lines()) != 1 {
		t.Error("the embedded store has no line items")
	}
	if err := f.Start(Settings{Redis: new(redisconn.Config), Logger: log}); err == nil {
		t.Error("a store without an address is none")
	}
}

// An engine that closes with a store that is away says that not all was sent.
func TestCloseWithoutTheSharedStore(t *testing.T) {
	e := NewEngine(t.TempDir())
	if err := e.Start(Settings{Redis: &redisconn.Config{Addresses: []string{"127.0.0.1:1"}}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	f := &fixture{Engine: e, t: t}
	f.call(1, called)
	if err := e.Close(); err == nil {
		t.Error("what was not sent is lost without a word")
	}
}

// A project's wildcard counts 200 names one by one, over restarts too (contract 7.7).
func TestNamesOfAWildcard(t *testing.T) {
	f := newFixture(t)
	wild := Dispatch{Subject: metering.Subject{Project: "p", Function: Wildcard}, Region: "eu"}
	for i := range maxNames + 10 {
		wild.Slug = fmt.Sprintf("f%d", i)
		f.call(1, wild)
	}
	check := func(f *fixture) {
		t.Helper()
		r := f.Receive()
		for slug, want := range map[string]string{"f0": "f0", "f199": "f199", "f200": Wildcard, "new": Wildcard} {
			if got := r.FunctionName("p", Wildcard, slug); got != want {
				t.Errorf("%s is counted as %s, want %s", slug, got, want)
			}
		}
		if got := r.FunctionName("p", "own", "own"); got != "own" {
			t.Errorf("a function of its own is counted as %s", got)
		}
		if err := r.Finish(metering.Ending{}); err != nil {
			t.Error(err)
		}
		names := make(map[string]uint64)
		all, err := f.Ledger().Usage()
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u.Span == metering.Monthly {
				names[u.Function] += u.Invocations
			}
		}
		if len(names) != maxNames+1 || names[Wildcard] != 10 {
			t.Errorf("%d names, %d beyond them", len(names), names[Wildcard])
		}
	}
	check(f)
	f.end()
	check(reopen(t, f.dir, f.clock))
}

// The ledger counts as down for ten seconds after a call that it refused, as quotas do.
func TestStates(t *testing.T) {
	f := newFixture(t)
	now := f.clock.now()
	check := func(at time.Time, ledger, quotas State) {
		t.Helper()
		if got, err := f.LedgerState(at); got != ledger || (err == nil) != (ledger == StateUp) {
			t.Errorf("the ledger is %s, %v", got, err)
		}
		if got, err := f.QuotaState(at); got != quotas || (err == nil) != (quotas == StateUp) {
			t.Errorf("quotas are %s, %v", got, err)
		}
	}
	check(now, StateUp, StateUp)
	f.open.unrecorded.note(now, errors.New("full"))
	check(now.Add(9*time.Second), StateDown, StateUp)
	f.open.ungranted.note(now.Add(5*time.Second), errors.New("away"))
	check(now.Add(11*time.Second), StateUp, StateDown)
	check(now.Add(time.Minute), StateUp, StateUp)
}
