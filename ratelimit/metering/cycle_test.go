package metering

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPeriods(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	paris := zone(t, "Europe/Paris")
	for _, tc := range []struct {
		cycle          Cycle
		at             string
		id, start, end string
	}{
		{Cycle{}, "2026-11-24T12:00:00Z", "2026-11", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		{Cycle{}, "2026-11-30T23:59:59.999999Z", "2026-11", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		{Cycle{}, "2026-12-01T00:00:00Z", "2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Cycle{Zone: paris}, "2026-10-31T23:30:00Z", "20261101+Europe/Paris", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"},
		{Cycle{Anchor: at("2026-11-05T00:00:00Z")}, "2026-11-04T23:59:59Z", "20261005+UTC", "2026-10-05T00:00:00Z", "2026-11-05T00:00:00Z"},
		{Cycle{Anchor: at("2026-11-05T00:00:00Z")}, "2024-02-29T00:00:00Z", "20240205+UTC", "2024-02-05T00:00:00Z", "2024-03-05T00:00:00Z"},
		{Cycle{Anchor: at("2026-01-31T10:30:00Z")}, "2026-02-28T10:30:00Z", "20260228T103000+UTC", "2026-02-28T10:30:00Z", "2026-03-31T10:30:00Z"},
		{Cycle{Anchor: at("2026-01-01T00:00:00Z")}, "2026-06-30T00:00:00Z", "2026-06", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"},
		// The last Sunday of March has no 02:30 in Paris.
		{Cycle{Anchor: at("2026-01-29T01:30:00Z"), Zone: paris}, "2026-03-29T12:00:00Z", "20260329T033000+Europe/Paris", "2026-03-29T01:30:00Z", "2026-04-29T00:30:00Z"},
	} {
		p := tc.cycle.At(at(tc.at))
		if p.ID != tc.id || !p.Start.Equal(at(tc.start)) || !p.End.Equal(at(tc.end)) {
			t.Errorf("%s with %+v: %s from %s to %s, want %s from %s to %s", tc.at, tc.cycle, p.ID, p.Start, p.End, tc.id, tc.start, tc.end)
		}
	}
}

// Each instant is in exactly one period, whatever the zone does with its clocks.
func TestPeriodsHaveNoGapsAndDoNotOverlap(t *testing.T) {
	names := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		c := Cycle{Zone: zone(t, rapid.SampledFrom(names).Draw(t, "zone"))}
		if rapid.Bool().Draw(t, "anchored") {
			c.Anchor = time.Unix(rapid.Int64Range(631152000, 2840140800).Draw(t, "anchor"), 0)
		}
		at := time.Unix(rapid.Int64Range(631152000, 2840140800).Draw(t, "at"), 0) // 1990 to 2060
		p := c.At(at)
		if !p.Contains(at) {
			t.Fatalf("%s is not in its period from %s to %s", at, p.Start, p.End)
		}
		if length := p.End.Sub(p.Start); length < 26*24*time.Hour || length > 33*24*time.Hour {
			t.Fatalf("the period from %s has %s", p.Start, length)
		}
		next, last := c.Next(p), c.At(p.Start.Add(-1))
		if !next.Start.Equal(p.End) || !last.End.Equal(p.Start) || next.ID == p.ID || last.ID == p.ID {
			t.Fatalf("%+v, then %+v, then %+v", last, p, next)
		}
		if named, ok := c.Named(p.ID); !ok || named != p {
			t.Fatalf("%s is %+v, %t", p.ID, named, ok)
		}
		if _, told, ok := CycleOf(p.ID); !ok || told.ID != p.ID || !told.Start.Equal(p.Start) {
			t.Fatalf("%s tells %+v, %t", p.ID, told, ok)
		}
		for _, same := range []time.Time{p.Start, p.End.Add(-1)} {
			if c.At(same) != p {
				t.Fatalf("%s is in %+v, %s in %+v", at, p, same, c.At(same))
			}
		}
	})
}
