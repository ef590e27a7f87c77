package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// billingQuery reads the month, ?period=2026-11, and the organization of a question.
func billingQuery(r *http.Request) (q billing.Query, err error) {
	query := r.URL.Query()
	q.Organization = query.Get("organization")
	month := query.Get("period")
	if month == "" {
		return q, nil
	}
	if q.Month, err = time.Parse("2006-01", month); err != nil {
		return q, fmt.Errorf("period %q: must be a month such as 2026-11", month)
	}
	return q, nil
}

// usedBy answers what organizations used; with ?daily=true also on each day.
func usedBy(app *gateway.App, r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	daily := r.URL.Query().Get("daily")
	switch daily {
	case "", "true", "false":
		return app.Engine().Usage(r.Context(), billing.UsageQuery{Query: q, Daily: daily == "true"})
	}
	return nil, fmt.Errorf("daily %q: allowed are true, false", daily)
}
