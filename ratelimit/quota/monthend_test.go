package quota

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// A period ends while 100,000 invocations a second are admitted, also where the clocks of the
// zone are set at that moment. Each is in one period, in the one that its time says, and neither quota is passed.
func TestMonthEnd(t *testing.T) {
	t.Parallel()
	zone := func(name string) *time.Location {
		t.Helper()
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	const second = 100_000
	berlin, newYork, howe := zone("Europe/Berlin"), zone("America/New_York"), zone("Australia/Lord_Howe")
	for _, tt := range []struct {
		name  string
		cycle metering.Cycle
		at    time.Time // in the period that ends
		quota int64
	}{
		{"the month ends", metering.Cycle{}, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), -1},
		{"the month ends in a zone", metering.Cycle{Zone: berlin}, time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC), -1},
		{"a February ends", metering.Cycle{Anchor: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)}, time.Date(2027, 2, 20, 0, 0, 0, 0, time.UTC), -1},
		{"the hour of the end comes twice", metering.Cycle{Anchor: time.Date(2026, 1, 25, 2, 30, 0, 0, berlin), Zone: berlin}, time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC), -1},
		{"the hour of the end does not come", metering.Cycle{Anchor: time.Date(2026, 1, 8, 2, 30, 0, 0, newYork), Zone: newYork}, time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), -1},
		{"half an hour is skipped", metering.Cycle{Anchor: time.Date(2026, 1, 4, 2, 15, 0, 0, howe), Zone: howe}, time.Date(2026, 9, 20, 0, 0, 0, 0, time.UTC), -1},
		{"with a quota", metering.Cycle{}, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), second * 2 / 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ends := tt.cycle.At(tt.at)
			begins := tt.cycle.Next(ends)
			// Each look at the clock takes it on by as long as it is between two of 100,000 a second.
			var clock atomic.Int64
			clock.Store(ends.End.Add(-time.Second).UnixMicro())
			g := &gateway{t: t, allowance: Allowance{Quota: tt.quota, Hard: tt.quota >= 0, Cycle: tt.cycle}}
			now := func() time.Time { return time.UnixMicro(clock.Add(int64(time.Second/time.Microsecond) / second)) }
			dir := t.TempDir()
			var err error
			if g.ledger, err = metering.Open(metering.Config{Dir: dir, Now: now}); err != nil {
				t.Fatal(err)
			}
			g.Manager = NewManager(g.ledger, NewEmbedded(dir, now))
			defer g.close()
			var before, after atomic.Int64
			var running sync.WaitGroup
			for range 4 {
				running.Go(func() {
					for {
						unit, err := g.take()
						if errors.Is(err, ErrExhausted) {
							if time.UnixMicro(clock.Load()).After(ends.End.Add(time.Second)) {
								return
							}
							continue
						}
						switch {
						case err != nil:
							t.Error(err)
							return
						case ends.Contains(unit.At) && !begins.Contains(unit.At):
							before.Add(1)
						case begins.Contains(unit.At) && !ends.Contains(unit.At):
							after.Add(1)
						default:
							t.Errorf("%s is in both periods, or in none", unit.At)
						}
						if unit.At.After(ends.End.Add(time.Second)) {
							return
						}
					}
				})
			}
			running.Wait()
			for _, want := range []struct {
				period metering.Period
				n      int64
			}{{ends, before.Load()}, {begins, after.Load()}} {
				by, err := g.ledger.SpentBy("acme", want.period)
				if err != nil {
					t.Fatal(err)
				}
				if n := int64(by[g.ledger.Instance()]); n != want.n || n == 0 || tt.quota >= 0 && n > tt.quota {
					t.Errorf("%s: %d are counted, %d were admitted", want.period.ID, n, want.n)
				}
			}
		})
	}
}
