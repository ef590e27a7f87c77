package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions/spelling"
)

// usageAnswer is what `edgegate usage show` shows.
type usageAnswer struct {
	Organizations []organizationUsage `json:"organizations"`
}

type organizationUsage struct {
	ID          string       `json:"id"` // "" for projects that nobody pays for
	Period      periodAnswer `json:"period"`
	Invocations uint64       `json:"invocations"`
	Adjusted    int64        `json:"adjusted"`   // by people: they are billed, beside invocations
	Unfinished  uint64       `json:"unfinished"` // of which run, or whose gateway ended before them
	// Refused is how many requests this gateway answered without an invocation, by
	// status; those of unknown projects are with organization "".
	Refused  map[string]uint64 `json:"refused"`
	Projects []projectUsage    `json:"projects"`
	Daily    []dayUsage        `json:"daily,omitempty"` // where it is asked for
}

type periodAnswer struct {
	ID    string    `json:"id"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

type projectUsage struct {
	Ref         string          `json:"ref"`
	Invocations uint64          `json:"invocations"`
	Functions   []functionUsage `json:"functions"`
}

type functionUsage struct {
	Slug        string `json:"slug"`
	Region      string `json:"region"` // that it was first sent to
	Invocations uint64 `json:"invocations"`
	Adjusted    int64  `json:"adjusted"`
}

func period(p metering.Period) periodAnswer { return periodAnswer{p.ID, p.Start, p.End} }

// monthOf reads the month of a question, zero for the current period.
func monthOf(r *http.Request) (time.Time, error) {
	text := r.URL.Query().Get("period")
	if text == "" {
		return time.Time{}, nil
	}
	month, err := time.Parse("2006-01", text)
	if err != nil {
		return month, fmt.Errorf("period %q: must be a month such as 2026-11", text)
	}
	return month, nil
}

// usage tells what was used.
func (a *App) usage(r *http.Request) (any, error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, err
	}
	only := r.URL.Query().Get("organization")
	ledger, query := a.engine.Ledger(), billing.Query{Month: month}
	if ledger == nil {
		return nil, billing.ErrNotOpen
	}
	all, err := ledger.Usage()
	if err != nil {
		return nil, err
	}
	refusals, err := ledger.Refusals()
	if err != nil {
		return nil, err
	}
	now, report := ledger.Now(), newUsageReport()
	counted := make(map[string]bool) // the organizations that anything was ever counted of
	for _, o := range a.organizations() {
		id, t := allowanceOf(o)
		p := t.Cycle.At(now)
		if month.IsZero() {
			report.of(id, p)
		}
	}
	for _, u := range all {
		counted[u.Organization] = true
		p := u.Cycle.At(u.Start)
		if u.Span == metering.Monthly && billing.HasUnits(&u.Sums) && query.WantsPeriod(p, u.Cycle, now) {
			report.add(u, p)
		}
	}
	for _, u := range refusals {
		counted[u.Organization] = true
		if p := u.Cycle.At(u.Start); query.WantsPeriod(p, u.Cycle, now) {
			report.of(u.Organization, p).Refused[strconv.Itoa(u.Status)] += u.Requests
		}
	}
	if s := a.engine.Shared(); s != nil {
		others, err := s.Mirror().PeerSums(r.Context(), only)
		if err != nil {
			return nil, fmt.Errorf("reading what other gateways used: %w", err)
		}
		periods := a.engine.Cycles()
		for i := range others {
			counted[others[i].Subject.Organization] = true
			if u, p, ok := periods.Monthly(&others[i]); ok && query.WantsPeriod(p, u.Cycle, now) {
				report.add(u, p)
			}
		}
	}
	if err := a.knownOrganization(only, counted); err != nil {
		return nil, err
	}
	answer := report.answer(only)
	switch r.URL.Query().Get("daily") {
	case "", "false":
		return answer, nil
	case "true":
		err := a.addDays(r.Context(), &answer)
		return answer, err
	}
	return nil, fmt.Errorf("daily %q: allowed are true, false", r.URL.Query().Get("daily"))
}

// knownOrganization refuses an organization that is neither configured nor was
// ever counted; "" is all of them.
func (a *App) knownOrganization(id string, counted map[string]bool) error {
	if id == "" || counted[id] {
		return nil
	}
	ids := slices.Collect(maps.Keys(counted))
	for _, o := range a.organizations() {
		if o != nil {
			ids = append(ids, o.ID)
		}
	}
	if slices.Contains(ids, id) {
		return nil
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	return fmt.Errorf("organization %q: no project in force has it, and nothing was counted of it%s", id, spelling.DidYouMean(id, ids))
}

// usageReport puts sums into the shape of an answer.
type usageReport struct {
	organizations map[usageKey]*organizationUsage
	functions     map[usageKey]map[string]map[functionUsage]metering.Sums // by project
}

type usageKey struct {
	organization, period string
}

func newUsageReport() *usageReport {
	return &usageReport{make(map[usageKey]*organizationUsage), make(map[usageKey]map[string]map[functionUsage]metering.Sums)}
}

func (r *usageReport) of(id string, p metering.Period) *organizationUsage {
	key := usageKey{id, p.ID}
	o := r.organizations[key]
	if o == nil {
		o = &organizationUsage{ID: id, Period: period(p), Refused: make(map[string]uint64)}
		r.organizations[key] = o
		r.functions[key] = make(map[string]map[functionUsage]metering.Sums)
	}
	return o
}

func (r *usageReport) add(u metering.Usage, p metering.Period) {
	o := r.of(u.Organization, p)
	o.Invocations += u.Invocations
	o.Adjusted += u.Adjusted()
	o.Unfinished += u.Invocations - min(u.Completed, u.Invocations)
	byProject := r.functions[usageKey{u.Organization, p.ID}]
	if byProject[u.Project] == nil {
		byProject[u.Project] = make(map[functionUsage]metering.Sums)
	}
	of := functionUsage{Slug: u.Function, Region: u.Region}
	n := byProject[u.Project][of]
	n.Invocations += u.Invocations
	n.Added += u.Added
	n.Deducted += u.Deducted
	byProject[u.Project][of] = n
}

func (r *usageReport) answer(only string) usageAnswer {
	answer := usageAnswer{Organizations: []organizationUsage{}}
	for key, o := range r.organizations {
		if only != "" && only != o.ID {
			continue
		}
		o.Projects = []projectUsage{}
		for _, ref := range slices.Sorted(maps.Keys(r.functions[key])) {
			p := projectUsage{Ref: ref}
			for f, n := range r.functions[key][ref] {
				f.Invocations, f.Adjusted = n.Invocations, n.Adjusted()
				p.Invocations += n.Invocations
				p.Functions = append(p.Functions, f)
			}
			slices.SortFunc(p.Functions, func(a, b functionUsage) int {
				return cmp.Or(cmp.Compare(a.Slug, b.Slug), cmp.Compare(a.Region, b.Region))
			})
			o.Projects = append(o.Projects, p)
		}
		answer.Organizations = append(answer.Organizations, *o)
	}
	slices.SortFunc(answer.Organizations, func(a, b organizationUsage) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.Period.Start.Compare(b.Period.Start))
	})
	return answer
}
