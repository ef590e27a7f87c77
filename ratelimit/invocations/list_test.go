package invocations_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

func open(t *testing.T, dir string) *metering.Ledger {
	t.Helper()
	l, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLedger(t, l) })
	return l
}

// closed are the ledgers that tests closed.
var closed = make(map[*metering.Ledger]bool)

func closeLedger(t testing.TB, l *metering.Ledger) {
	t.Helper()
	if closed[l] {
		return
	}
	closed[l] = true
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func callOf(t *testing.T, l *metering.Ledger, project, function, region string, at time.Time) metering.Invocation {
	t.Helper()
	s, err := l.Subject(metering.Subject{Organization: "acme", Project: project, Function: function})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Region(region)
	if err != nil {
		t.Fatal(err)
	}
	return metering.Invocation{Subject: s, Region: r, At: at}
}

func admit(t *testing.T, l *metering.Ledger, call metering.Invocation) uint64 {
	t.Helper()
	seq, err := l.Admit(call)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func done(t *testing.T, l *metering.Ledger, seq uint64, call metering.Invocation, e metering.Ending) {
	t.Helper()
	if err := l.Done(seq, call, e); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, l *metering.Ledger, refused *invocations.Refusals, q invocations.Query) invocations.Answer {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	a, err := invocations.List(context.Background(), l.RecordLogs(), refused, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// of says which invocations an answer has, by function and status.
func of(a invocations.Answer) string {
	var all []string
	for i := range a.Invocations {
		all = append(all, word(&a.Invocations[i]))
	}
	return strings.Join(all, " ")
}

func word(i *invocations.Invocation) string {
	name, status := "-", "running"
	if i.Function != nil {
		name = *i.Function
	}
	if i.Status != nil {
		status = fmt.Sprint(*i.Status)
	}
	return name + ":" + status
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// someCalls records, a minute apart, six calls: one runs, and one was never sent.
func someCalls(t *testing.T, l *metering.Ledger) {
	t.Helper()
	for i, c := range []struct {
		project, function, region string
		status                    int
		took                      time.Duration
		cut                       bool
	}{
		{"shop", "hello", "eu", 200, 20 * time.Millisecond, false},
		{"shop", "pay", "us", 502, 3 * time.Second, false},
		{"shop", "hello", "us", 404, 2 * time.Second, false},
		{"blog", "hello", "eu", 500, time.Millisecond, true},
		{"blog", "feed", "eu", 0, 0, false},
		{"blog", "gone", "eu", -1, 0, false},
	} {
		call := callOf(t, l, c.project, c.function, c.region, noon.Add(time.Duration(i)*time.Minute))
		seq := admit(t, l, call)
		switch {
		case c.status > 0:
			done(t, l, seq, call, metering.Ending{Status: c.status, Attempts: 1, Duration: c.took, Cut: c.cut, BytesIn: 7, BytesOut: 9})
		case c.status < 0:
			if err := l.Void(seq, call); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestList(t *testing.T) {
	l := open(t, t.TempDir())
	someCalls(t, l)
	for _, tt := range []struct {
		name string
		q    invocations.Query
		want string
	}{
		{"all", invocations.Query{}, "feed:running hello:500 hello:404 pay:502 hello:200"},
		{"limit", invocations.Query{Limit: 2}, "feed:running hello:500"},
		{"project", invocations.Query{Project: "blog"}, "feed:running hello:500"},
		{"function", invocations.Query{Function: "hello"}, "hello:500 hello:404 hello:200"},
		{"function of a project", invocations.Query{Project: "shop", Function: "hello"}, "hello:404 hello:200"},
		{"region", invocations.Query{Region: "us"}, "hello:404 pay:502"},
		{"class", invocations.Query{Status: invocations.Statuses{First: 500, Last: 599}}, "hello:500 pay:502"},
		{"status", invocations.Query{Status: invocations.Statuses{First: 404, Last: 404}}, "hello:404"},
		{"slow", invocations.Query{Slow: 2 * time.Second}, "hello:404 pay:502"},
		{"since", invocations.Query{Since: noon.Add(3 * time.Minute)}, "feed:running hello:500"},
		{"until", invocations.Query{Until: noon.Add(2 * time.Minute)}, "pay:502 hello:200"},
		{"since and until", invocations.Query{Since: noon.Add(time.Minute), Until: noon.Add(2 * time.Minute)}, "pay:502"},
		{"another name", invocations.Query{Function: "nope"}, ""},
	} {
		a := list(t, l, nil, tt.q)
		if got := of(a); got != tt.want || len(a.Findings) > 0 {
			t.Errorf("%s: %q, want %q; %+v", tt.name, got, tt.want, a.Findings)
		}
	}
}

// What the ledger does not record is null, and what it records is as it was.
func TestWhatIsKnown(t *testing.T) {
	l := open(t, t.TempDir())
	someCalls(t, l)
	a := list(t, l, nil, invocations.Query{})
	if a.RecordsFrom == nil || !a.RecordsFrom.Equal(noon) || a.RefusalsFrom != nil {
		t.Errorf("records from %v, refusals from %v", a.RecordsFrom, a.RefusalsFrom)
	}
	running, broken, ok := a.Invocations[0], a.Invocations[1], a.Invocations[4]
	if running.Status != nil || running.Outcome != nil || running.ExecutionTimeMS != nil || running.Cut != nil || running.LedgerRecordID == nil {
		t.Errorf("running: %+v", running)
	}
	if !*broken.Cut || broken.Outcome != nil || *broken.ProjectRef != "blog" {
		t.Errorf("broken off: %+v", broken)
	}
	if *ok.Outcome != "complete" || *ok.ExecutionTimeMS != 20 || *ok.Attempts != 1 || *ok.BytesIn != 7 || *ok.BytesOut != 9 || *ok.Region != "eu" ||
		ok.Timestamp != noon.UnixMicro() || *ok.LedgerRecordID != 1 || ok.SBRequestID != nil || ok.RegionReason != nil || ok.Gateway != l.Instance() {
		t.Errorf("complete: %+v", ok)
	}
}

// waitFor polls until ok.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within a minute", what)
}

// manyCalls records n calls a second apart, which end a second after the next one began.
func manyCalls(t *testing.T, l *metering.Ledger, n int) {
	t.Helper()
	call := callOf(t, l, "shop", "hello", "eu", noon)
	before, last := call, uint64(0)
	for i := range n {
		call.At = noon.Add(time.Duration(i) * time.Second)
		seq := admit(t, l, call)
		if last != 0 {
			done(t, l, last, before, metering.Ending{Status: 200 + i%7, Duration: 2 * time.Second})
		}
		before, last = call, seq
	}
}

// archived has the ledger in a directory archive its full segments, and returns it open.
func archived(t *testing.T, l *metering.Ledger, dir string) (again *metering.Ledger, archives []string) {
	t.Helper()
	closeLedger(t, l)
	again = open(t, dir)
	waitFor(t, "an archive", func() bool {
		archives, _ = filepath.Glob(filepath.Join(dir, "inst", "*", "archive", "*.zst"))
		segments, _ := filepath.Glob(filepath.Join(dir, "inst", "*", "wal", "*01.seg"))
		return len(archives) > 0 && len(segments) == 0
	})
	return again, archives
}

// Invocations are found in archives as in segments, also where one ends in a later file than it began in. Only as many
// files are read as the answer needs.
func TestListArchives(t *testing.T) {
	dir, n := t.TempDir(), 20_000
	l := open(t, dir)
	manyCalls(t, l, n)
	before := list(t, l, nil, invocations.Query{Limit: 10 * n})
	l, _ = archived(t, l, dir)
	after := list(t, l, nil, invocations.Query{Limit: 10 * n})
	if len(before.Invocations) != n || of(after) != of(before) || len(after.Findings) > 0 {
		t.Fatalf("%d before, %d in archives, %+v", len(before.Invocations), len(after.Invocations), after.Findings)
	}
	if word(&after.Invocations[0]) != "hello:running" || word(&after.Invocations[1]) == "hello:running" {
		t.Errorf("the latest are %s and %s", word(&after.Invocations[0]), word(&after.Invocations[1]))
	}
	few := list(t, l, nil, invocations.Query{Limit: 3})
	if of(few) != of(invocations.Answer{Invocations: before.Invocations[:3]}) || few.Read >= after.Read || few.RecordsFrom != nil {
		t.Errorf("%d of %d records read for %s, from %v", few.Read, after.Read, of(few), few.RecordsFrom)
	}
	since := list(t, l, nil, invocations.Query{Since: noon.Add(time.Duration(n-10) * time.Second), Limit: 100})
	if len(since.Invocations) != 10 || since.Read >= after.Read {
		t.Errorf("%d since, %d of %d records read", len(since.Invocations), since.Read, after.Read)
	}
	long := list(t, l, nil, invocations.Query{Since: noon.Add(-time.Hour), Until: noon.Add(2 * time.Second), Limit: 100})
	if len(long.Invocations) != 2 || long.RecordsFrom == nil || !long.RecordsFrom.Equal(noon) {
		t.Errorf("%s, from %v", of(long), long.RecordsFrom)
	}
}

// A damaged archive is said and left out; what follows it is listed.
func TestListDamaged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	manyCalls(t, l, 20_000)
	l, archives := archived(t, l, dir)
	data, err := os.ReadFile(archives[0])
	if err == nil {
		data[len(data)/2] ^= 1
		err = os.WriteFile(archives[0], data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := list(t, l, nil, invocations.Query{Limit: 100_000})
	if len(a.Findings) != 1 || a.Findings[0].File != archives[0] || a.Findings[0].Remedy == "" || len(a.Invocations) == 0 {
		t.Errorf("%d invocations, found %+v", len(a.Invocations), a.Findings)
	}
}

// The logs that a process took over are read too, and their order is that of time.
func TestListSeveralLogs(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	for i, l := range []*metering.Ledger{first, second, first, second} {
		call := callOf(t, l, "shop", fmt.Sprint("f", i), "eu", noon.Add(time.Duration(i)*time.Second))
		done(t, l, admit(t, l, call), call, metering.Ending{Status: 200})
	}
	if got := of(list(t, first, nil, invocations.Query{})); got != "f2:200 f0:200" {
		t.Errorf("its own: %s", got)
	}
	closeLedger(t, first)
	closeLedger(t, second)
	both := open(t, dir)
	if got := of(list(t, both, nil, invocations.Query{})); got != "f3:200 f2:200 f1:200 f0:200" {
		t.Errorf("with the one that it took over: %s", got)
	}
	if got := of(list(t, both, nil, invocations.Query{Limit: 3})); got != "f3:200 f2:200 f1:200" {
		t.Errorf("the latest: %s", got)
	}
}

func TestListCancelled(t *testing.T) {
	l := open(t, t.TempDir())
	someCalls(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := invocations.List(ctx, l.RecordLogs(), nil, invocations.Query{Limit: 1}); err == nil {
		t.Error("it went on")
	}
}

func TestParseStatuses(t *testing.T) {
	for text, want := range map[string]invocations.Statuses{"5xx": {500, 599}, "4XX": {400, 499}, "502": {502, 502}} {
		if got, err := invocations.ParseStatuses(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5x", "xx", "0xx", "99", "1000", "-500", "5xxx", "all"} {
		if got, err := invocations.ParseStatuses(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// A follower tells of each end once, whether the first answer had the admission, the end, or neither.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	refused := invocations.NewRefusals()
	begin := func(name string) func(status int) {
		call := callOf(t, l, "shop", name, "eu", l.Now())
		seq := admit(t, l, call)
		return func(status int) { done(t, l, seq, call, metering.Ending{Status: status}) }
	}
	begin("before")(200)
	running := begin("running")
	f, a, err := invocations.Follow(context.Background(), l.RecordLogs(), refused, invocations.Query{Limit: 10})
	if err != nil || of(a) != "running:running before:200" {
		t.Fatalf("%s, %v", of(a), err)
	}
	next := func() string {
		all, found := f.Next(l.RecordLogs(), refused)
		if len(found) > 0 {
			t.Errorf("found %+v", found)
		}
		return of(invocations.Answer{Invocations: all})
	}
	if got := next(); got != "" {
		t.Errorf("nothing ended, and %s is told", got)
	}
	begin("new")(500)
	running(201)
	refused.Add(refusal("shop", "hello", time.Now()))
	if got := next(); got != "new:500 running:201 hello:429" {
		t.Errorf("told: %s", got)
	}
	if got := next(); got != "" {
		t.Errorf("told again: %s", got)
	}
	const many = 40_000 // over two ends of files
	told, unread := 0, 0
	for i := range many {
		begin("many")(200)
		if unread++; unread == 1+i/3 || i == many-1 {
			all, found := f.Next(l.RecordLogs(), refused)
			told, unread = told+len(all), 0
			if len(found) > 0 {
				t.Fatalf("found %+v", found)
			}
		}
	}
	if told != many {
		t.Errorf("%d of %d were told", told, many)
	}
}

// The clock of the machine is set back: what is recorded meanwhile is listed, and the order stays.
func TestListClockSetBack(t *testing.T) {
	now := noon
	l, err := metering.Open(metering.Config{Dir: t.TempDir(), Now: func() time.Time { return now }, Elapsed: func() time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLedger(t, l) })
	var want []string
	for i, at := range []time.Duration{0, time.Minute, -time.Hour, -time.Hour + time.Minute, 2 * time.Minute} {
		now = noon.Add(at)
		name := fmt.Sprint("f", i)
		call := callOf(t, l, "shop", name, "eu", l.Now())
		done(t, l, admit(t, l, call), call, metering.Ending{Status: 200})
		want = append(want, name+":200")
	}
	slices.Reverse(want)
	if got := of(list(t, l, nil, invocations.Query{Since: noon})); got != strings.Join(want, " ") {
		t.Errorf("%s, want %v", got, want)
	}
	if got := of(list(t, l, nil, invocations.Query{Limit: 2})); got != strings.Join(want[:2], " ") {
		t.Errorf("the latest two: %s", got)
	}
}
