package billing

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

func TestBackoff(t *testing.T) {
	for failures, most := 1, exportRetry; failures < 30; failures++ {
		if got := backoff(failures); got < most/2 || got > most {
			t.Errorf("after %d failures it is waited %s, want %s to %s", failures, got, most/2, most)
		}
		most = min(2*most, exportRetryMost)
	}
}

// sink is an exporter.
type sink struct {
	name, former string
	err          error // of what it is told next
}

func (s *sink) Name() string       { return s.name }
func (s *sink) FormerName() string { return s.former }
func (*sink) MaxBatch() int        { return 10 }
func (*sink) Guarantee() string    { return "none" }

// deliverer is one that takes lines.
type deliverer struct {
	sink
	got []usage.Line
}

func (d *deliverer) Deliver(_ context.Context, b usage.Batch) error {
	if d.err != nil {
		return d.err
	}
	d.got = append(d.got, b.Lines...)
	return nil
}

// service is one that takes messages, and can be asked what it has.
type service struct {
	sink
	verdict  usage.Verdict // of all messages
	got      []usage.Message
	stranger string // an organization that it does not know
	sumErr   error
}

func (*service) Span() time.Duration             { return time.Hour }
func (s *service) Prepare(context.Context) error { return s.err }

func (*service) Items(lines []usage.Line) (items []usage.Item) {
	for _, l := range lines {
		items = append(items, usage.Item{ID: l.LineID, Meter: "calls", Account: l.AccountID, Start: l.WindowStart, End: l.WindowEnd, Value: l.Quantity})
	}
	return items
}

func (s *service) Send(_ context.Context, messages []usage.Message) ([]usage.Verdict, error) {
	verdicts := make([]usage.Verdict, len(messages))
	for i := range verdicts {
		verdicts[i] = s.verdict
	}
	if s.verdict == (usage.Verdict{}) {
		s.got = append(s.got, messages...)
	}
	return verdicts, nil
}

// System implements usage.SumSource.
func (*service) System() string { return "meters" }

// Sum implements usage.SumSource.
func (s *service) Sum(_ context.Context, q usage.SumQuery) (has int64, known bool, err error) {
	for _, m := range s.got {
		if m.Meter == q.Meter && m.Account == q.Organization && !m.Start.Before(q.Start) && !m.End.After(q.End) {
			has += m.Delta
		}
	}
	return has, q.Organization != s.stranger, s.sumErr
}

var (
	_ usage.Deliverer = (*deliverer)(nil)
	_ usage.SumSource = (*service)(nil)
	_ usage.Renamed   = (*service)(nil)
)

// final makes an hour with calls of acme final.
func (f *fixture) final(calls int) {
	f.t.Helper()
	f.call(calls, called)
	f.clock.forward(time.Hour)
	f.lines()
}

// export is a round of an exporter.
func (f *fixture) export(s usage.Sink) exportState {
	x := f.open.exports
	if x.leaving.Swap(false) {
		defer x.leaving.Store(true)
	}
	x.once(f.t.Context(), s)
	return x.state(s.Name())
}

// sinks has the engine know exporters, whose only rounds are those of export: its own begin
// after some seconds, in which a slow machine is not through with a test.
func (f *fixture) sinks(list ...usage.Sink) {
	f.open.exports.leaving.Store(true)
	f.change(func(p *plan) { p.sinks = list })
}

// Each exporter is told each line once, and left alone for a minute then.
func TestExport(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(3)
	d, s := &deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}}
	for round := range 2 {
		for _, to := range []usage.Sink{d, s} {
			before := f.clock.now()
			state := f.export(to)
			if state.failing() || state.standby() || state.worked.Before(before) || state.next.Before(before.Add(exportEvery)) {
				t.Errorf("%d, %s: %+v", round, to.Name(), state)
			}
			if want := 1 - round; state.result.Sent != want {
				t.Errorf("%d, %s: %d were sent, want %d", round, to.Name(), state.result.Sent, want)
			}
		}
	}
	if len(d.got) != 1 || d.got[0].Quantity != 3 || len(s.got) != 1 || s.got[0].Value != 3 {
		t.Errorf("told were %+v and %+v", d.got, s.got)
	}
	if n := f.logs.count("exported line items", `"exporter":"meter"`, `"sent":1`); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// What fails is tried again, later and later, or when the service says.
