package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
)

// topParameters are the query parameters of a question about sums of invocations.
var topParameters = []string{"by", "each", "project", "function", "region", "since", "until", "limit"}

// topOf answers which functions or projects have the most calls, errors or bytes, or take
// longest.
func topOf(app *gateway.App, r *http.Request) (any, error) {
	ledger := app.Engine().Ledger()
	if ledger == nil {
		return nil, billing.ErrNotOpen
	}
	values := r.URL.Query()
	of, err := invocationQuery(values, ledger.Now())
	if err != nil {
		return nil, err
	}
	q := invocations.TopQuery{Query: of, By: invocations.By(values.Get("by")), Each: invocations.Each(values.Get("each"))}
	if err := q.Check(); err != nil {
		return nil, err
	}
	answer, err := invocations.Top(r.Context(), ledger.RecordLogs(), q)
	if err == nil && answer.Total == 0 {
		err = checkNames(app, ledger.RecordLogs(), &of)
	}
	return answer, err
}
