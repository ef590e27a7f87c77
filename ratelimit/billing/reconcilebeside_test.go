package billing

import (
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// besides are two gateways with one directory, and no Redis.
func besides(t *testing.T, sinks ...usage.Sink) (first, second *fixture) {
	t.Helper()
	first = newFixture(t, account("acme", soft, pays))
	second = reopen(t, first.dir, first.clock, account("acme", soft, pays))
	for _, f := range []*fixture{first, second} {
		f.sinks(sinks...)
	}
	return first, second
}

// What another gateway with the directory counted is in the lines, and no difference: not while hours are provisional, and not
// once a service was told. What lines have of no log of the directory is one.
func TestReconcileBesideOthers(t *testing.T) {
	s := &service{sink: sink{name: "meter"}}
	first, second := besides(t, s)
	first.call(4, called)
	second.call(3, called)
	check := func(when string, want, unsent int64) {
		t.Helper()
		for i, f := range []*fixture{first, second} {
			f.lines()
			levels, _ := f.levels(ReconcileQuery{})
			if l := levels["R3"]; l.Expected != want || l.Found != want || l.Difference != 0 {
				t.Errorf("%s, gateway %d: %+v", when, i+1, l)
			}
			if l := levels["R4"]; l.Difference != unsent || l.Explained != (unsent > 0) {
				t.Errorf("%s, gateway %d: %+v", when, i+1, l)
			}
		}
	}
	first.lines()
	second.lines()
	check("provisional", 7, 0)
	first.clock.forward(time.Hour)
	first.lines()
	second.lines()
	check("final", 7, 7)
	first.export(s)
	check("sent by the first", 7, 0)
	second.call(2, called)
	second.clock.forward(time.Hour)
	second.lines()
	first.lines()
	check("final again", 9, 2)
	second.export(s)
	check("sent by the second", 9, 0)

	own := first.Ledger().Instance()
	line := first.lines()[0]
	foreign := usage.Sum{
		Key: usage.Key{
			Organization: "acme",
			Period:       line.Period,
			Start:        line.WindowStart,
			End:          line.WindowEnd,
			Project:      "p",
			Function:     "f",
			Region:       "eu",
			Origin:       first.Ledger().Origin(),
		},
		Sources: []usage.Source{{Instance: strings.Repeat("0", len(own)), First: 1, Invocations: 5, Completed: 5}},
	}
	_, err := first.open.lines.Update(usage.UpdateInput{
		Now:      first.clock.now(),
		Sums:     []usage.Sum{foreign},
		Price:    func(string) (usage.Price, bool) { return pays, true },
		Complete: func(time.Time) bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*fixture{first, second} {
		if levels, ok := f.levels(ReconcileQuery{}); ok || levels["R3"].Difference != 5 || levels["R3"].Explained {
			t.Errorf("%+v", levels["R3"])
		}
	}
}

// An adjustment by either gateway goes by what both counted, and by those before it.
func TestAdjustBesideOthers(t *testing.T) {
	first, second := besides(t)
	first.call(4, called)
	second.call(3, called)
	first.lines()
	second.lines()
	order := AdjustOrder{Organization: "acme", Project: "p", Function: "f", Region: "eu", Reason: "outage", Operator: "ada"}
	before := int64(7)
	for i, units := range []int64{-6, 2, 10, -12, -1} {
		order.Units = units
		f := []*fixture{first, second}[i%2]
		got, err := f.Adjust(t.Context(), order)
		if err != nil || *got.Before != before || *got.After != before+units {
			t.Fatalf("%d: %+v, %v, want %d before", units, got, err, before)
		}
		before += units
	}
	order.Units = -1
	for i, f := range []*fixture{first, second} {
		if _, err := f.Adjust(t.Context(), order); err == nil || !strings.Contains(err.Error(), "is billed 0 invocations") {
			t.Errorf("gateway %d: %v", i+1, err)
		}
		if bills := f.bill(Query{}); len(bills) != 1 || bills[0].Invocations != 0 {
			t.Errorf("gateway %d: the bill is %+v", i+1, bills)
		}
	}
}
