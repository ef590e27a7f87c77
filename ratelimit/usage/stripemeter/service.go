// Package stripemeter reports usage to Stripe as events of billing meters: for each
// organization and hour one of all invocations, and one of those beyond what the
// price includes. It decides what Stripe is told; usage comes to it as lines.
//
//	service := stripemeter.New(stripemeter.Config{Key: key, Meter: "edge_invocations", Customers: customers})
//	outbox := &usage.Outbox{Store: store, Pages: store.Pages(), Now: time.Now}
//	result, err := outbox.Run(ctx, service)
//
// The meters must exist in Stripe and aggregate by sum. Stripe accepts events that
// are up to 35 days old; older ones are rejected.
package stripemeter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// maxAge is how old an event may be
	// (https://docs.stripe.com/api/billing/meter-event/create).
	maxAge = 35 * 24 * time.Hour
	// remembers is how long Stripe surely recognizes the identifier of an event: it
	// guarantees 24 hours.
	remembers = 20 * time.Hour
	// formulaSum and windowHour are values of meters.
	formulaSum, windowHour = "sum", "hour"
	// maxBatch is how many events are sent before their outcome is stored.
	maxBatch = 100
)

// Config configures the service.
type Config struct {
	Key     string // a secret key, or one restricted to billing meters
	Meter   string // the event name of the meter of all invocations
	Overage string // the event name of the meter of invocations beyond what is included; "" for none
	// Customers returns the ids of Stripe customers by organization. It is called once
	// a round.
	Customers func() map[string]string
	URL       string           // default: https://api.stripe.com
	Now       func() time.Time // default: time.Now
}

// Service implements [usage.RejectionSource] and [usage.PricedSource].
type Service struct {
	config Config
	client *client

	// Set by Prepare for the round:
	meters    map[string]*meter // by event name
	customers map[string]string // by organization
}

// New returns the service. It calls nobody yet.
func New(config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Service{config: config, client: newClient(config.URL, config.Key)}
}

// Name implements usage.Sink.
func (s *Service) Name() string { return "stripe " + s.config.Meter }

// MaxBatch implements usage.Sink.
func (*Service) MaxBatch() int { return maxBatch }

// Guarantee implements usage.Sink.
func (*Service) Guarantee() string {
	return "each organization's hours count once, corrections too: for 35 days, and where an answer was missing for more than a day after Stripe was asked what it has"
}

// Span implements usage.Service.
func (*Service) Span() time.Duration { return 24 * time.Hour }

// names returns the event names of the meters in use.
func (s *Service) names() []string {
	names := []string{s.config.Meter}
	if s.config.Overage != "" {
		names = append(names, s.config.Overage)
	}
	return names
}

// Prepare implements usage.Service. It looks up the meters: their event time window
// decides whether events carry totals or differences.
func (s *Service) Prepare(ctx context.Context) error {
	meters := make(map[string]*meter)
	for m, err := range s.client.meters(ctx) {
		if err != nil {
			return fmt.Errorf("listing the meters: %w", retriable(err))
		}
		if slices.Contains(s.names(), m.EventName) {
			meters[m.EventName] = m
		}
	}
	for _, name := range s.names() {
		m := meters[name]
		if m == nil {
			return fmt.Errorf("there is no active meter with the event name %q: make it in Stripe, or name another", name)
		}
		if formula := m.DefaultAggregation.Formula; formula != formulaSum {
			return fmt.Errorf("the meter %q aggregates by %q: want sum", name, formula)
		}
		if window := m.EventTimeWindow; window != "" && window != windowHour {
			return fmt.Errorf("the meter %q has the event time window %q: want hour, or none", name, window)
		}
	}
	s.meters, s.customers = meters, s.config.Customers()
	return nil
}

// hourly reports whether the last event of an hour replaces those before it, so that
// events carry totals.
func (s *Service) hourly(meter string) bool {
	return s.meters[meter].EventTimeWindow == windowHour
}

// Items implements usage.Service. An hour in which terms change has several lines of a
// function: Stripe is told of the whole hour, as far as it is in the period. Lines whose
// ids differ in their ledger or their schema are items of their own, so that what was
// told of some stays what it is. They are one item on a meter where the last event of an
// hour replaces the others, whichever of them are known: its id has neither.
func (s *Service) Items(lines []usage.Line) (items []usage.Item) {
	for start := 0; start < len(lines); {
		end, window := start, hourOf(&lines[start])
		for end < len(lines) && lines[end].WindowStart.Before(window.End) {
			end++
		}
		hour := lines[start:end]
		start = end
		if hour[0].AccountID == "" { // nobody is billed for it
			continue
		}
		for i, name := range s.names() {
			value := func(l *usage.Line) int64 { return []int64{l.Quantity, l.OverageQuantity}[i] }
			items = append(items, s.hour(name, hour, value)...)
		}
	}
	return items
}

// hourOf returns the hour of a line, or the part of it that is in its period.
func hourOf(l *usage.Line) metering.Period {
	hour := metering.Period{Start: l.WindowStart.UTC().Truncate(time.Hour)}
	hour.End = hour.Start.Add(time.Hour)
	_, period, known := metering.CycleOf(l.Period)
	if !known {
		return hour
	}
	if hour.Start.Before(period.Start) {
		hour.Start = period.Start
	}
	// The id may give a period too early an end, before its own lines.
	if hour.End.After(period.End) && l.WindowStart.Before(period.End) {
		hour.End = period.End
	}
	return hour
}

