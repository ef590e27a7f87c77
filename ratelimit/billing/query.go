package billing

import (
	"fmt"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Query says which billing periods of whom a question is about.
type Query struct {
	// Organization is the id of one organization. Default: all of them.
	Organization string
	// Month is the month, by its first day in UTC, in which the periods start, in the
	// time zone of their cycle. Default: the current period of each organization.
	Month time.Time
}

// wants reports whether the question, asked at a time, is about a period of an
// organization.
func (q *Query) wants(organization string, p metering.Period, c metering.Cycle, now time.Time) bool {
	return (q.Organization == "" || q.Organization == organization) && q.WantsPeriod(p, c, now)
}

// WantsPeriod reports whether the question, asked at a time, is about a period.
func (q *Query) WantsPeriod(p metering.Period, c metering.Cycle, now time.Time) bool {
	if q.Month.IsZero() {
		return p.Contains(now)
	}
	start := p.Start
	if c.Zone != nil {
		start = start.In(c.Zone)
	}
	return start.Year() == q.Month.Year() && start.Month() == q.Month.Month()
}

// UnknownError says that something that a question names is not known.
type UnknownError struct {
	What    string   // the kind of thing: organization, project, function or region
	Name    string   // that is not known
	Problem string   // why that is wrong, in words
	Known   []string // the names that are, in no order
}

// Error implements error.
func (e *UnknownError) Error() string { return fmt.Sprintf("%s %q: %s", e.What, e.Name, e.Problem) }
