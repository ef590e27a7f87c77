package exporters

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// File writes lines to files in a directory: one for each delivery, with
// a manifest. Lines are in it once they are final, and again when they are
// corrected: of each line_id the highest revision counts. Those of FOCUS add up.
type File struct {
	// The directory; it is made if need be.
	Dir string `json:"dir"`

	// The format: csv (default), jsonl, parquet or focus.
	Format string `json:"format,omitempty"`

	files usage.Files
}

func init() {
	caddy.RegisterModule(new(File))
}

// CaddyModule returns the Caddy module information.
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  gateway.ExporterNamespace + ".file",
		New: func() caddy.Module { return new(File) },
	}
}

// Provision checks the options.
func (f *File) Provision(caddy.Context) error {
	if f.Dir == "" {
		return fmt.Errorf("file: the directory is missing; write `%s`", options.Form("file"))
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
func (f *File) Name() string { return f.files.Name() }

// Guarantee implements usage.Sink.
func (f *File) Guarantee() string { return f.files.Guarantee() }

// MaxBatch implements usage.Sink.
func (f *File) MaxBatch() int { return f.files.MaxBatch() }

// Deliver implements usage.Sink.
func (f *File) Deliver(ctx context.Context, b usage.Batch) error {
	return f.files.Deliver(ctx, b)
}

// UnmarshalCaddyfile reads `file DIR { format csv|jsonl|parquet|focus }`.
func (f *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := options.String(d, &f.Dir); err != nil {
		return err
	}
	return options.Block(d, options.Table{
		"format": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.Format, usage.Formats()...) },
	})
}

// Interface guards
var (
	_ gateway.Exporter      = (*File)(nil)
	_ caddy.Provisioner     = (*File)(nil)
	_ caddyfile.Unmarshaler = (*File)(nil)
)
