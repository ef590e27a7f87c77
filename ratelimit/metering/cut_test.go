package metering

import (
	"maps"
	"testing"
	"time"
)

// parts are the invocations of hourly sums by their starts.
func parts(t *testing.T, l *Ledger) map[string]uint64 {
	t.Helper()
	all, err := l.Usage()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]uint64)
	for _, u := range all {
		if u.Span == Hourly {
			hour, _ := u.Hour()
			if !hour.Start.Equal(u.Start) || hour.End.After(u.Start.Truncate(time.Hour).Add(time.Hour)) {
				t.Errorf("%+v is of %+v", u, hour)
			}
			found[u.Organization+" "+u.Start.Format("15:04")] += u.Invocations
		}
	}
	return found
}

// Where terms change, the sum of an hour ends and another begins: by the times of records, whenever they are written; of one
// organization only; and the same from the checkpoint, from the records and for a proof.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	l, clock := openWithClock(t, dir)
	set := func(to time.Time) { clock.micro.Store(to.UnixMicro()) }
	at := time.Date(2026, 11, 18, 14, 30, 0, 0, time.UTC)
	set(at)
	var ends []func() error
	call := func(organization string, n int) {
		t.Helper()
		s, err := l.Subject(Subject{Organization: organization, Project: "p", Function: "f"})
		if err != nil {
			t.Fatal(err)
		}
		region, err := l.Region("eu")
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			i := Invocation{Subject: s, Region: region, At: l.Now()}
			seq, err := l.Admit(i)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, func() error { return l.Done(seq, i, Ending{Status: 200}) })
		}
	}
	cut := func(minute int) {
		t.Helper()
		if err := l.Cut("acme", time.Date(2026, 11, 18, 14, minute, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	call("acme", 1)
	call("other", 5)
	cut(32)
	cut(32)
	call("acme", 2)
	set(at.Add(2 * time.Minute))
	call("acme", 4)
	set(at.Add(10*time.Minute + 30*time.Second))
	call("acme", 8)
	cut(36) // learnt too late: it takes effect with the next minute
	call("acme", 16)
	set(at.Add(11 * time.Minute))
	call("acme", 32)
	call("other", 5)
	cut(0)
	for _, end := range ends { // after the cuts
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]uint64{"acme 14:00": 3, "acme 14:32": 28, "acme 14:41": 32, "other 14:00": 10}
	if got := parts(t, l); !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	again, err := l.Recount(nil)
	if err != nil {
		t.Fatal(err)
	}
	read := make(map[string]uint64)
	for _, u := range again[0].Read {
		if u.Span == Hourly {
			read[u.Organization+" "+u.Start.Format("15:04")] += u.Invocations
		}
	}
	if !maps.Equal(read, want) {
		t.Errorf("the records give %v, want %v", read, want)
	}
	part := Part{Organization: "acme", Project: "p", Function: "f", Region: "eu", Period: "2026-11", Start: at.Add(2 * time.Minute), Origin: l.Origin()}
	proofs, err := l.Prove(part, map[string]uint64{l.Instance(): 1 << 60}, nil)
	if err != nil || proofs[0].Invocations != 28 || proofs[0].Ended != 28 {
		t.Errorf("%+v, %v", proofs, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, clock = openWithClock(t, dir)
	set(at.Add(12 * time.Minute))
	cut(32)
	cut(36)
	call("acme", 64)
	want["acme 14:41"] += 64
	if got := parts(t, l); !maps.Equal(got, want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// A log that begins after terms changed is cut where they did, however often and of however many organizations: nothing in it is
// from before. So is one that goes on, if its records are from before.
func TestCutOfANewLog(t *testing.T) {
	l, clock := openWithClock(t, t.TempDir())
	defer closeLedger(t, l)
	at := time.Date(2026, 11, 18, 14, 30, 0, 0, time.UTC)
	s, r := numbers(t, l, "acme", "eu")
	other, _ := numbers(t, l, "globex", "eu")
	cut := func(organization string, minute int) {
		t.Helper()
		if err := l.Cut(organization, time.Date(2026, 11, 18, 14, minute, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	clock.micro.Store(at.UnixMicro())
	cut("globex", 25)
	cut("acme", 20)
	cut("acme", 28)
	admit(t, l, s, r, at)
	admit(t, l, other, r, at)
	want := map[string]uint64{"acme 14:28": 1, "globex 14:25": 1}
	if got := parts(t, l); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	at = at.Add(20 * time.Minute)
	clock.micro.Store(at.UnixMicro())
	cut("acme", 42)
	cut("globex", 41)
	admit(t, l, s, r, at)
	admit(t, l, other, r, at)
	want["acme 14:42"], want["globex 14:41"] = 1, 1
	if got := parts(t, l); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
