package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions/spelling"
)

// adjustAnswer is what `edgegate usage adjust` shows.
type adjustAnswer struct {
	Adjustments []adjustmentAnswer `json:"adjustments"`
	// Of an adjustment that was just made: what is billed to the organization in the
	// period.
	Period *periodAnswer `json:"period,omitempty"`
	Before *int64        `json:"before,omitempty"`
	After  *int64        `json:"after,omitempty"`
}

type adjustmentAnswer struct {
	Organization string    `json:"organization"`
	Project      string    `json:"project"`
	Function     string    `json:"function"`
	Region       string    `json:"region"`
	At           time.Time `json:"at"` // the hour that is adjusted has it
	Units        int64     `json:"units"`
	Reason       string    `json:"reason"`
	Operator     string    `json:"operator"`
	Made         time.Time `json:"made"`
	Gateway      string    `json:"gateway"` // whose ledger it is in
	Record       uint64    `json:"record"`
}

func adjustmentOf(a metering.Adjustment) adjustmentAnswer {
	return adjustmentAnswer{
		Organization: a.Organization, Project: a.Project, Function: a.Function, Region: a.Region, At: a.At, Units: a.Units,
		Reason: a.Reason, Operator: a.Operator, Made: a.Made, Gateway: a.Instance, Record: a.Seq,
	}
}

// adjustments lists those of this gateway's ledgers.
func (a *App) adjustments(r *http.Request) (any, error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, err
	}
	query, ledger := billing.Query{Organization: r.URL.Query().Get("organization"), Month: month}, a.engine.Ledger()
	if ledger == nil {
		return nil, billing.ErrNotOpen
	}
	all, err := ledger.Adjustments()
	if err != nil {
		return nil, err
	}
	answer := adjustAnswer{Adjustments: []adjustmentAnswer{}}
	for _, one := range all {
		asked := month.IsZero() || query.WantsPeriod(one.Cycle.At(one.At), one.Cycle, time.Time{})
		if asked && (query.Organization == "" || query.Organization == one.Organization) {
			answer.Adjustments = append(answer.Adjustments, adjustmentOf(one))
		}
	}
	return answer, nil
}

// adjust adds to what is billed to an organization, or deducts from it.
func (a *App) adjust(r *http.Request) (any, error) {
	var order billing.AdjustOrder
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","units":NUMBER,"project":"REF","function":"SLUG","region":"NAME","reason":"...","operator":"..."}: %w`, err)
	}
	made, err := a.engine.Adjust(r.Context(), &order, a.network.Set.Names())
	if err != nil {
		return nil, hinted(err)
	}
	shown := period(made.Period)
	return adjustAnswer{Adjustments: []adjustmentAnswer{adjustmentOf(made.Adjustment)}, Period: &shown, Before: &made.Before, After: &made.After}, nil
}

// hinted adds to the error of a name that is not known which one may be meant.
func hinted(err error) error {
	if unknown, ok := errors.AsType[*billing.UnknownError](err); ok {
		return fmt.Errorf("%w%s", err, spelling.DidYouMean(unknown.Name, unknown.Known))
	}
	return err
}
