package metering

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// ownHours lists the hourly sums of a ledger, in the form in which readHours lists what another gateway reads of them.
func ownHours(t *testing.T, l *Ledger) (told []string) {
	t.Helper()
	all, err := l.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		u := &all[i]
		if u.Span != Hourly {
			continue
		}
		hour, period := u.Hour()
		told = append(told, fmt.Sprint(u.Organization, u.Project, u.Function, u.Region, hour, period.ID, u.Origin, u.Sums))
	}
	slices.Sort(told)
	return told
}

func readHours(t *testing.T, m *Mirror, now Cycle) (told []string) {
	t.Helper()
	all, err := m.PeerSums(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		e := &all[i]
		if e.Span != Hourly {
			continue
		}
		hour, period, err := e.Hour(now)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprint(e.Subject.Organization, e.Subject.Project, e.Subject.Function, e.Region, hour, period.ID, e.Origin, e.Sums))
	}
	slices.Sort(told)
	return told
}

func counts(t *testing.T, l *Ledger, n int, c Cycle) {
	t.Helper()
	s, err := l.Subject(Subject{Organization: "acme", Project: "p", Function: "f", Cycle: c})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Region("eu")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		admit(t, l, s, r, l.Now())
	}
}

// An hour that is cut by a change of the cycle or of the zone is the same sums for its gateway and for all others, whatever
// cycle they have.
func TestHoursKeepTheirPeriods(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	defer closeLedger(t, two)
	sender, reader := quietMirror(t, one, conn), quietMirror(t, two, conn)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	began := one.Now().Add(-time.Hour)
	cycles := []Cycle{{}, {Anchor: began}, {Anchor: began, Zone: berlin}, {Anchor: began, Zone: paris}, {}}
	flushed(t, sender)
	for i, c := range cycles {
		counts(t, one, 100*(i+1), c)
		flushed(t, sender)
		if err := sender.register(t.Context(), one.Now()); err != nil {
			t.Fatal(err)
		}
		want, got := ownHours(t, one), readHours(t, reader, cycles[(i+1)%len(cycles)])
		if !slices.Equal(want, got) || len(want) != min(i+1, 4) {
			t.Errorf("cycle %d: the gateway has\n%q\nothers read\n%q", i, want, got)
		}
	}
	if one.Origin().Ledger != two.Origin().Ledger && reader.shared.Load() == nil {
		if err := reader.Agree(t.Context()); err != nil || one.Origin() != two.Origin() {
			t.Errorf("%v, %v, %v", one.Origin(), two.Origin(), err)
		}
	}
}

// What was counted before a ledger joined another, and after it left, keeps its own ledger.
func TestLedgersJoinAndLeave(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	dir := two.config.Dir
	first := quietMirror(t, one, conn)
	counts(t, one, 1, Cycle{})
	counts(t, two, 70, Cycle{})
	flushed(t, first)
	shared, own := one.Origin(), two.Origin()
	if shared.Ledger == own.Ledger {
		t.Fatal("two directories have one id")
	}
	second := quietMirror(t, two, conn)
	flushed(t, second)
	counts(t, two, 30, Cycle{})
	flushed(t, second)
	if two.Origin() != shared {
		t.Errorf("after it joined: %v, want %v", two.Origin(), shared)
	}
	if err := errors.Join(second.register(t.Context(), two.Now()), first.register(t.Context(), one.Now())); err != nil {
		t.Fatal(err)
	}
	if want, got := ownHours(t, two), readHours(t, first, Cycle{}); !slices.Equal(want, got) || len(want) != 2 {
		t.Errorf("the gateway has\n%q\nothers read\n%q", want, got)
	}
	for range 2 { // the second time it has left already
		if err := two.Leave(); err != nil {
			t.Fatal(err)
		}
	}
	counts(t, two, 5, Cycle{})
	left := two.Origin()
	if left.Ledger == shared.Ledger || left.Ledger == own.Ledger {
		t.Errorf("after it left: %v", left)
	}
	closeLedger(t, two)
	two = openLedger(t, dir)
	defer closeLedger(t, two)
	if two.Origin() != left {
		t.Errorf("after a restart: %v, want %v", two.Origin(), left)
	}
	sums := make(map[Origin]uint64)
	all, err := two.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.Span == Monthly {
			sums[u.Origin] += u.Invocations
		}
	}
	if sums[own] != 70 || sums[shared] != 30 || sums[left] != 5 {
		t.Errorf("%v", sums)
	}
	again := quietMirror(t, two, conn)
	flushed(t, again)
	if two.Origin() != shared {
		t.Errorf("after it joined again: %v", two.Origin())
	}
}

