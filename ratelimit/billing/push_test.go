package billing

import (
	"errors"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// status is the status of an exporter.
func (f *fixture) status(name string) ExporterStatus {
	f.t.Helper()
	answer, err := f.Exporters()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range answer.Exporters {
		if s.Name == name {
			return s
		}
	}
	f.t.Fatalf("no %s in %+v", name, answer)
	return ExporterStatus{}
}

// Exporters wait for their first round, and say how the last one went.
func TestExporters(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	files, meter := &deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}, verdict: usage.Verdict{Held: "no customer"}}
	f.change(func(p *plan) { p.sinks = []usage.Sink{files, meter} })
	s := f.status("files")
	if s.State != ExporterWaiting || s.WorkedAt != nil || s.NextAt != nil || s.Error != nil || s.Held == nil || s.Reasons == nil || s.Guarantee != "none" {
		t.Errorf("%+v", s)
	}
	f.final(2)
	f.export(files)
	f.export(meter)
	if s := f.status("files"); s.State != ExporterOK || s.WorkedAt == nil || s.NextAt == nil || s.Sent != 1 {
		t.Errorf("%+v", s)
	}
	if s := f.status("meter"); s.State != ExporterOK || s.Held["no customer"] != 1 || s.Due != 1 || s.Sent != 0 {
		t.Errorf("%+v", s)
	}
	f.open.note(&durable.DamageError{File: "billing.db", What: "it is cut"})
	if s := f.status("meter"); s.State != ExporterFailing || s.Error == nil || !strings.Contains(*s.Error, "billing.db") {
		t.Errorf("while no bills are made: %+v", s)
	}
	f.open.note(nil)
	files.err = errors.New("disk full")
	f.final(1)
	f.export(files)
	if s := f.status("files"); s.State != ExporterFailing || s.Error == nil || !strings.Contains(*s.Error, "disk full") || s.WorkedAt == nil {
		t.Errorf("%+v", s)
	}
	f.open.exports.last["files"].err = errStandby
	if s := f.status("files"); s.State != ExporterStandby || s.Error == nil {
		t.Errorf("%+v", s)
	}
}

// Push exports to one exporter or to all, also what a service did not take.
func TestPush(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	if _, err := f.Push(t.Context(), PushOrder{}); !errors.Is(err, ErrNoExporter) {
		t.Error(err)
	}
	files, meter := &deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}, verdict: usage.Verdict{Rejected: "too old"}}
	f.change(func(p *plan) { p.sinks = []usage.Sink{files, meter} })
	f.final(2)
	answer, err := f.Push(t.Context(), PushOrder{Exporter: "meter"})
	if err != nil || len(answer.Exporters) != 2 || answer.Exporters[1].Rejected != 1 || len(answer.Exporters[1].Reasons) != 1 || len(files.got) != 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	meter.verdict = usage.Verdict{}
	if answer, err = f.Push(t.Context(), PushOrder{}); err != nil || len(meter.got) != 0 || len(files.got) != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
	if answer, err = f.Push(t.Context(), PushOrder{Rejected: true}); err != nil || len(meter.got) != 1 || answer.Exporters[1].Rejected != 0 {
		t.Errorf("%+v, %v", answer, err)
	}
	_, err = f.Push(t.Context(), PushOrder{Exporter: "metre"})
	if unknown, ok := errors.AsType[*UnknownError](err); !ok || err.Error() != `exporter "metre": there are files, meter` || len(unknown.Known) != 2 {
		t.Error(err)
	}
	f.change(func(p *plan) { p.missing = true })
	if _, err := f.Push(t.Context(), PushOrder{}); !errors.Is(err, ErrNoPrices) {
		t.Error(err)
	}
}
