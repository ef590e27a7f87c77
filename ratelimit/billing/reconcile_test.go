package billing

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// levels are those of a reconciliation by their names, of R1 and R4 the last.
func (f *fixture) levels(q ReconcileQuery) (levels map[string]ReconcileLevel, ok bool) {
	f.t.Helper()
	r, err := f.Reconcile(f.t.Context(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	levels = make(map[string]ReconcileLevel)
	for _, l := range r.Levels {
		levels[l.Level] = l
	}
	return levels, r.OK
}

// All accounts of the same are the same: records, sums, line items, and what a service was told and has.
func TestReconcile(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	s := &service{sink: sink{name: "meter"}}
	f.sinks(&deliverer{sink: sink{name: "files"}}, s)
	f.final(4)
	f.export(s)
	q := ReconcileQuery{Against: "meters"}
	levels, ok := f.levels(q)
	if !ok {
		t.Errorf("%+v", levels)
	}
	for level, want := range map[string]int64{"R0": 8, "R1": 4, "R2": 4, "R3": 4, "R4": 4, "R5": 4} {
		if l := levels[level]; l.Expected != want || l.Found != want || l.Difference != 0 || l.First != "" {
			t.Errorf("%+v, want %d", l, want)
		}
	}
	for name, empty := range map[string]ReconcileQuery{
		"of another":      {Query: Query{Organization: "other"}},
		"of another time": {Query: Query{Month: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		levels, ok := f.levels(empty)
		if !ok || levels["R1"].Found != 0 || levels["R3"].Found != 0 || levels["R4"].Found != 0 {
			t.Errorf("%s: %+v", name, levels)
		}
	}
	// A customer that the service has lost, one that it never knew, and one of whom it has too much.
	s.stranger = "acme"
	if levels, _ := f.levels(q); levels["R4"].Expected != 0 || !strings.HasSuffix(levels["R4"].What, "without acme") {
		t.Errorf("%+v", levels["R4"])
	}
	s.stranger, s.got = "", append(s.got, s.got[0])
	if levels, ok := f.levels(q); ok || levels["R4"].Difference != 4 || levels["R4"].Explained {
		t.Errorf("%+v", levels["R4"])
	}
	s.sumErr = errors.New("away")
	if _, err := f.Reconcile(t.Context(), q); !errors.Is(err, s.sumErr) {
		t.Error(err)
	}
}

// What is on its way to a service is a difference that is explained.
func TestReconcileOnTheWay(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	s := &service{sink: sink{name: "meter"}, verdict: usage.Verdict{Held: "no customer"}}
	f.sinks(s)
	f.final(3)
	f.export(s)
	if levels, ok := f.levels(ReconcileQuery{}); ok || levels["R4"].Difference != 3 || !levels["R4"].Explained {
		t.Errorf("%+v", levels["R4"])
	}
}

// A question about a system that no exporter can be asked about is refused.
func TestReconcileAgainst(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.change(func(p *plan) {
		p.sinks = []usage.Sink{&deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}}}
	})
	_, err := f.Reconcile(t.Context(), ReconcileQuery{Against: "paddle"})
	unknown, ok := errors.AsType[*UnknownError](err)
	if !ok || unknown.Name != "paddle" || !slices.Equal(unknown.Known, []string{"meters"}) {
		t.Error(err)
	}
	f.change(func(p *plan) { p.missing = true })
	if _, err := f.Reconcile(t.Context(), ReconcileQuery{}); !errors.Is(err, ErrNoPrices) {
		t.Error(err)
	}
}

// Damage in the files of the ledger is a difference, also where the number of records is right.
func TestReconcileDamage(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(4, called)
	f.lines()
	segments, err := filepath.Glob(filepath.Join(f.dir, "inst", "*", "wal", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%v, %v", segments, err)
	}
	file, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("torn"), 1<<10+20); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	levels, ok := f.levels(ReconcileQuery{})
	if l := levels["R0"]; ok || l.Difference == 0 || !strings.HasPrefix(l.First, "gateway "+f.Ledger().Instance()) {
		t.Errorf("%+v", l)
	}
	if l := levels["R1"]; l.Difference == 0 || !strings.Contains(l.First, "organization acme, 2026-11, p/f in eu: ") {
		t.Errorf("%+v", l)
	}
}

// Records that are lost are no records that are there: R0 names them, and so does the proof of a line, which they make no part of.
func TestReconcileLostRecords(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(4, called)
	line := f.lines()[0]
	f.end()
	segments, err := filepath.Glob(filepath.Join(f.dir, "inst", "*", "wal", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%v, %v", segments, err)
	}
	if err := os.Remove(segments[0]); err != nil {
		t.Fatal(err)
	}
	if found, err := metering.Recover(f.dir); err != nil || len(found) != 1 || !found[0].Mended {
		t.Fatalf("%+v, %v", found, err)
	}
	f = reopen(t, f.dir, f.clock, account("acme", soft, pays))
	f.call(1, called)
	levels, ok := f.levels(ReconcileQuery{})
	if l := levels["R0"]; ok || l.Expected != 10 || l.Found != 2 || l.Difference != 8 || !strings.Contains(l.First, "the records 1 to 8 are lost") {
		t.Errorf("%+v", l)
	}
	if l := levels["R1"]; l.Expected != 1 || l.Found != 5 || l.Difference != 4 {
		t.Errorf("%+v", l)
	}
	p, err := f.Proof(t.Context(), line.LineID)
	if err != nil || p.OK || p.Sources[0].Records.Read != 2 || p.Sources[0].Records.Lost != "1 to 8" || *p.Sources[0].Matches {
		t.Errorf("%+v, %v", p, err)
	}
	answer, err := f.Verify()
	if err != nil || !answer.OK || answer.Records != 2 {
		t.Errorf("%+v, %v", answer, err)
	}
}

// Sums of hours that are not kept any more are those that the records say.
func TestReconcileAfterDays(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(2)
	f.clock.forward(5 * 24 * time.Hour)
	f.call(1, called)
	if levels, ok := f.levels(ReconcileQuery{}); !ok || levels["R2"].Found != 3 || levels["R3"].Found != 3 {
		t.Errorf("%+v", levels)
	}
}

// What is in the store must be between the sums before and after it was read, since calls go on.
func TestReconcileWithTheStore(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(3, called)
	own := entry(metering.Monthly, "2026-11", 4)
	own.Instance, own.Region = f.Ledger().Instance(), "eu"
	m := &mirror{own: []metering.Entry{own, entry(metering.Hourly, "2026111814", 4)}, flushed: func() { f.call(1, called) }}
	f.with(m)
	if levels, _ := f.levels(ReconcileQuery{}); levels["R1"].What != "sums here and in Redis" || levels["R1"].Difference != 0 {
		t.Errorf("%+v", levels["R1"])
	}
	m.own[0].Invocations, m.flushed = 1, nil
	if levels, _ := f.levels(ReconcileQuery{}); levels["R1"].Difference != 3 {
		t.Errorf("%+v", levels["R1"])
	}
	for _, name := range []string{"Flush", "OwnSums"} {
		failure := errors.New(name)
		m.fails = map[string]error{name: failure}
		if _, err := f.Reconcile(t.Context(), ReconcileQuery{}); !errors.Is(err, failure) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a difference is about leaves out what it is not about.
func TestTotalKeyInWords(t *testing.T) {
	for want, k := range map[string]TotalKey{
		"": {},
		"gateway g, organization acme, 2026-11, p/f in eu": {Instance: "g", Organization: "acme", Period: "2026-11", Project: "p", Function: "f", Region: "eu"},
		"organization acme, edge_invocations":              {Organization: "acme", Function: "edge_invocations"},
		"gateway g, in eu":                                 {Instance: "g", Region: "eu"},
		"2026-11, p":                                       {Period: "2026-11", Project: "p"},
	} {
		if got := k.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A customer that a service does not know is named once, also if it has several meters.
func TestReconcileNamesCustomersOnce(t *testing.T) {
	var c reconciliation
	delivered := map[TotalKey]*delivery{
		{Organization: "acme", Function: "calls"}:    {},
		{Organization: "acme", Function: "overages"}: {},
	}
	if err := c.sums(t.Context(), &service{sink: sink{name: "meter"}, stranger: "acme"}, delivered); err != nil {
		t.Fatal(err)
	}
	if what := c.levels[0].What; what != "what meter was told and what it has, without acme" {
		t.Error(what)
	}
}
