package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// summarizer is an exporter that can be asked what it has.
type summarizer interface {
	usage.Service
	Sum(ctx context.Context, meter, organization string, start, end time.Time) (has int64, known bool, err error)
}

// againstStripe has what Stripe says it has compared, too.
const againstStripe = "stripe"

// exporters compares the lines with what services were told, and that with what
// they say they have.
func (c *reconciliation) exporters(ctx context.Context, against string) error {
	if against != "" && against != againstStripe {
		return fmt.Errorf("against %q: allowed is %s", against, againstStripe)
	}
	// Nothing is sent meanwhile: what is compared stays, and services have one user.
	exporting := c.books.bill.exporting
	exporting.mu.Lock()
	defer exporting.mu.Unlock()
	asked := false
	for _, exporter := range c.app.exporters {
		service, ok := exporter.(usage.Service)
		if !ok {
			continue
		}
		told, err := c.told(ctx, service)
		if err != nil {
			return err
		}
		if s, ok := exporter.(summarizer); ok && against == againstStripe {
			asked = true
			if err := c.summaries(ctx, s, told); err != nil {
				return err
			}
		}
	}
	if against == againstStripe && !asked {
		return errors.New("against stripe: there is no exporter to Stripe; add `" + exportStripeForm + "` to the edge_functions global option")
	}
	return nil
}

// toldOf is what a service was told of an organization, on one of its meters, from
// the first to the last item.
type toldOf struct {
	value      int64
	start, end time.Time
}

// told compares the lines with what a service was told.
func (c *reconciliation) told(ctx context.Context, s usage.Service) (map[account]*toldOf, error) {
	expected, found, explained := make(accounts), make(accounts), true
	all, cycles := make(map[account]*toldOf), c.app.periods()
	want := func(organization, id string) bool { return c.askedByID(cycles, organization, id) }
	err := c.books.bill.exporting.outbox(s).Compare(ctx, s, want, func(item *usage.Item, told int64, pending bool) {
		k := account{organization: item.Account, function: item.Meter}
		expected[k] += item.Value
		found[k] += told
		explained = explained && (told == item.Value || pending)
		if all[k] == nil {
			all[k] = &toldOf{start: item.Start}
		}
		of := all[k]
		of.value += told
		if item.Start.Before(of.start) {
			of.start = item.Start
		}
		if item.End.After(of.end) {
			of.end = item.End
		}
	})
	if err != nil {
		return nil, fmt.Errorf("exporter %s: %w", s.Name(), err)
	}
	c.compare("R4", "lines of bills and what "+s.Name()+" was told", expected, found)
	last := &c.levels[len(c.levels)-1]
	last.Explained = explained && last.Difference != 0
	return all, nil
}

// summaries compares what a service was told with what it says it has.
func (c *reconciliation) summaries(ctx context.Context, s summarizer, told map[account]*toldOf) error {
	expected, found := make(accounts), make(accounts)
	var strangers []string
	for k, of := range told {
		has, known, err := s.Sum(ctx, k.function, k.organization, of.start, of.end)
		if err != nil {
			return fmt.Errorf("exporter %s: %w", s.Name(), err)
		}
		if !known {
			strangers = append(strangers, k.organization)
			continue
		}
		expected[k], found[k] = of.value, has
	}
	what := "what " + s.Name() + " was told and what it has"
	if len(strangers) > 0 {
		what += ", without " + strings.Join(strangers, ", ")
	}
	c.compare("R4", what, expected, found)
	return nil
}
