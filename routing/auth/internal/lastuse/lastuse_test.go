package lastuse

import (
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	var s Stamp
	if !s.Time().IsZero() {
		t.Errorf("unused, it was used %s", s.Time())
	}
	at := time.Unix(1_800_000_000, 999_999_999)
	for _, moved := range []time.Duration{0, time.Second, -time.Hour} {
		s.Mark(at.Add(moved))
		if want := at.Add(moved).Truncate(time.Second); !s.Time().Equal(want) || s.Time().Location() != time.UTC {
			t.Errorf("used %s, want %s", s.Time(), want)
		}
	}
	var none *Stamp
	none.Mark(at)
	if !none.Time().IsZero() {
		t.Error("a nil Stamp remembers")
	}
}

func BenchmarkMark(b *testing.B) {
	var s Stamp
	at := time.Unix(1_800_000_000, 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Mark(at)
		}
	})
}
