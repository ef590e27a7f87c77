package permission

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
)

func init() {
	caddy.RegisterModule(new(Permission))
}

// Permission allows certificates for the hosts of projects: the shared domains of
// known refs, and the projects' own domains. It answers from memory.
type Permission struct {
	app *gateway.App
}

// CaddyModule returns the Caddy module information.
func (*Permission) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.permission.edge_functions",
		New: func() caddy.Module { return new(Permission) },
	}
}

// Provision finds the app of the same configuration. It is an error if the
// configuration has none.
func (p *Permission) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("edge_functions")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("permission edge_functions: the edge_functions global option is missing: it says which hosts there are")
	}
	if err != nil {
		return err
	}
	p.app = app.(*gateway.App)
	return nil
}

// CertificateAllowed returns nil if a certificate for name may be obtained, otherwise
// an error that is caddytls.ErrPermissionDenied.
func (p *Permission) CertificateAllowed(_ context.Context, name string) error {
	if p.app.AllowsCertificate(name) {
		return nil
	}
	return fmt.Errorf("%s is no host of a project: %w", name, caddytls.ErrPermissionDenied)
}

// UnmarshalCaddyfile reads `permission edge_functions`, which has no options.
func (p *Permission) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("permission edge_functions: unexpected %q; it has no options", d.Val())
	}
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ caddytls.OnDemandPermission = (*Permission)(nil)
	_ caddy.Provisioner           = (*Permission)(nil)
	_ caddyfile.Unmarshaler       = (*Permission)(nil)
)
