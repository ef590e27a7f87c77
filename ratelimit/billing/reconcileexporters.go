package billing

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

// AgainstStripe has what Stripe says it has compared, too.
const AgainstStripe = "stripe"

// ErrNoStripe says that there is no exporter that could be asked for what Stripe
// has.
var ErrNoStripe = errors.New("there is no exporter to Stripe")

// exporters compares the lines with what services were told, and that with what
// they say they have.
func (c *reconciliation) exporters(ctx context.Context, sinks []usage.Sink) error {
	against := c.query.Against
	if against != "" && against != AgainstStripe {
		return fmt.Errorf("against %q: allowed is %s", against, AgainstStripe)
	}
	// Nothing is sent meanwhile: what is compared stays, and services have one user.
	c.opened.exports.mu.Lock()
	defer c.opened.exports.mu.Unlock()
	asked := false
	for _, sink := range sinks {
		service, ok := sink.(usage.Service)
		if !ok {
			continue
		}
		told, err := c.told(ctx, service)
		if err != nil {
			return err
		}
		if s, ok := sink.(summarizer); ok && against == AgainstStripe {
			asked = true
			if err := c.summaries(ctx, s, told); err != nil {
				return err
			}
		}
	}
	if against == AgainstStripe && !asked {
		return fmt.Errorf("against %s: %w", against, ErrNoStripe)
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
func (c *reconciliation) told(ctx context.Context, s usage.Service) (map[TotalKey]*toldOf, error) {
	expected, found, explained := make(Totals), make(Totals), true
	all := make(map[TotalKey]*toldOf)
	want := func(organization, id string) bool { return c.askedByID(organization, id) }
	err := c.opened.exports.outbox(s).Compare(ctx, s, want, func(item *usage.Item, told int64, pending bool) {
		k := TotalKey{Organization: item.Account, Function: item.Meter}
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
func (c *reconciliation) summaries(ctx context.Context, s summarizer, told map[TotalKey]*toldOf) error {
	expected, found := make(Totals), make(Totals)
	var strangers []string
	for k, of := range told {
		has, known, err := s.Sum(ctx, k.Function, k.Organization, of.start, of.end)
		if err != nil {
			return fmt.Errorf("exporter %s: %w", s.Name(), err)
		}
		if !known {
			strangers = append(strangers, k.Organization)
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
