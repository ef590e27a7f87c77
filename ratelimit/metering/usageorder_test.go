package metering

import (
	"testing"
	"time"
)

// Sums are in one order, also those of a month and of its first hour, which begin at the same time.
func TestUsageIsInOneOrder(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	now := l.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	admit(t, l, s, r, month)
	admit(t, l, s, r, month.Add(-time.Nanosecond))
	want := counted(t, l)
	for range 50 {
		if got := counted(t, l); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}
