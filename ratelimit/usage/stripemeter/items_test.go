package stripemeter_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

// An hour is told once for each period, ledger and schema of its lines, under ids that stay; where the last event of an hour
// counts, it is told once for each period, whatever ledgers are known, and under an id that says under which others it was told before.
func TestItemsOfAnHour(t *testing.T) {
	start := time.Date(2026, 11, 18, 14, 0, 0, 0, time.UTC)
	line := func(schema, ledger, period string, n int64) usage.Line {
		l := usage.Line{Schema: schema, LedgerID: ledger, Period: period, AccountID: "acme", WindowStart: start, WindowEnd: start.Add(time.Hour), Quantity: n}
		if schema == usage.Schema {
			l.PeriodStart = start.Add(-time.Hour)
		}
		return l
	}
	page := []usage.Line{
		line(usage.SchemaV1, "one", "p", 1), line(usage.Schema, "one", "p", 20), line(usage.SchemaV1, "one", "p", 2), line(usage.SchemaV1, "two", "p", 300),
	}
	for window, want := range map[string][]int64{"": {3, 20, 300}, "hour": {323}} {
		fake := &fakesinks.Stripe{Key: key, Meters: []string{"edge"}, Window: window}
		server := httptest.NewServer(fake)
		defer server.Close()
		s := stripemeter.New(stripemeter.Config{Key: key, Meter: "edge", URL: server.URL, Customers: func() map[string]string { return nil }})
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		items := s.Items(page)
		ids := make(map[string]bool)
		for i := range items {
			ids[items[i].ID] = true
			if i < len(want) && items[i].Value != want[i] {
				t.Errorf("%q: %+v, want %v", window, items, want)
			}
		}
		first := map[string]string{"": "d9f655b80bb3b826106d1fddafb0a205", "hour": "49692d13073108918cfccb69035b4a1f"}[window]
		if len(items) != len(want) || len(ids) != len(want) || items[0].ID != first {
			t.Errorf("%q: %+v", window, items)
		}
		if window == "hour" && (len(items[0].Former) != 3 || items[0].Former[0] != "d9f655b80bb3b826106d1fddafb0a205") {
			t.Errorf("former ids: %+v", items)
		}
		if id := s.Items([]usage.Line{line(usage.Schema, "one", "q", 20)})[0].ID; ids[id] {
			t.Errorf("%q: another period has the same id", window)
		}
		if id := s.Items([]usage.Line{line(usage.Schema, "two", "p", 20)})[0].ID; ids[id] != (window == "hour") {
			t.Errorf("%q: another ledger has the id %s", window, id)
		}
	}
}
