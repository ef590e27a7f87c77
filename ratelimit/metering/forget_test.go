package metering

import (
	"sync/atomic"
	"testing"
	"time"
)

// Sums of hours do not stay in memory for ever; those of periods, of hours that people adjusted and of late months do, and the records.
func TestHoursAreForgotten(t *testing.T) {
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	start := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	set(start)
	config := Config{Dir: t.TempDir(), Now: func() time.Time { return *now.Load() }}
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	subject, region := Subject{Organization: "acme", Project: "p", Function: "f"}, "eu"
	call := func() {
		t.Helper()
		id, err := l.Subject(subject)
		if err != nil {
			t.Fatal(err)
		}
		place, err := l.Region(region)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Admit(Invocation{Subject: id, Region: place, At: l.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	call()
	set(start.Add(3 * time.Hour))
	call()
	if _, err := l.Adjust(Adjustment{Subject: subject, Region: region, At: start, Units: 7, Reason: "r", Operator: "o"}); err != nil {
		t.Fatal(err)
	}
	set(start.AddDate(0, 1, 0)) // another period
	call()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	count := func(span Span) (sums int, billed int64) {
		t.Helper()
		all, err := l.Usage()
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u.Span == span {
				sums++
				billed += u.Billed()
			}
		}
		return sums, billed
	}
	set(time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)) // January is over for 37 days, February for 9
	for range 2 {                                    // also after another start
		const want = 2
		if l, err = Open(config); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		l.forgot = time.Time{}
		err := l.forget(l.config.Now())
		l.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := count(Hourly); n != want {
			t.Errorf("%d sums of hours are kept, want %d: of what was adjusted, and of February", n, want)
		}
		if n, billed := count(Monthly); n != 2 || billed != 10 {
			t.Errorf("%d sums of periods with %d", n, billed)
		}
		recounts, err := l.Recount(nil)
		if err != nil || recounts[0].Damage != nil {
			t.Fatal(err, recounts[0].Damage)
		}
		forgotten := 0
		for _, u := range recounts[0].Read {
			if u.Forgotten(l.Now()) {
				forgotten++
			}
		}
		if forgotten != 1 {
			t.Errorf("the records have %d hours that are not kept, want 1", forgotten)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
