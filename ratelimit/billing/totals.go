package billing

import (
	"context"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// TotalKey says what a total counts. Fields that are "" are not told apart.
type TotalKey struct{ Instance, Organization, Period, Project, Function, Region string }

// String returns the fields that are not "" in words.
func (k TotalKey) String() string {
	var parts []string
	if k.Instance != "" {
		parts = append(parts, "gateway "+k.Instance)
	}
	if k.Organization != "" {
		parts = append(parts, "organization "+k.Organization)
	}
	if k.Period != "" {
		parts = append(parts, k.Period)
	}
	place := k.Project + k.Function
	if k.Project != "" && k.Function != "" {
		place = k.Project + "/" + k.Function
	}
	if k.Region != "" {
		place = strings.TrimSpace(place + " in " + k.Region)
	}
	if place != "" {
		parts = append(parts, place)
	}
	return strings.Join(parts, ", ")
}

// Totals are numbers of units: invocations and what people adjusted.
type Totals map[TotalKey]int64

// add adds what was counted in a billing period, by whichever gateway.
func (t Totals) add(s metering.Subject, p metering.Period, region string, n metering.Sums) {
	if billed := n.Billed(); billed != 0 {
		t[TotalKey{
			Organization: s.Organization,
			Period:       p.ID,
			Project:      s.Project,
			Function:     s.Function,
			Region:       region,
		}] += billed
	}
}

// sum returns the sum of all totals.
func (t Totals) sum() (n int64) {
	for _, v := range t {
		n += v
	}
	return n
}

// Billed returns what an organization pays for in a billing period.
func (t Totals) Billed(organization, period string) (n int64) {
	for k, v := range t {
		if k.Organization == organization && k.Period == period {
			n += v
		}
	}
	return n
}

// Regions returns the regions where anything was counted, some perhaps several
// times.
func (t Totals) Regions() (names []string) {
	for k := range t {
		names = append(names, k.Region)
	}
	return names
}

// organizations returns the organizations of which anything was counted.
func (t Totals) organizations() map[string]bool {
	ids := make(map[string]bool)
	for k := range t {
		ids[k.Organization] = true
	}
	return ids
}

// Projects returns the projects of an organization of which anything was counted,
// some perhaps several times.
func (t Totals) Projects(organization string) (refs []string) {
	for k := range t {
		if k.Organization == organization {
			refs = append(refs, k.Project)
		}
	}
	return refs
}

// Functions returns the functions of a project of which anything was counted, some
// perhaps several times.
func (t Totals) Functions(organization, project string) (slugs []string) {
	for k := range t {
		if k.Organization == organization && k.Project == project {
			slugs = append(slugs, k.Function)
		}
	}
	return slugs
}

// Cycle returns the cycle by which an organization is billed at a time: the one
// that it has now, unless it had another one then.
func (t Totals) Cycle(organization string, at time.Time, now metering.Cycle) metering.Cycle {
	id, found := now.At(at).ID, now
	for k := range t {
		if k.Organization != organization {
			continue
		}
		if k.Period == id {
			return now
		}
		if had, p, ok := metering.CycleOf(k.Period); ok && p.Contains(at) {
			found = had
		}
	}
	return found
}

// othersParts adds up what other gateways with the same directory counted, as line items
// have it: each gateway brings its own part of them up to date once a minute. Where a
// Redis is shared, the sums of all gateways are known from there, and these are none.
type othersParts struct {
	opened *opened
	shared bool
	others map[string]bool // whether an instance log is another gateway's, of this directory
}

func (o *opened) othersParts() *othersParts {
	p := &othersParts{opened: o, shared: o.shared.Load() != nil, others: make(map[string]bool)}
	for _, own := range append(append(o.ledger.Orphans(), o.ledger.Copied()...), o.ledger.Instance()) {
		p.others[own] = false
	}
	return p
}

// add adds the parts of a line item to totals.
func (p *othersParts) add(totals Totals, item *usage.Found) {
	if p.shared {
		return
	}
	for _, s := range item.Sources {
		if _, asked := p.others[s.Instance]; !asked {
			p.others[s.Instance] = p.opened.ledger.HasLog(s.Instance)
		}
		if p.others[s.Instance] {
			sums := sumsOf(s)
			totals[totalKeyOf(&item.Line)] += sums.Billed()
		}
	}
}

// updateAll is Update, and its totals have what other gateways with the same directory
// counted, too.
func (e *Engine) updateAll(ctx context.Context) (Totals, error) {
	totals, err := e.Update(ctx)
	if err != nil {
		return nil, err
	}
	o := e.opened.Load()
	parts := o.othersParts()
	if parts.shared {
		return totals, nil
	}
	for item, err := range o.lines.Sourced(func(string, string) bool { return true }) {
		if err != nil {
			return nil, err
		}
		parts.add(totals, &item)
	}
	return totals, nil
}

// totalKeyOf returns the total that a line item is a part of.
func totalKeyOf(l *usage.Line) TotalKey {
	return TotalKey{
		Organization: l.AccountID,
		Period:       l.Period,
		Project:      l.ProjectID,
		Function:     l.FunctionID,
		Region:       l.Region,
	}
}