func TestExportFails(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(1)
	failure := errors.New("no route to host")
	d := &deliverer{sink: sink{name: "files", err: failure}}
	for failures := 1; failures < 4; failures++ {
		state := f.export(d)
		if wait := state.next.Sub(f.clock.now()); !state.failing() || state.failures != failures || wait > exportRetry<<(failures-1) {
			t.Errorf("%d: next in %s, %+v", failures, wait, state)
		}
	}
	if n := f.logs.count(`"level":"ERROR"`, "export of line items failed", failure.Error(), `"next":"2026-11-18T15:`); n != 3 {
		t.Errorf("logged %d times: %s", n, f.logs.text.String())
	}
	for after, want := range map[time.Duration]time.Duration{0: exportLook, time.Minute: time.Minute, 24 * time.Hour: exportRetryMost} {
		d.err = &usage.RetryError{After: after, Err: failure}
		if wait := f.export(d).next.Sub(f.clock.now()); wait > want || wait < want-500*time.Millisecond {
			t.Errorf("asked to wait %s, it is %s", after, wait)
		}
	}
	d.err = nil
	if state := f.export(d); state.failing() || state.failures != 0 || len(d.got) != 1 {
		t.Errorf("%+v", state)
	}
	logged := f.logs.count(`"level":"ERROR"`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.err = context.Canceled
	f.final(1)
	f.open.exports.once(ctx, d)
	if f.logs.count(`"level":"ERROR"`) != logged {
		t.Error("the end of the process is logged as a failure")
	}
}

// Held messages come again by themselves, rejected ones when a person says so.
func TestHeldAndRejected(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(2)
	s := &service{sink: sink{name: "meter"}, verdict: usage.Verdict{Held: "no customer"}}
	if state := f.export(s); state.result.Held["no customer"] != 1 || state.delivery.Due != 1 {
		t.Errorf("%+v", state)
	}
	if n := f.logs.count(`"level":"WARN"`, "line items held back", `"reason":"no customer"`, `"messages":1`); n != 1 {
		t.Errorf("logged %d times", n)
	}
	s.verdict = usage.Verdict{Rejected: "too old"}
	if state := f.export(s); state.result.Rejected != 1 || state.delivery.Rejected != 1 || !strings.HasSuffix(state.delivery.Reasons[0], ": too old") {
		t.Errorf("%+v", state)
	}
	s.verdict = usage.Verdict{}
	if state := f.export(s); state.result.Sent != 0 || state.delivery.Rejected != 1 {
		t.Errorf("it was sent again: %+v", state)
	}
	if err := f.open.exports.resend(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if state := f.export(s); state.result.Sent != 1 || state.delivery.Rejected != 0 || len(s.got) != 1 || s.got[0].Value != 2 {
		t.Errorf("it was not sent again: %+v", state)
	}
}

// One process of a machine exports, the others stand by.
func TestExportStandby(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(1)
	lock, err := metering.Lock(filepath.Join(f.dir, "export.lock"))
	if err != nil {
		t.Fatal(err)
	}
	d := &deliverer{sink: sink{name: "files"}}
	if state := f.export(d); !state.standby() || state.failing() || !errors.Is(state.err, errStandby) || state.failures != 0 || len(d.got) != 0 {
		t.Errorf("%+v", state)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if state := f.export(d); state.standby() || len(d.got) != 1 {
		t.Errorf("%+v", state)
	}
	if err := standby(usage.ErrNotLeader); !errors.Is(err, errStandby) || !errors.Is(err, usage.ErrNotLeader) {
		t.Error(err)
	}
}

// Under a new name an exporter is not told again what it was told under the former one.
func TestRenamedExporter(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(1)
	before, after := &service{sink: sink{name: "old"}}, &service{sink: sink{name: "new", former: "old"}}
	f.export(before)
	for range 2 {
		if state := f.export(after); state.failing() || len(after.got) != 0 {
			t.Errorf("%+v, got %+v", state, after.got)
		}
	}
	f.final(1)
	f.export(after)
	if len(before.got) != 1 || len(after.got) != 1 {
		t.Errorf("told were %+v and %+v", before.got, after.got)
	}
}

// Exporters are told by themselves what is new, when line items are up to date.
func TestExportsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, account("acme", soft, pays))
		d := &deliverer{sink: sink{name: "files"}}
		f.change(func(p *plan) { p.sinks = []usage.Sink{d} })
		f.call(1, called)
		f.clock.forward(time.Hour)
		time.Sleep(updateFirst + 2*exportLook)
		synctest.Wait()
		if len(d.got) != 1 {
			t.Errorf("told were %+v", d.got)
		}
		f.call(1, called)
		f.clock.forward(time.Hour)
		time.Sleep(2 * updateEvery)
		synctest.Wait()
		if len(d.got) != 2 {
			t.Errorf("told were %+v", d.got)
		}
		f.end()
	})
}

// pages are those of a store that gateways share.
type pages struct {
	usage.Pages
	followed, forgotten []string
	before              time.Time
}

func (p *pages) Follow(_ context.Context, service string) error {
	p.followed = append(p.followed, service)
	return nil
}

func (p *pages) Forget(_ context.Context, service string, before time.Time) error {
	p.forgotten, p.before = append(p.forgotten, service), before
	return nil
}

// Shared pages are copied by the gateways that stand by, and old ones removed by the one that sends, each 10 minutes.
func TestPagesAreTended(t *testing.T) {
	f := newFixture(t)
	p := new(pages)
	for _, step := range []struct {
		waits               bool
		followed, forgotten int
	}{{true, 1, 0}, {true, 1, 0}, {false, 1, 1}} {
		if step.forgotten > 0 {
			f.clock.forward(tendEvery)
		}
		if err := f.open.exports.tend(t.Context(), p, "meter", step.waits); err != nil {
			t.Error(err)
		}
		if len(p.followed) != step.followed || len(p.forgotten) != step.forgotten {
			t.Errorf("followed %v, forgotten %v, want %+v", p.followed, p.forgotten, step)
		}
	}
	if kept := f.clock.now().Sub(p.before).Round(time.Minute); kept != pagesKept {
		t.Errorf("pages are kept for %s", kept)
	}
}
