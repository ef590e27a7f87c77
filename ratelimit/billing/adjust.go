package billing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// AdjustOrder says what a person adds to the bill of an organization, or deducts
// from it.
type AdjustOrder struct {
	Organization string     `json:"organization"`
	Units        int64      `json:"units"` // not 0; negative: they are deducted
	Project      string     `json:"project"`
	Function     string     `json:"function"`
	Region       string     `json:"region"`
	Reason       string     `json:"reason"`
	Operator     string     `json:"operator"`
	At           *time.Time `json:"at"` // in the hour that is adjusted; null: now
}

// maxReason bounds the texts of an adjustment, in bytes.
const maxReason = 1000

// Check reports what is wrong with an order by itself, whoever is in the
// catalogue.
func (o *AdjustOrder) Check() error {
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

// Adjusted is an adjustment that was made, and what the organization is billed in
// the period before and after it.
type Adjusted struct {
	Adjustment    metering.Adjustment
	Period        metering.Period
	Before, After int64
}

// Adjust adds to what is billed to an organization, or deducts from it. The
// function must be in the catalogue, or have been called before; the region must
// be one of regions, or have been used. The error is an UnknownError where one is
// neither.
func (e *Engine) Adjust(ctx context.Context, order *AdjustOrder, regions []string) (Adjusted, error) {
	if err := order.Check(); err != nil {
		return Adjusted{}, err
	}
	e.adjusting.Lock()
	defer e.adjusting.Unlock()
	totals, err := e.Update(ctx)
	if err != nil {
		return Adjusted{}, err
	}
	o, catalogue, err := e.inForce()
	if err != nil {
		return Adjusted{}, err
	}
	at := o.ledger.Now()
	if order.At != nil {
		at = *order.At
	}
	subject, err := order.subject(catalogue, totals)
	if err != nil {
		return Adjusted{}, err
	}
	if names := slices.Concat(regions, totals.Regions()); !slices.Contains(names, order.Region) {
		return Adjusted{}, &UnknownError{"region", order.Region, "is not configured, and nothing was used there", names}
	}
	subject.Cycle = totals.Cycle(order.Organization, at, subject.Cycle)
	in := subject.Cycle.At(at)
	before := totals.Billed(order.Organization, in.ID)
	if before+order.Units < 0 {
		return Adjusted{}, fmt.Errorf("organization %s is billed %d invocations in %s: no more than those can be deducted", order.Organization, before, in.ID)
	}
	made, err := o.ledger.Adjust(metering.Adjustment{
		Subject:  subject,
		Region:   order.Region,
		At:       at,
		Units:    order.Units,
		Reason:   strings.TrimSpace(order.Reason),
		Operator: strings.TrimSpace(order.Operator),
	})
	return Adjusted{made, in, before, before + order.Units}, err
}

// subject returns the function that an order is about: one of the catalogue, or one
// that was called before.
func (o *AdjustOrder) subject(c Catalogue, totals Totals) (metering.Subject, error) {
	s := metering.Subject{Organization: o.Organization, Project: o.Project, Function: o.Function}
	known := totals.Projects(o.Organization)
	account, err := accountOf(c, o.Organization)
	if err != nil && len(known) == 0 {
		return s, err
	}
	s.Cycle = account.Allowance.Cycle
	var project *Project
	if account.Projects != nil {
		for p := range account.Projects {
			known = append(known, p.Ref)
			if p.Ref == o.Project {
				project = &p
			}
		}
	}
	if !slices.Contains(known, o.Project) {
		return s, &UnknownError{"project", o.Project, fmt.Sprintf("organization %s has no such project", o.Organization), known}
	}
	slugs := totals.Functions(o.Organization, o.Project)
	if project != nil {
		if project.Has(o.Function) {
			return s, nil
		}
		slugs = slices.AppendSeq(slugs, project.Functions)
	}
	if !slices.Contains(slugs, o.Function) {
		return s, &UnknownError{"function", o.Function, fmt.Sprintf("project %s has no such function, and had no call of it", o.Project), slugs}
	}
	return s, nil
}

// accountOf returns the account of an organization, or an UnknownError.
func accountOf(c Catalogue, organization string) (Account, error) {
	var ids []string
	for a := range c.Accounts() {
		if a.ID == "" {
			continue
		}
		if a.ID == organization {
			return a, nil
		}
		ids = append(ids, a.ID)
	}
	return Account{}, &UnknownError{"organization", organization, "no project in force has it", ids}
}
