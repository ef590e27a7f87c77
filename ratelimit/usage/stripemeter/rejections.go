package stripemeter

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// rejectionsFor is how far back Rejections looks: Stripe examines meter events
// within minutes to hours.
const rejectionsFor = 72 * time.Hour

// The types of the events that report meter events Stripe could not use
// (https://docs.stripe.com/api/v2/core/events/event-types).
const (
	eventErrors  = "v1.billing.meter.error_report_triggered"
	eventNoMeter = "v1.billing.meter.no_meter_found"
)

// errorReport is an event of one of those types.
type errorReport struct {
	Created time.Time `json:"created"`
	Data    struct {
		Reason struct {
			ErrorTypes []struct {
				Code         string `json:"code"`
				SampleErrors []struct {
					ErrorMessage string `json:"error_message"`
					Request      *struct {
						Identifier string `json:"identifier"`
					} `json:"request"`
				} `json:"sample_errors"`
			} `json:"error_types"`
		} `json:"reason"`
	} `json:"data"`
}

// Rejections implements usage.RejectionSource.
func (s *Service) Rejections(ctx context.Context) (all []usage.Rejection, err error) {
	since := s.config.Now().Add(-rejectionsFor)
	query := url.Values{"types[0]": {eventErrors}, "types[1]": {eventNoMeter}}
	for report, err := range listV2[errorReport](ctx, s.client, "/v2/core/events?"+query.Encode()) {
		if err != nil {
			return nil, fmt.Errorf("listing the meter events that Stripe could not use: %w", retriable(err))
		}
		if report.Created.Before(since) {
			continue
		}
		for _, kind := range report.Data.Reason.ErrorTypes {
			for _, sample := range kind.SampleErrors {
				if sample.Request != nil {
					all = append(all, usage.Rejection{Message: sample.Request.Identifier, Reason: kind.Code + ": " + sample.ErrorMessage})
				}
			}
		}
	}
	return all, nil
}

// System implements usage.SumSource.
func (*Service) System() string { return "stripe" }

// PricedMeter implements usage.PricedSource.
func (s *Service) PricedMeter() string { return s.config.Overage }

// Sum returns what Stripe has counted for an organization on a meter from the Start to
// before the End of the query. known is false if the organization has no Stripe
// customer.
func (s *Service) Sum(ctx context.Context, q usage.SumQuery) (has int64, known bool, err error) {
	if s.meters == nil {
		if err := s.Prepare(ctx); err != nil {
			return 0, false, err
		}
	}
	customer := s.customers[q.Organization]
	if customer == "" {
		return 0, false, nil
	}
	has, err = s.sum(ctx, customer, &q)
	return has, true, err
}

// sum asks for whole minutes: Stripe accepts no others.
func (s *Service) sum(ctx context.Context, customer string, q *usage.SumQuery) (int64, error) {
	query := url.Values{
		"customer":   {customer},
		"start_time": {strconv.FormatInt(q.Start.Truncate(time.Minute).Unix(), 10)},
		"end_time":   {strconv.FormatInt(q.End.Truncate(time.Minute).Unix(), 10)},
	}
	total := int64(0)
	for part, err := range s.client.summaries(ctx, s.meters[q.Meter].ID, query) {
		if err != nil {
			return 0, fmt.Errorf("asking what Stripe has of customer %s: %w", customer, retriable(err))
		}
		total += int64(math.Round(part.AggregatedValue))
	}
	return total, nil
}
