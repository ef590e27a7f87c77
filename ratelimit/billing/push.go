package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// ErrNoExporter says that the catalogue has no exporter.
var ErrNoExporter = errors.New("there is no exporter")

// Exporters returns how far the exporters of the catalogue are.
func (e *Engine) Exporters() (ExportersAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return ExportersAnswer{}, err
	}
	answer := ExportersAnswer{Exporters: []ExporterStatus{}}
	for _, sink := range catalogue.Sinks() {
		state := o.exports.state(sink.Name())
		if err := o.noBills.Load(); err != nil && state.err == nil {
			state.err = err // no round begins while no bills are made
		}
		answer.Exporters = append(answer.Exporters, exporterStatus(sink, &state))
	}
	return answer, nil
}

// Push brings the line items up to date, exports now what is new, and returns how far
// the exporters are then: a round that fails is in the answer, not an error. The error
// is ErrNoExporter if there is none, and an UnknownError if none has the name.
func (e *Engine) Push(ctx context.Context, order PushOrder) (ExportersAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return ExportersAnswer{}, err
	}
	sinks := catalogue.Sinks()
	names := make([]string, len(sinks))
	for i, sink := range sinks {
		names[i] = sink.Name()
	}
	switch {
	case len(sinks) == 0:
		return ExportersAnswer{}, ErrNoExporter
	case order.Exporter != "" && !slices.Contains(names, order.Exporter):
		return ExportersAnswer{}, &UnknownError{
			What:    "exporter",
			Name:    order.Exporter,
			Problem: "there are " + strings.Join(names, ", "),
			Known:   names,
		}
	}
	if _, err := e.Update(ctx); err != nil {
		return ExportersAnswer{}, err
	}
	for _, sink := range sinks {
		if order.Exporter != "" && order.Exporter != sink.Name() {
			continue
		}
		if s, ok := sink.(usage.Service); ok && order.Rejected {
			if err := o.exports.resend(ctx, s); err != nil {
				return ExportersAnswer{}, fmt.Errorf("exporter %s: %w", sink.Name(), err)
			}
		}
		o.exports.once(ctx, sink)
	}
	return e.Exporters()
}

// exporterStatus returns an exporter with the state of its last round.
func exporterStatus(sink usage.Sink, s *exportState) ExporterStatus {
	status := ExporterStatus{
		Name:       sink.Name(),
		Guarantee:  sink.Guarantee(),
		State:      ExporterOK,
		WorkedAt:   timeOrNull(s.worked),
		NextAt:     timeOrNull(s.next),
		Sent:       s.result.Sent,
		Held:       s.result.Held,
		Due:        s.delivery.Due,
		Unanswered: s.delivery.Unanswered,
		Rejected:   s.delivery.Rejected,
		Reasons:    s.delivery.Reasons,
	}
	switch {
	case s.standby():
		status.State = ExporterStandby
	case errors.Is(s.err, usage.ErrIncomplete):
		status.State = ExporterWaiting
	case s.err != nil:
		status.State = ExporterFailing
	case s.worked.IsZero():
		status.State = ExporterWaiting
	}
	if s.err != nil {
		text := s.err.Error()
		status.Error = &text
	}
	if status.Held == nil {
		status.Held = make(map[string]int)
	}
	if status.Reasons == nil {
		status.Reasons = []string{}
	}
	return status
}

// timeOrNull returns a moment in UTC, nil for the zero one.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
