package billing

import (
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

func TestDatesOf(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		t.Helper()
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct {
		name        string
		cycle       metering.Cycle
		now         string
		first, last string
		days        int
	}{
		{"at its first moment", metering.Cycle{}, "2026-11-01T00:00:00Z", "2026-11-01", "2026-11-01", 1},
		{"in its middle", metering.Cycle{}, "2026-11-28T14:00:00Z", "2026-11-01", "2026-11-28", 28},
		{"in a zone", metering.Cycle{Zone: berlin}, "2026-10-26T23:30:00Z", "2026-10-01", "2026-10-27", 27},
		{"from within a day to within another", metering.Cycle{Anchor: at("2026-01-05T18:00:00Z")}, "2026-11-05T17:59:59Z", "2026-10-05", "2026-11-05", 32},
	} {
		now := at(tt.now)
		days := datesOf(periodOf(tt.cycle.At(now)), now)
		if len(days) != tt.days || days[0] != tt.first || days[len(days)-1] != tt.last {
			t.Errorf("%s: %q", tt.name, days)
		}
	}
	over := datesOf(periodOf((metering.Cycle{}).At(at("2026-02-03T00:00:00Z"))), at("2026-11-28T00:00:00Z"))
	if len(over) != 28 || over[27] != "2026-02-28" {
		t.Errorf("one that is over: %q", over)
	}
}
