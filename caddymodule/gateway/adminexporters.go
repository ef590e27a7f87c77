package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/regions/spelling"
)

// exportersAnswer is what `edgegate usage exporters` and `usage push` show.
type exportersAnswer struct {
	Exporters []exporterAnswer `json:"exporters"`
}

// The states of an exporter.
const (
	exporterOK      = "ok"
	exporterWaiting = "waiting" // for its first round
	exporterStandby = "standby" // another process exports
	exporterFailing = "failing"
)

type exporterAnswer struct {
	Name       string         `json:"name"`
	Guarantee  string         `json:"guarantee"`
	State      string         `json:"state"`
	WorkedAt   *time.Time     `json:"worked_at"` // when it last had all that is new, but what is held or rejected
	NextAt     *time.Time     `json:"next_at"`
	Error      *string        `json:"error"`
	Sent       int            `json:"sent"`       // in the last round
	Held       map[string]int `json:"held"`       // messages of the last round by why they wait
	Due        int            `json:"due"`        // days or hours of organizations of which it may not have all
	Unanswered int            `json:"unanswered"` // messages of which it is not known whether they arrived
	Rejected   int            `json:"rejected"`   // messages that it does not take
	Reasons    []string       `json:"reasons"`    // of some of them
}

func (a *App) listExporters(*http.Request) (any, error) {
	answer := exportersAnswer{Exporters: []exporterAnswer{}}
	for _, exporter := range a.exporters {
		state, err := a.engine.ExporterState(exporter.Name())
		if err != nil {
			return nil, err
		}
		answer.Exporters = append(answer.Exporters, exporterStatus(exporter, &state))
	}
	return answer, nil
}

func exporterStatus(x Exporter, s *billing.ExporterState) exporterAnswer {
	e := exporterAnswer{
		Name: x.Name(), Guarantee: x.Guarantee(), State: exporterOK, WorkedAt: someTime(s.Worked), NextAt: someTime(s.Next), Sent: s.Result.Sent, Held: s.Result.Held,
		Due: s.Delivery.Due, Unanswered: s.Delivery.Unanswered, Rejected: s.Delivery.Rejected, Reasons: s.Delivery.Reasons,
	}
	switch {
	case s.Standby():
		e.State = exporterStandby
	case s.Err != nil:
		e.State = exporterFailing
	case s.Worked.IsZero():
		e.State = exporterWaiting
	}
	if s.Err != nil {
		text := s.Err.Error()
		e.Error = &text
	}
	if e.Held == nil {
		e.Held = make(map[string]int)
	}
	if e.Reasons == nil {
		e.Reasons = []string{}
	}
	return e
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// pushOrder is what `edgegate usage push` orders.
type pushOrder struct {
	Exporter string `json:"exporter"` // "": all
	Rejected bool   `json:"rejected"` // also what it did not take
}

// push has exporters told now what is new.
func (a *App) push(r *http.Request) (any, error) {
	var order pushOrder
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return nil, fmt.Errorf(`the body must be {"exporter":"NAME","rejected":false}, or "" for all: %w`, err)
	}
	names := make([]string, len(a.exporters))
	for i, e := range a.exporters {
		names[i] = e.Name()
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("there is no exporter; add `export` to the edge_functions global option")
	case order.Exporter != "" && !slices.Contains(names, order.Exporter):
		return nil, fmt.Errorf("exporter %q: there are %s%s", order.Exporter, strings.Join(names, ", "), spelling.DidYouMean(order.Exporter, names))
	}
	if _, err := a.engine.Update(r.Context()); err != nil {
		return nil, err
	}
	for _, exporter := range a.exporters {
		if order.Exporter != "" && order.Exporter != exporter.Name() {
			continue
		}
		if s, ok := exporter.(usage.Service); ok && order.Rejected {
			if err := a.engine.Resend(r.Context(), s); err != nil {
				return nil, fmt.Errorf("exporter %s: %w", exporter.Name(), err)
			}
		}
		if err := a.engine.Export(r.Context(), exporter); err != nil {
			return nil, err
		}
	}
	return a.listExporters(r)
}
