package gateway

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/routing/projects"
)

// keptExporter is an exporter that keeps what it gets.
type keptExporter struct {
	inForce func() iter.Seq[*projects.Organization]

	mu    sync.Mutex // guards lines
	lines []usage.Line
}

// muteExporter has no way to get lines.
type muteExporter struct{ keptSink }

// alienExporter is a module of the namespace, and no exporter.
type alienExporter struct{}

func init() {
	caddy.RegisterModule(new(keptExporter))
	caddy.RegisterModule(new(muteExporter))
	caddy.RegisterModule(new(alienExporter))
}

func (*keptExporter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: ExporterNamespace + ".kept", New: func() caddy.Module { return new(keptExporter) }}
}

func (*muteExporter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: ExporterNamespace + ".mute", New: func() caddy.Module { return new(muteExporter) }}
}

func (*alienExporter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: ExporterNamespace + ".alien", New: func() caddy.Module { return new(alienExporter) }}
}

// keptSink has what every sink has.
type keptSink struct{}

func (keptSink) Name() string      { return "kept" }
func (keptSink) MaxBatch() int     { return 100 }
func (keptSink) Guarantee() string { return "none" }

func (*keptExporter) Name() string      { return "kept" }
func (*keptExporter) MaxBatch() int     { return 100 }
func (*keptExporter) Guarantee() string { return "none" }

func (e *keptExporter) Deliver(_ context.Context, b usage.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, b.Lines...)
	return nil
}

func (e *keptExporter) UseOrganizations(inForce func() iter.Seq[*projects.Organization]) {
	e.inForce = inForce
}

// An exporter learns who pays, is in the metrics, and gets what is pushed.
func TestExporters(t *testing.T) {
	const organizations = `"organizations":[{"id":"zeta","plan":"pro"},{"id":"acme","plan":"free"}],`
	other := strings.Replace(projectJSON("b"), someRef, "zyxwvutsrqponmlkjihg", 1)
	other = strings.Replace(strings.Replace(other, "api.acme.org", "api.zeta.org", 1), "sb_publishable_abc123", "sb_publishable_def456", 1)
	text := `{` + organizations + `"projects":[` + strings.Replace(projectJSON("a"), `{`, `{"organization":"zeta",`, 1) + `,` + strings.Replace(other, `{`, `{"organization":"acme",`, 1) + `]}`
	config := strings.Replace(string(textApp(t, text)), `"apex"`, `"exporters":[{"exporter":"kept"}],"apex"`, 1)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	load(t, []byte(config))
	app := runningApp(t)
	exporters, sinks := app.Exporters(), billingCatalogue{app}.Sinks()
	if len(exporters) != 1 || len(sinks) != 1 || sinks[0].Name() != "kept" {
		t.Fatalf("exporters %v, sinks %v", exporters, sinks)
	}
	kept := exporters[0].(*keptExporter)
	var ids []string
	for o := range kept.inForce() {
		ids = append(ids, o.ID)
	}
	if !slices.Equal(ids, []string{"acme", "zeta"}) {
		t.Errorf("organizations %v", ids)
	}
	for o := range kept.inForce() { // and a loop that ends early
		if o.ID != "acme" {
			t.Errorf("first comes %s", o.ID)
		}
		break
	}
	if got := (billingCatalogue{app}).Regions(); !slices.Equal(got, []string{"us-east-1"}) {
		t.Errorf("regions %v", got)
	}
	answer, err := app.Engine().Push(t.Context(), billing.PushOrder{})
	if err != nil || len(answer.Exporters) != 1 || answer.Exporters[0].State == billing.ExporterFailing {
		t.Fatalf("%+v, %v", answer, err)
	}
	scraped := app.scrape().Exporters
	if len(scraped) != 1 || scraped[0].Name != "kept" || scraped[0].Failing || scraped[0].LastSuccess.IsZero() {
		t.Errorf("metrics %+v", scraped)
	}
}