// The directory of an older build: its subjects stay of the ledger that it was, whatever it joins.
func TestOldSubjectsArePinned(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	l.own.dictionary.origin.Store(nil) // as older builds wrote subjects
	counts(t, l, 7, Cycle{})
	closeLedger(t, l)
	before, err := Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	redis := &hashes{t: t}
	redis.put("gw:meta", "ledger", "00000000000000aa")
	m := quietMirror(t, l, redis.open())
	flushed(t, m)
	counts(t, l, 3, Cycle{})
	for range 2 {
		all, err := l.Usage()
		if err != nil {
			t.Fatal(err)
		}
		sums := make(map[Origin]uint64)
		for _, u := range all {
			if u.Span == Hourly {
				sums[u.Origin] += u.Invocations
			}
		}
		if len(sums) != 2 || sums[Origin{before, FormHour}] != 7 || sums[Origin{"00000000000000aa", FormPeriod}] != 3 {
			t.Errorf("%v", sums)
		}
		closeLedger(t, l)
		l = openLedger(t, dir)
	}
	closeLedger(t, l)
}

// While a gateway of an older build writes, hours have the form that it reads; then all are sent in the new one, and those in
// the old one are removed, without a moment in which one counts twice or not at all.
func TestOldGatewaysAreWaitedFor(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	defer closeLedger(t, two)
	redis.put(instancesKey, "0123456789ab", strconv.FormatInt(time.Now().Unix(), 10))
	sender, reader := quietMirror(t, one, conn), quietMirror(t, two, conn)
	flushed(t, sender)
	if one.Origin().Form != FormHour {
		t.Errorf("with an older gateway: %v", one.Origin())
	}
	counts(t, one, 5, Cycle{})
	flushed(t, sender)
	if err := sender.register(t.Context(), one.Now()); err != nil {
		t.Fatal(err)
	}
	hour := fmt.Sprintf("h|%s|acme|p|f|eu|invocations", hourID(one.Now().UTC().Truncate(time.Hour)))
	if !slices.Contains(redis.fields(), hour) {
		t.Errorf("%s is not among %q", hour, redis.fields())
	}
	if err := reader.Agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if want, got := ownHours(t, one), readHours(t, reader, Cycle{}); !slices.Equal(want, got) {
			t.Errorf("%s: the gateway has\n%q\nothers read\n%q", when, want, got)
		}
	}
	check("with an older gateway")
	redis.put(instancesKey, "0123456789ab", presenceLeft)
	if err := sender.register(t.Context(), one.Now()); err != nil {
		t.Fatal(err)
	}
	check("before all is sent anew")
	counts(t, one, 3, Cycle{})
	flushed(t, sender)
	if one.Origin().Form != FormPeriod {
		t.Errorf("without older gateways: %v", one.Origin())
	}
	check("with both forms")
	if err := sender.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("at last")
	if slices.Contains(redis.fields(), hour) {
		t.Errorf("%s is still there", hour)
	}
	redis.put(schemasKey, "0123456789ab", "3")
	if err := sender.Agree(t.Context()); !errors.Is(err, ErrLaterSchema) {
		t.Errorf("a later schema: %v", err)
	}
	key := sumsKey(shardOf{one.Instance(), Shard("acme")})
	redis.put(key, schemaField, "3")
	if _, err := reader.PeerSums(t.Context(), ""); !errors.Is(err, ErrLaterSchema) {
		t.Errorf("sums of a later schema: %v", err)
	}
}