// hour returns the items of a meter for the lines of an hour.
func (s *Service) hour(meter string, lines []usage.Line, value func(*usage.Line) int64) (items []usage.Item) {
	groups := make(map[string]int) // places in items, by what the lines' ids are made of
	names := make([]string, 0, 1)
	for i := range lines {
		names = append(names, lines[i].Schema+"|"+lines[i].LedgerID)
	}
	hourly, window := s.meters[meter] != nil && s.hourly(meter), hourOf(&lines[0])
	for i := range lines {
		l, group := &lines[i], names[i]
		id := itemID(l, window.Start, meter)
		former := id
		if hourly {
			group, id = "", hourID(l, window.Start, meter)
		}
		at, known := groups[group]
		if !known {
			at = len(items)
			groups[group] = at
			items = append(items, usage.Item{
				ID:      id,
				Meter:   meter,
				Account: l.AccountID,
				Start:   window.Start,
				End:     window.End,
			})
		}
		items[at].Value += value(&lines[i])
		if hourly && !slices.Contains(items[at].Former, former) {
			items[at].Former = append(items[at].Former, former)
		}
	}
	return items
}

// itemID returns the id of an organization's hour on a meter. An hour that two billing
// periods share has two.
func itemID(l *usage.Line, hour time.Time, meter string) string {
	at := hour.UTC().Format(time.RFC3339)
	id := []string{"v1", l.LedgerID, l.AccountID, meter, at}
	if l.Schema != usage.SchemaV1 {
		id = []string{"v2", l.LedgerID, l.PeriodStart.Format(time.RFC3339), l.Period, l.AccountID, meter, at}
	}
	return hashID(id)
}

// hourID is itemID on a meter that keeps one value of an hour: whatever ledgers count in
// it, also those of gateways that are alone for a while, it is one.
func hourID(l *usage.Line, hour time.Time, meter string) string {
	return hashID([]string{"hour", l.Period, l.AccountID, meter, hour.UTC().Format(time.RFC3339)})
}

func hashID(parts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "|")))
	return hex.EncodeToString(sum[:])[:32]
}

// Send implements usage.Service.
func (s *Service) Send(ctx context.Context, messages []usage.Message) ([]usage.Verdict, error) {
	verdicts := make([]usage.Verdict, 0, len(messages))
	for i := range messages {
		v, err := s.tell(ctx, &messages[i])
		if err != nil {
			return verdicts, err
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// tell sends one event, unless Stripe has it already or would not accept it.
func (s *Service) tell(ctx context.Context, m *usage.Message) (v usage.Verdict, err error) {
	customer := s.customers[m.Account]
	switch hourly := s.hourly(m.Meter); {
	case customer == "":
		return usage.Verdict{Held: fmt.Sprintf("organization %s has no Stripe customer: set its stripe_customer", m.Account)}, nil
	case s.config.Now().Sub(m.Start) > maxAge-time.Hour:
		return usage.Verdict{Rejected: "it is older than the 35 days that Stripe takes: settle it on the invoice"}, nil
	case hourly && m.End.Sub(m.Start) < time.Hour:
		return usage.Verdict{Rejected: "a meter with the event time window hour cannot tell two billing periods apart that meet within an hour: use one without"}, nil
	case !hourly && m.Tries > 1 && s.config.Now().Sub(m.First) > remembers:
		if verdict, known, err := s.check(ctx, m, customer); err != nil || known {
			return verdict, err
		}
	}
	return s.create(ctx, m, customer)
}

// create sends an event.
func (s *Service) create(ctx context.Context, m *usage.Message, customer string) (v usage.Verdict, err error) {
	meter, value := s.meters[m.Meter], m.Value
	if !s.hourly(m.Meter) {
		value = m.Delta
	}
	form := url.Values{
		"event_name": {m.Meter},
		"identifier": {m.Name()},
		"timestamp":  {strconv.FormatInt(m.Start.Unix()+1, 10)},
		"payload[" + meter.CustomerMapping.EventPayloadKey + "]": {customer},
		"payload[" + meter.ValueSettings.EventPayloadKey + "]":   {strconv.FormatInt(value, 10)},
	}
	err = s.client.post(ctx, "/v1/billing/meter_events", m.Name(), form)
	var refused *apiError
	switch {
	case err == nil:
		return v, nil
	case !errors.As(err, &refused):
		return v, fmt.Errorf("sending the event %s: %w", m.Name(), err)
	case strings.Contains(refused.Message, "already exists with identifier"), refused.Code == "duplicate_meter_event":
		return v, nil // it arrived before
	case refused.Type == errorInvalidRequest && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound):
		return usage.Verdict{Rejected: refused.Message}, nil
	}
	return v, fmt.Errorf("sending the event %s: %w", m.Name(), retriable(err))
}

// check asks Stripe for the hour's total, to find out whether an event arrived whose
// identifier Stripe may have forgotten. known is false if it did not arrive.
func (s *Service) check(ctx context.Context, m *usage.Message, customer string) (v usage.Verdict, known bool, err error) {
	has, err := s.sum(ctx, customer, &usage.SumQuery{Meter: m.Meter, Start: m.Start, End: m.End})
	switch {
	case err != nil:
		return v, false, err
	case has == m.Value:
		return v, true, nil
	case has == m.Value-m.Delta:
		return v, false, nil
	}
	return usage.Verdict{
		Rejected: fmt.Sprintf("it is not known whether it arrived: Stripe has %d for that time, %d or %d were expected", has, m.Value-m.Delta, m.Value),
	}, true, nil
}
