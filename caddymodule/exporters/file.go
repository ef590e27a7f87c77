package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// FileExporter writes lines to files in a directory: one for each delivery, with
// a manifest. Lines are in it once they are final, and again when they are
// corrected: of each line_id the highest revision counts. Those of FOCUS add up.
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
func (f *FileExporter) Name() string { return f.files.Name() }

// Guarantee implements usage.Sink.
func (f *FileExporter) Guarantee() string { return f.files.Guarantee() }

// MaxBatch implements usage.Sink.
func (f *FileExporter) MaxBatch() int { return f.files.MaxBatch() }

// Deliver implements usage.Sink.
func (f *FileExporter) Deliver(ctx context.Context, b usage.Batch) error {
	return f.files.Deliver(ctx, b)
}

// UnmarshalCaddyfile reads `file DIR { format csv|jsonl|parquet|focus }`.
func (f *FileExporter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
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
	_ Exporter              = (*FileExporter)(nil)
	_ caddy.Provisioner     = (*FileExporter)(nil)
	_ caddyfile.Unmarshaler = (*FileExporter)(nil)
)