// Redis was emptied, and a gateway started before the others said again of which builds they are. What it sends in the form that
// all builds read is sent again in the last one as soon as they have, without another record.
func TestNewFormWithoutNewRecords(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	defer closeLedger(t, two)
	counts(t, one, 5, Cycle{})
	for _, l := range []*Ledger{one, two} {
		redis.put(instancesKey, l.Instance(), strconv.FormatInt(time.Now().Unix(), 10))
	}
	sender, reader := quietMirror(t, one, conn), quietMirror(t, two, conn)
	flushed(t, sender)
	if o := sender.shared.Load(); o.Form != FormHour {
		t.Errorf("before the other said anything: %v", o)
	}
	for _, m := range []*Mirror{reader, sender} {
		if err := m.Agree(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		if want, got := ownHours(t, one), readHours(t, reader, Cycle{}); len(want) == 0 || !slices.Equal(want, got) {
			t.Errorf("%s: the gateway has\n%q\nothers read\n%q", when, want, got)
		}
	}
	flushed(t, sender)
	check("sent again")
	redis.put(sumsKey(shardOf{one.Instance(), Shard("acme")}), schemaField, "1") // as an earlier build of this one left it
	if err := sender.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("set right")
}

// An hour that an older build wrote without its period is in one of those that its gateway has sums of; if that is none, in
// that of the cycle in force.
func TestPeriodOfHoursWithoutOne(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	from := func(at time.Time) Cycle { return Cycle{Anchor: at} }
	early, late, midway := from(at(5, 0, 0)), from(at(10, 0, 0)), from(at(12, 7, 20))
	for _, tt := range []struct {
		name  string
		has   []Cycle // of the gateway's sums of periods
		hour  string
		now   Cycle
		want  Cycle
		start time.Time
		end   time.Time
	}{
		{"the cycle is the same", []Cycle{early}, "2026111207", early, early, at(12, 7, 0), at(12, 8, 0)},
		{"the cycle changed since", []Cycle{early}, "2026111207", late, early, at(12, 7, 0), at(12, 8, 0)},
		{"it changed to the month", []Cycle{late}, "2026111207", Cycle{}, late, at(12, 7, 0), at(12, 8, 0)},
		{"it has both", []Cycle{early, late}, "2026111207", early, early, at(12, 7, 0), at(12, 8, 0)},
		{"it has both, and the cycle changed since", []Cycle{early, late}, "2026111207", Cycle{}, late, at(12, 7, 0), at(12, 8, 0)},
		{"a period that began later", []Cycle{early, late}, "2026110907", Cycle{}, early, at(9, 7, 0), at(9, 8, 0)},
		{"a period that began within the hour", []Cycle{midway}, "20261112072000", late, midway, at(12, 7, 20), at(12, 8, 0)},
		{"a period that ended within the hour", []Cycle{from(at(12, 7, 20).AddDate(0, -1, 0))}, "2026111207", late, from(at(12, 7, 20).AddDate(0, -1, 0)), at(12, 7, 0), at(12, 7, 20)},
		{"no sums of periods", nil, "2026111207", late, late, at(12, 7, 0), at(12, 8, 0)},
	} {
		fields := map[string]string{"h|" + tt.hour + "|acme|p|f|eu|invocations": "4", "_h": "8"}
		start, err := parseHour(tt.hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range tt.has {
			period := c.At(start)
			if period.Start.After(start) {
				period = c.At(c.Anchor)
			}
			fields["m|"+period.ID+"|acme|p|f|eu|invocations"] = "9"
			fields["m|2026-11|acme|p|another|eu|invocations"] = "9"
			fields["m|2026-11|globex|p|f|eu|invocations"] = "9"
		}
		entries, err := entriesOf("one", "", fields)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Span == Hourly })
		hour, period, err := entries[i].Hour(tt.now)
		if err != nil || period.ID != tt.want.At(start).ID || !hour.Start.Equal(tt.start) || !hour.End.Equal(tt.end) {
			t.Errorf("%s: %v in %v, %v, want %v", tt.name, hour, period, err, tt.want.At(start))
		}
	}
}
