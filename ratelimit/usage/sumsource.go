package usage

import (
	"context"
	"time"
)

// SumSource is a [Service] that can be asked what it has, to compare that with what was
// delivered to it.
type SumSource interface {
	Service

	// System names what is asked, such as stripe.
	System() string

	// Sum returns the sum of the values that the service has. It is false if the service
	// does not know the organization.
	Sum(ctx context.Context, q SumQuery) (has int64, known bool, err error)
}

// PricedSource is a [SumSource] that has a price for packages of units on one of its
// meters: what it charges follows from the sum of the meter.
type PricedSource interface {
	SumSource

	// PricedMeter returns the meter; empty for none.
	PricedMeter() string
}

// SumQuery asks a service for the values of an organization on one of its meters.
type SumQuery struct {
	// Meter is that of an Item; empty for a service with one meter.
	Meter string

	// Organization is the id of the organization.
	Organization string

	// Start and End are those of the first and of the last item.
	Start, End time.Time
}
