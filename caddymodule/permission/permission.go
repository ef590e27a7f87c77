package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/edgegate/edgegate/caddymodule/options"
)

func init() {
	caddy.RegisterModule(new(TLSPermission))
}

// TLSPermission lets on-demand TLS obtain certificates for the hosts of the
// projects, and for nothing else: the shared domains of known refs and the
// projects' own domains. It answers from memory.
type TLSPermission struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (*TLSPermission) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.permission.edge_functions",
		New: func() caddy.Module { return new(TLSPermission) },
	}
}

// Provision finds the app.
func (p *TLSPermission) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("edge_functions")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("permission edge_functions: the edge_functions global option is missing: it says which hosts there are")
	}
	if err != nil {
		return err
	}
	p.app = app.(*App)
	return nil
}

// CertificateAllowed implements caddytls.OnDemandPermission.
func (p *TLSPermission) CertificateAllowed(_ context.Context, name string) error {
	if p.app.certifiable(name) {
		return nil
	}
	return fmt.Errorf("%s is no host of a project: %w", name, caddytls.ErrPermissionDenied)
}

// UnmarshalCaddyfile reads `permission edge_functions`, which has no options.
func (p *TLSPermission) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("permission edge_functions: unexpected %q; it has no options", d.Val())
	}
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ caddytls.OnDemandPermission = (*TLSPermission)(nil)
	_ caddy.Provisioner           = (*TLSPermission)(nil)
	_ caddyfile.Unmarshaler       = (*TLSPermission)(nil)
)
