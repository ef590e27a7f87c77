package billing

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// bill is the answer to a question that can be answered.
func (f *fixture) bill(q Query) []OrganizationBill {
	f.t.Helper()
	answer, err := f.Bill(f.t.Context(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer.Organizations
}

// A bill adds up the line items, is final when its period is over and they are, and has each package once that the overage begins.
func TestBill(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	if got := f.bill(Query{}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	f.call(4, called)
	f.clock.forward(time.Hour)
	f.call(2, called)
	want := OrganizationBill{
		ID:          "acme",
		Plan:        "team",
		Period:      november,
		State:       usage.Provisional,
		Included:    3,
		Invocations: 6,
		Over:        3,
		Packages:    2,
		AmountMinor: 200,
		Amount:      "2.00",
		Currency:    "USD",
		Terms: []BillTerm{{
			From:        begins.Truncate(time.Hour),
			Plan:        "team",
			PlanRev:     pays.Revision(),
			Included:    3,
			Package:     2,
			Price:       "1.00",
			Invocations: 6,
			Packages:    2,
			AmountMinor: 200,
			Amount:      "2.00",
		}},
	}
	if got := f.bill(Query{}); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	f.clock.forward(2 * time.Hour) // all lines are final, the period is not over
	if got := f.bill(Query{Organization: "acme"}); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	f.clock.forward(20 * 24 * time.Hour)
	if got := f.bill(Query{}); len(got) != 0 {
		t.Errorf("of December: %+v", got)
	}
	want.State = usage.Final
	if got := f.bill(Query{Month: november.Start}); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Amounts of two currencies are not added up.
func TestBillInTwoCurrencies(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(5, called)
	f.clock.forward(2 * time.Hour)
	f.bill(Query{})
	f.plan.accounts[0].Price.Currency = "EUR"
	f.bill(Query{}) // the store learns of it
	f.clock.forward(2 * time.Minute)
	f.call(2, called)
	got := f.bill(Query{})
	if len(got) != 2 || got[0].Currency != "USD" || got[0].Invocations != 5 || got[1].Currency != "EUR" || got[1].Invocations != 2 {
		t.Errorf("%+v", got)
	}
}

// The line items of a query are written in every format, and add up to the same.
func TestSelect(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays), account("other", soft, pays))
	others := called
	others.Subject.Organization = "other"
	f.call(4, called)
	f.call(1, others)
	lines, err := f.Select(t.Context(), Query{Organization: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range usage.Formats() {
		as := ExportFormat{Format: usage.Format(format)}
		if err := as.Validate(); err != nil {
			t.Error(err)
		}
		var out bytes.Buffer
		totals, err := lines.Write(&out, as)
		if err != nil || totals.Quantity != 4 || totals.AmountMinor != 100 || totals.Currency != "USD" {
			t.Errorf("%s: %+v, %v", format, totals, err)
		}
		if !strings.Contains(out.String(), "acme") || strings.Contains(out.String(), "other") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
	for want, wrong := range map[string]ExportFormat{
		`format "xml": allowed are csv, `: {Format: "xml"},
		`FOCUS "0.9": allowed are `:       {Format: usage.FOCUS, FOCUS: usage.FOCUSOptions{Version: "0.9"}},
	} {
		if err := wrong.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Line items are kept for longer than what was counted: their organization is known.
func TestSelectOfThePast(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(1, called)
	f.lines()
	f.change(func(p *plan) { p.accounts = nil })
	if got := f.bill(Query{Organization: "acme"}); len(got) != 1 || got[0].Invocations != 1 {
		t.Errorf("%+v", got)
	}
}

// Adjustments are listed in the order in which they were made, those of a month, or of an organization.
func TestAdjustments(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(9, called)
	last := begins.AddDate(0, -1, 0)
	for i, at := range []*time.Time{nil, &last} {
		o := order()
		o.Units, o.At = int64(i+1), at
		if _, err := f.Adjust(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		query Query
		want  []int64
	}{
		"all":               {Query{}, []int64{1, 2}},
		"of a month":        {Query{Month: november.Start}, []int64{1}},
		"of another month":  {Query{Month: november.Start.AddDate(0, -1, 0)}, []int64{2}},
		"of its own":        {Query{Organization: "acme"}, []int64{1, 2}},
		"of no such period": {Query{Month: november.Start.AddDate(1, 0, 0)}, nil},
	} {
		answer, err := f.Adjustments(tt.query)
		if err != nil || answer.Adjustments == nil || answer.Period != nil {
			t.Fatalf("%s: %+v, %v", name, answer, err)
		}
		var units []int64
		for _, a := range answer.Adjustments {
			units = append(units, a.Units)
			if a.Organization != "acme" || a.Operator != "ada" || a.Made.IsZero() {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if len(units) != len(tt.want) || len(units) > 0 && units[0] != tt.want[0] {
			t.Errorf("%s: %v, want %v", name, units, tt.want)
		}
	}
}

// A line item is proved by its records; what another gateway counted of it is in Redis.
func TestProof(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(3, called)
	o := order()
	if _, err := f.Adjust(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	own := f.lines()[0]
	p, err := f.Proof(t.Context(), strings.ToUpper(own.LineID))
	if err != nil || !p.OK || !p.Intact || p.Line.LineID != own.LineID || len(p.Sources) != 1 || p.Price != (ProofPrice{2, "1.00"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	s := p.Sources[0]
	want := ProofSums{Quantity: 2, Invocations: 3, Completed: 3, Adjusted: -1}
	if s.Gateway != f.Ledger().Instance() || !s.Here || s.Matches == nil || !*s.Matches || s.Line != want || s.Redis != nil {
		t.Errorf("%+v", s)
	}
	r := s.Records
	if r.ProofSums != want || r.Admitted != 3 || r.Ended != 3 || r.First != 1 || r.Last != r.Read || len(r.Adjustments) != 1 || r.Adjustments[0].Units != -1 ||
		len(r.Files) != 1 || r.Files[0].Records != 7 || r.Damage != "" || len(r.SHA256) != 64 {
		t.Errorf("%+v", r)
	}
	for want, id := range map[string]string{
		"must be the line_id of an export": "x",
		"this gateway has no such line":    strings.Repeat("0", 32),
	} {
		if _, err := f.Proof(t.Context(), id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The records of another gateway are not here; Redis has their sums, or none any more.
func TestProofOfAnotherGateway(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	m := &mirror{sums: []metering.Entry{
		entry(metering.Monthly, "2026-11", 4), entry(metering.Hourly, "2026111814", 4), entry(metering.Hourly, "2026111813", 9),
	}}
	f.with(m)
	var line usage.Line
	for _, l := range f.lines() {
		if l.Quantity == 4 {
			line = l
		}
	}
	p, err := f.Proof(t.Context(), line.LineID)
	if err != nil || !p.OK || len(p.Sources) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	s := p.Sources[0]
	if s.Gateway != "other" || s.Here || s.Records != nil || s.Matches != nil || s.Line.Invocations != 4 || s.Redis == nil || s.Redis.Invocations != 4 {
		t.Errorf("%+v", s)
	}
	m.sums = nil
	if p, err := f.Proof(t.Context(), line.LineID); err != nil || p.Sources[0].Redis != nil {
		t.Errorf("%+v, %v", p, err)
	}
}
