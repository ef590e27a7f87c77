package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// adjustOrder is what `edgegate usage adjust` orders.
type adjustOrder struct {
	Organization string     `json:"organization"`
	Units        int64      `json:"units"`
	Project      string     `json:"project"`
	Function     string     `json:"function"`
	Region       string     `json:"region"`
	Reason       string     `json:"reason"`
	Operator     string     `json:"operator"`
	At           *time.Time `json:"at"` // null: now
}

// adjustAnswer is what `edgegate usage adjust` shows.
type adjustAnswer struct {
	Adjustments []adjustmentAnswer `json:"adjustments"`
	// Of an adjustment that was just made: what is billed to the organization in the
	// period.
	Period *periodAnswer `json:"period,omitempty"`
	Before *int64        `json:"before,omitempty"`
	After  *int64        `json:"after,omitempty"`
}

type adjustmentAnswer struct {
	Organization string    `json:"organization"`
	Project      string    `json:"project"`
	Function     string    `json:"function"`
	Region       string    `json:"region"`
	At           time.Time `json:"at"` // the hour that is adjusted has it
	Units        int64     `json:"units"`
	Reason       string    `json:"reason"`
	Operator     string    `json:"operator"`
	Made         time.Time `json:"made"`
	Gateway      string    `json:"gateway"` // whose ledger it is in
	Record       uint64    `json:"record"`
}

func adjustmentOf(a metering.Adjustment) adjustmentAnswer {
	return adjustmentAnswer{
		Organization: a.Organization, Project: a.Project, Function: a.Function, Region: a.Region, At: a.At, Units: a.Units,
		Reason: a.Reason, Operator: a.Operator, Made: a.Made, Gateway: a.Instance, Record: a.Seq,
	}
}

// adjustments lists those of this gateway's ledgers.
func (a *App) adjustments(r *http.Request) (any, error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, err
	}
	opened, only := a.books.open.Load(), r.URL.Query().Get("organization")
	if opened == nil {
		return nil, errNotOpen
	}
	all, err := opened.ledger.Adjustments()
	if err != nil {
		return nil, err
	}
	answer := adjustAnswer{Adjustments: []adjustmentAnswer{}}
	for _, one := range all {
		asked := month.IsZero() || wanted(one.Cycle.At(one.At), one.Cycle, month, time.Time{})
		if asked && (only == "" || only == one.Organization) {
			answer.Adjustments = append(answer.Adjustments, adjustmentOf(one))
		}
	}
	return answer, nil
}

// maxReason bounds the texts of an adjustment, in bytes.
const maxReason = 1000

// check says what is wrong with an order by itself.
func (o *adjustOrder) check() error {
	for _, field := range []struct{ name, value string }{
		{"organization", o.Organization},
		{"project", o.Project},
		{"function", o.Function},
		{"region", o.Region},
		{"reason", strings.TrimSpace(o.Reason)},
		{"operator", strings.TrimSpace(o.Operator)},
	} {
		switch {
		case field.value == "":
			return fmt.Errorf("%s: is missing", field.name)
		case len(field.value) > maxReason:
			return fmt.Errorf("%s: must have at most %d bytes", field.name, maxReason)
		case strings.Contains(field.value, "|") && field.name != "reason":
			return fmt.Errorf("%s: must not have a | in it", field.name) // names of sums in Redis have it between
		}
	}
	switch {
	case o.Units == 0:
		return errors.New("units: must not be 0")
	case o.Units > math.MaxUint32 || o.Units < -math.MaxUint32:
		return fmt.Errorf("units: must be at most %d, added or deducted; make several adjustments", uint32(math.MaxUint32))
	}
	return nil
}

