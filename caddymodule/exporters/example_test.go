package exporters_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Ledger is an exporter of one's own, for a service that keeps the highest revision of
// each line. It is chosen by `export ledger URL`. A build of xcaddy gets it with --with.
type Ledger struct {
	URL string `json:"url"`
}

func init() {
	caddy.RegisterModule(new(Ledger))
}

func (*Ledger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  gateway.ExporterNamespace + ".ledger",
		New: func() caddy.Module { return new(Ledger) },
	}
}

func (l *Ledger) Name() string    { return "ledger " + l.URL }
func (*Ledger) MaxBatch() int     { return 100 }
func (*Ledger) Guarantee() string { return "each revision of a line arrives, perhaps twice" }

// Deliver makes it a usage.Deliverer. Here, the lines of the batch would be sent.
func (*Ledger) Deliver(context.Context, usage.Batch) error { return nil }

// Audit makes it an audit.Auditor: `edgegate audit` shows what is unsafe about it.
func (l *Ledger) Audit() []audit.Finding {
	if !strings.HasPrefix(l.URL, "http://") {
		return nil
	}
	return []audit.Finding{{
		Severity: audit.Medium,
		Check:    "exporter_in_clear",
		Subject:  l.Name(),
		Message:  "lines go over the network in clear",
		Remedy:   "use an https URL",
	}}
}

func (l *Ledger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&l.URL) {
		return d.ArgErr()
	}
	return nil
}

var (
	_ gateway.Exporter      = (*Ledger)(nil)
	_ usage.Deliverer       = (*Ledger)(nil)
	_ audit.Auditor         = (*Ledger)(nil)
	_ caddyfile.Unmarshaler = (*Ledger)(nil)
)

// An exporter of one's own implements gateway.Exporter and either usage.Deliverer or
// usage.Service; the other interfaces are optional.
func Example() {
	l := new(Ledger)
	if err := l.UnmarshalCaddyfile(caddyfile.NewTestDispenser("ledger http://billing.example.com")); err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range l.Audit() {
		fmt.Println(f.Subject, f.Check)
	}
	// Output: ledger http://billing.example.com exporter_in_clear
}
