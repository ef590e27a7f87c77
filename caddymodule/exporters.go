package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// exporterNamespace is where the modules of Exporter are.
const exporterNamespace = "edge_functions.exporters"

// unbuiltExporters are those of INTERFACE.md that are to come.
var unbuiltExporters = []string{"stripe", "webhook"}

// Exporter is where lines go as they become final or are corrected: a guest
// module in the namespace edge_functions.exporters. Deliveries are one after the
// other; each minute it is tried again what failed.
type Exporter interface {
	caddy.Module
	usage.Sink
}

// parseExport reads an exporter by the module of its name.
func (a *App) parseExport(d *caddyfile.Dispenser) error {
	names := moduleNames(exporterNamespace)
	if !d.NextArg() {
		return d.Errf("export: what to is missing; write `%s`", forms["export"])
	}
	name := d.Val()
	if slices.Contains(unbuiltExporters, name) {
		return d.Errf("export %s: not in this build", name)
	}
	if !slices.Contains(names, name) {
		return d.Errf("export %q: allowed are %s%s", name, strings.Join(names, ", "), didYouMean(name, names))
	}
	exporter, err := caddyfile.UnmarshalModule(d, exporterNamespace+"."+name)
	if err != nil {
		return err
	}
	a.ExportersRaw = append(a.ExportersRaw, caddyconfig.JSONModuleObject(exporter, "exporter", name, nil))
	return nil
}

// provisionExporters loads the exporters.
func (a *App) provisionExporters(ctx caddy.Context) error {
	if len(a.ExportersRaw) == 0 {
		return nil
	}
	loaded, err := ctx.LoadModule(a, "ExportersRaw")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	seen := make(map[string]bool)
	for _, module := range loaded.([]any) {
		exporter, ok := module.(Exporter)
		if !ok {
			return fmt.Errorf("export: %T is no exporter", module)
		}
		if seen[exporter.Name()] {
			return fmt.Errorf("export %s: given twice, keep one", exporter.Name())
		}
		seen[exporter.Name()] = true
		a.exporters = append(a.exporters, exporter)
	}
	return nil
}

// export delivers what is new to all exporters of the configuration in force.
func (b *bookkeeping) export(ctx context.Context) {
	opened, app := b.open.Load(), b.app.Load()
	for _, exporter := range app.exporters {
		n, err := opened.bill.book.Drain(ctx, exporter)
		switch {
		case errors.Is(err, context.Canceled):
		case err != nil:
			b.logger.Load().Error("lines of usage were not exported; it is tried again in a minute", zap.Error(err))
		case n > 0:
			b.logger.Load().Info("exported lines of usage", zap.String("exporter", exporter.Name()), zap.Int("lines", n))
		}
	}
}

// FileExporter writes lines to files in a directory: one for each delivery, with
// a manifest. Lines are in it once they are final, and again when they are
// corrected: of each line_id the highest revision counts.
type FileExporter struct {
	// The directory; it is made if need be.
	Dir string `json:"dir"`

	// The format: csv (default), jsonl, parquet or focus.
	Format string `json:"format,omitempty"`

	files usage.Files
}

func init() {
	caddy.RegisterModule(new(FileExporter))
}

// CaddyModule returns the Caddy module information.
func (*FileExporter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  exporterNamespace + ".file",
		New: func() caddy.Module { return new(FileExporter) },
	}
}

// Provision checks the options.
func (f *FileExporter) Provision(caddy.Context) error {
	if f.Dir == "" {
		return fmt.Errorf("file: the directory is missing; write `%s`", forms["export"])
	}
	if f.Format == "" {
		f.Format = string(usage.CSV)
	}
	if !slices.Contains(usage.Formats(), f.Format) {
		return fmt.Errorf("file: format %q: allowed are %s", f.Format, strings.Join(usage.Formats(), ", "))
	}
	f.files = usage.Files{Dir: f.Dir, Format: usage.Format(f.Format)}
	return nil
}

// Name implements usage.Sink.
func (f *FileExporter) Name() string { return f.files.Name() }

// Most implements usage.Sink.
func (f *FileExporter) Most() int { return f.files.Most() }

// Deliver implements usage.Sink.
func (f *FileExporter) Deliver(ctx context.Context, b usage.Batch) error {
	return f.files.Deliver(ctx, b)
}

// UnmarshalCaddyfile reads `file DIR { format csv|jsonl|parquet|focus }`.
func (f *FileExporter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := oneArg(d, &f.Dir); err != nil {
		return err
	}
	return block(d, options{
		"format": func(d *caddyfile.Dispenser) error { return oneOf(d, &f.Format, usage.Formats()...) },
	})
}

// Interface guards
var (
	_ Exporter              = (*FileExporter)(nil)
	_ caddy.Provisioner     = (*FileExporter)(nil)
	_ caddyfile.Unmarshaler = (*FileExporter)(nil)
)
