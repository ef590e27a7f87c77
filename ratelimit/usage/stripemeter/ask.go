package stripemeter

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// rejectionsFor is how far back it is asked what Stripe could not use: it looks at
// events within minutes to hours.
const rejectionsFor = 72 * time.Hour

// The events by which Stripe says what it could not use.
const (
	eventErrors  = "v1.billing.meter.error_report_triggered"
	eventNoMeter = "v1.billing.meter.no_meter_found"
)

// Rejections implements usage.RejectionSource.
func (s *Service) Rejections(ctx context.Context) (all []usage.Rejection, err error) {
	since := s.config.Now().Add(-rejectionsFor)
	params := &stripe.V2CoreEventListParams{Types: stripe.StringSlice([]string{eventErrors, eventNoMeter})}
	for event, err := range s.client.V2CoreEvents.List(ctx, params).All(ctx) {
		if err != nil {
			return nil, fmt.Errorf("listing what Stripe could not use: %w", failure(err))
		}
		switch e := event.(type) {
		case *stripe.V1BillingMeterErrorReportTriggeredEvent:
			if e.Data.Reason == nil || e.Created.Before(since) {
				continue
			}
			for _, kind := range e.Data.Reason.ErrorTypes {
				for _, sample := range kind.SampleErrors {
					if sample.Request != nil {
						all = append(all, rejection(sample.Request.Identifier, string(kind.Code), sample.ErrorMessage))
					}
				}
			}
		case *stripe.V1BillingMeterNoMeterFoundEvent:
			if e.Data.Reason == nil || e.Created.Before(since) {
				continue
			}
			for _, kind := range e.Data.Reason.ErrorTypes {
				for _, sample := range kind.SampleErrors {
					if sample.Request != nil {
						all = append(all, rejection(sample.Request.Identifier, string(kind.Code), sample.ErrorMessage))
					}
				}
			}
		}
	}
	return all, nil
}

func rejection(message, code, text string) usage.Rejection {
	return usage.Rejection{Message: message, Reason: code + ": " + text}
}

// Sum is what Stripe has of an organization on a meter in a time; false if it has
// no customer there.
func (s *Service) Sum(ctx context.Context, meter, organization string, start, end time.Time) (has int64, known bool, err error) {
	if s.meters == nil {
		if err := s.Prepare(ctx); err != nil {
			return 0, false, err
		}
	}
	customer := s.customers[organization]
	if customer == "" {
		return 0, false, nil
	}
	has, err = s.sum(ctx, meter, customer, start, end)
	return has, true, err
}

// sum asks for whole minutes, which is all that Stripe knows.
func (s *Service) sum(ctx context.Context, meter, customer string, start, end time.Time) (int64, error) {
	list := s.client.V1BillingMeterEventSummaries.List(ctx, &stripe.BillingMeterEventSummaryListParams{
		ID: stripe.String(s.meters[meter].ID), Customer: stripe.String(customer),
		StartTime: new(start.Truncate(time.Minute).Unix()), EndTime: new(end.Truncate(time.Minute).Unix()),
	})
	total := int64(0)
	for summary, err := range list.All(ctx) {
		if err != nil {
			return 0, fmt.Errorf("asking what Stripe has of customer %s: %w", customer, failure(err))
		}
		total += int64(math.Round(summary.AggregatedValue))
	}
	return total, nil
}
