package billing

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Selection is the line items that a query asks for.
type Selection struct {
	store  *usage.LineStore
	cycles Cycles
	want   func(organization, period string) bool
}

// ExportFormat says how line items are written.
type ExportFormat struct {
	// Format is one of usage.Formats.
	Format usage.Format

	// FOCUS has the version and the columns of usage.FOCUS; other formats ignore it.
	FOCUS usage.FOCUSOptions
}

// Validate returns the first error of a format.
func (f *ExportFormat) Validate() error {
	if !slices.Contains(usage.Formats(), string(f.Format)) {
		return fmt.Errorf("format %q: allowed are %s", f.Format, strings.Join(usage.Formats(), ", "))
	}
	return f.FOCUS.Validate()
}

// Select brings the line items up to date and returns those that a query asks for. The
// error is an UnknownError for an organization that is neither in the catalogue nor has
// line items.
func (e *Engine) Select(ctx context.Context, q Query) (*Selection, error) {
	totals, err := e.Update(ctx)
	if err != nil {
		return nil, err
	}
	o, catalogue, err := e.inForce()
	if err != nil {
		return nil, err
	}
	counted := make(map[string]bool)
	for k := range totals {
		counted[k.Organization] = true
	}
	// Line items are kept for longer than what was counted.
	for _, err := range o.lines.Lines(func(organization, _ string) bool { return organization == q.Organization }) {
		if err != nil {
			return nil, err
		}
		counted[q.Organization] = true
		break
	}
	if err := checkKnown(q.Organization, counted, catalogue); err != nil {
		return nil, err
	}
	now, cycles := o.ledger.Now(), cyclesOf(catalogue)
	want := func(organization, id string) bool {
		p, cycle, ok := cycles.Named(organization, id)
		return ok && q.wants(organization, p, cycle, now)
	}
	return &Selection{store: o.lines, cycles: cycles, want: want}, nil
}

// Write writes the line items, by period, organization and time, and returns what they
// add up to. No line item is updated meanwhile, so w must not block for long.
func (s *Selection) Write(w io.Writer, f ExportFormat) (usage.Totals, error) {
	if f.Format == usage.FOCUS {
		return usage.WriteFOCUS(w, f.FOCUS, s.store.Charges(s.want))
	}
	return usage.Write(w, f.Format, s.store.Lines(s.want))
}
