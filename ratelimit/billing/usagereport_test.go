package billing

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// november is the period of the tests.
var november = Period{
	ID:    "2026-11",
	Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	End:   time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
}

// refuse answers a request without an invocation.
func (f *fixture) refuse(s metering.Subject, status int) {
	f.t.Helper()
	r := f.Receive()
	r.Refused(s, status)
	if err := r.Finish(metering.Ending{}); err != nil {
		f.t.Error(err)
	}
}

// usage is the answer to a question that can be answered.
func (f *fixture) usage(q UsageQuery) []OrganizationUsage {
	f.t.Helper()
	answer, err := f.Usage(f.t.Context(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer.Organizations
}

// Invocations, adjustments and refused requests are with their organization; invocations that run are unfinished.
func TestUsage(t *testing.T) {
	accounts := []Account{account("", soft, pays), account("acme", soft, pays), account("idle", soft, pays)}
	f := newFixture(t, accounts...)
	f.refuse(metering.Subject{Organization: "acme", Project: "p"}, 401)
	f.refuse(metering.Subject{}, 404)
	f.refuse(metering.Subject{}, 404)
	f.end() // or those of the last second are missing
	f = reopen(t, f.dir, f.clock, accounts...)
	f.call(3, called)
	elsewhere := called
	elsewhere.Subject.Function, elsewhere.Region = "g", "us"
	f.call(1, elsewhere)
	running := f.admitted()
	if err := running.Send(&called); err != nil {
		t.Fatal(err)
	}
	o := order()
	o.Units = 2
	if _, err := f.Adjust(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	nothing := []ProjectUsage{}
	want := []OrganizationUsage{
		{Period: november, Refused: map[string]uint64{"404": 2}, Projects: nothing},
		{
			ID:          "acme",
			Period:      november,
			Invocations: 5,
			Adjusted:    2,
			Unfinished:  1,
			Refused:     map[string]uint64{"401": 1},
			Projects: []ProjectUsage{{Ref: "p", Invocations: 5, Functions: []FunctionUsage{
				{Slug: "f", Region: "eu", Invocations: 4, Adjusted: 2},
				{Slug: "g", Region: "us", Invocations: 1},
			}}},
		},
		{ID: "idle", Period: november, Refused: map[string]uint64{}, Projects: nothing},
	}
	if got := f.usage(UsageQuery{}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := f.usage(UsageQuery{Query: Query{Organization: "acme"}}); !reflect.DeepEqual(got, want[1:2]) {
		t.Errorf("%+v", got)
	}
	if err := running.Finish(metering.Ending{Status: 200}); err != nil {
		t.Error(err)
	}
}

// In a later month the one before is answered by its name, without the organizations that used nothing in it.
func TestUsageOfAMonth(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays), account("idle", soft, pays))
	f.call(2, called)
	f.clock.forward(20 * 24 * time.Hour)
	if got := f.usage(UsageQuery{}); len(got) != 2 || got[0].Period.ID != "2026-12" || got[0].Invocations != 0 {
		t.Errorf("%+v", got)
	}
	got := f.usage(UsageQuery{Query: Query{Month: november.Start}})
	if len(got) != 1 || got[0].ID != "acme" || got[0].Period != november || got[0].Invocations != 2 {
		t.Errorf("%+v", got)
	}
}

// The month of a period is that in which it starts in its own time zone.
func TestUsageOfAMonthInAZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	allowance := soft
	allowance.Cycle.Zone = berlin
	f := newFixture(t, account("acme", allowance, pays))
	d := called
	d.Subject.Cycle = allowance.Cycle
	f.call(1, d) // the period starts in UTC's October
	if got := f.usage(UsageQuery{Query: Query{Month: november.Start}}); len(got) != 1 || got[0].Period.ID != "20261101+Europe/Berlin" {
		t.Errorf("%+v", got)
	}
	if got := f.usage(UsageQuery{Query: Query{Month: november.Start.AddDate(0, -1, 0)}}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// What other gateways counted is added; an organization that only they counted is known.
func TestUsageOfOtherGateways(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(2, called)
	foreign := entry(metering.Monthly, "2026-11", 7)
	foreign.Subject.Organization = "theirs"
	m := &mirror{sums: []metering.Entry{entry(metering.Monthly, "2026-11", 4), entry(metering.Hourly, "2026111814", 4), foreign}}
	f.with(m)
	got := f.usage(UsageQuery{})
	if len(got) != 2 || got[0].Invocations != 6 || len(got[0].Projects[0].Functions) != 2 || got[1].ID != "theirs" || got[1].Invocations != 7 {
		t.Errorf("%+v", got)
	}
	m.fails = map[string]error{"PeerSums": errors.New("away")}
	// While the store is away, what this gateway counted is shown, and said to be that.
	away, err := f.Usage(t.Context(), UsageQuery{Daily: true})
	if err != nil || len(away.Organizations) != 1 || away.Organizations[0].Invocations != 2 || !strings.Contains(away.Partial, "only what this gateway counted") {
		t.Errorf("%+v, %v", away, err)
	}
	m.fails = nil
	if whole, err := f.Usage(t.Context(), UsageQuery{}); err != nil || whole.Partial != "" {
		t.Errorf("%+v, %v", whole, err)
	}
}

// An organization is known that is in the catalogue or was counted; of others the error has the names of those.
func TestUsageOfUnknown(t *testing.T) {
	f := newFixture(t, account("", soft, pays), account("acme", soft, pays))
	gone := called
	gone.Subject.Organization = "gone"
	f.call(1, gone)
	if got := f.usage(UsageQuery{Query: Query{Organization: "gone"}}); len(got) != 1 || got[0].Invocations != 1 {
		t.Errorf("%+v", got)
	}
	for name, ask := range map[string]func(Query) error{
		"Usage":  func(q Query) error { _, err := f.Usage(t.Context(), UsageQuery{Query: q}); return err },
		"Bill":   func(q Query) error { _, err := f.Bill(t.Context(), q); return err },
		"Select": func(q Query) error { _, err := f.Select(t.Context(), q); return err },
	} {
		unknown, ok := errors.AsType[*UnknownError](ask(Query{Organization: "acne"}))
		if !ok {
			t.Errorf("%s answers", name)
			continue
		}
		slices.Sort(unknown.Known)
		if want := `organization "acne": no project in force has it, and nothing was counted of it`; unknown.Error() != want || !slices.Equal(unknown.Known, []string{"acme", "gone"}) {
			t.Errorf("%s: %v, known are %q", name, unknown, unknown.Known)
		}
	}
}

// Each day up to now is there, with what all gateways counted on it.
func TestUsageDaily(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(2, called)
	f.clock.forward(24 * time.Hour)
	f.call(3, called)
	got := f.usage(UsageQuery{Daily: true})
	if len(got) != 1 || len(got[0].Daily) != 19 {
		t.Fatalf("%+v", got)
	}
	for i, want := range map[int]DayUsage{0: {"2026-11-01", 0}, 17: {"2026-11-18", 2}, 18: {"2026-11-19", 3}} {
		if got[0].Daily[i] != want {
			t.Errorf("%+v, want %+v", got[0].Daily[i], want)
		}
	}
	f.change(func(p *plan) { p.missing = true })
	if _, err := f.Usage(t.Context(), UsageQuery{Daily: true}); !errors.Is(err, ErrNoPrices) {
		t.Error(err)
	}
}