// adjust adds to what is billed to an organization, or deducts from it.
func (a *App) adjust(r *http.Request) (any, error) {
	var order adjustOrder
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","units":NUMBER,"project":"REF","function":"SLUG","region":"NAME","reason":"...","operator":"..."}: %w`, err)
	}
	if err := order.check(); err != nil {
		return nil, err
	}
	a.books.adjusting.Lock()
	defer a.books.adjusting.Unlock()
	used, err := a.books.bill(r.Context())
	if err != nil {
		return nil, err
	}
	opened := a.books.open.Load()
	at := opened.ledger.Now()
	if order.At != nil {
		at = *order.At
	}
	subject, err := a.adjusted(&order, used, at)
	if err != nil {
		return nil, err
	}
	in := subject.Cycle.At(at)
	before := used.billed(order.Organization, in.ID)
	if before+order.Units < 0 {
		return nil, fmt.Errorf("organization %s is billed %d invocations in %s: no more than those can be deducted", order.Organization, before, in.ID)
	}
	made, err := opened.ledger.Adjust(metering.Adjustment{
		Subject: subject, Region: order.Region, At: at, Units: order.Units,
		Reason: strings.TrimSpace(order.Reason), Operator: strings.TrimSpace(order.Operator),
	})
	if err != nil {
		return nil, err
	}
	shown, after := period(in), before+order.Units
	return adjustAnswer{Adjustments: []adjustmentAnswer{adjustmentOf(made)}, Period: &shown, Before: &before, After: &after}, nil
}

// adjusted is who and what an order is about: something that is configured, or
// was used.
func (a *App) adjusted(order *adjustOrder, used accounts, at time.Time) (metering.Subject, error) {
	s := metering.Subject{Organization: order.Organization, Project: order.Project, Function: order.Function}
	known := used.projects(order.Organization)
	o, err := a.organization(order.Organization)
	if err != nil && len(known) == 0 {
		return s, err
	}
	if o != nil {
		s.Cycle = cycle(o)
	}
	var project *projects.Project
	for p := range a.allProjects() {
		if p.Organization != nil && p.Organization.ID == order.Organization {
			known = append(known, p.Ref)
			if p.Ref == order.Project {
				project = p
			}
		}
	}
	if !slices.Contains(known, order.Project) {
		return s, fmt.Errorf("project %q: organization %s has no such project%s", order.Project, order.Organization, spelling.DidYouMean(order.Project, known))
	}
	if err := order.checkFunction(project, used); err != nil {
		return s, err
	}
	names := slices.Concat(a.network.Set.Names(), used.regions())
	if !slices.Contains(names, order.Region) {
		return s, fmt.Errorf("region %q: is not configured, and nothing was used there%s", order.Region, spelling.DidYouMean(order.Region, names))
	}
	s.Cycle = used.cycle(order.Organization, at, s.Cycle)
	return s, nil
}

// checkFunction refuses a function that the project neither has nor ever had a
// call of; project is nil if it is not configured any more.
func (o *adjustOrder) checkFunction(project *projects.Project, used accounts) error {
	var slugs []string
	for k := range used {
		if k.organization == o.Organization && k.project == o.Project {
			slugs = append(slugs, k.function)
		}
	}
	if project != nil {
		if _, ok := project.Function(o.Function); ok { // by a wildcard, too
			return nil
		}
		for f := range project.EachFunction() {
			slugs = append(slugs, f.Slug)
		}
	}
	if !slices.Contains(slugs, o.Function) {
		return fmt.Errorf("function %q: project %s has no such function, and had no call of it%s", o.Function, o.Project, spelling.DidYouMean(o.Function, slugs))
	}
	return nil
}

// regions are those where anything was used.
func (a accounts) regions() (names []string) {
	for k := range a {
		names = append(names, k.region)
	}
	return names
}

// billed is what an organization pays for in a period.
func (a accounts) billed(organization, period string) (n int64) {
	for k, v := range a {
		if k.organization == organization && k.period == period {
			n += v
		}
	}
	return n
}

// projects are those of an organization that were used.
func (a accounts) projects(organization string) (refs []string) {
	for k := range a {
		if k.organization == organization {
			refs = append(refs, k.project)
		}
	}
	return refs
}

// cycle is the one by which an organization is billed at a time: the one that it
// has, unless it had another then.
func (a accounts) cycle(organization string, at time.Time, has metering.Cycle) metering.Cycle {
	id, found := has.At(at).ID, has
	for k := range a {
		if k.organization != organization {
			continue
		}
		if k.period == id {
			return has
		}
		if had, p, ok := metering.CycleOf(k.period); ok && p.Contains(at) {
			found = had
		}
	}
	return found
}
