package permission

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	_ "github.com/edgegate/edgegate/caddymodule/sources"
)

const someRef = "abcdefghijklmnopqrst"

// permissionOf runs a gateway, and returns the permission of its configuration.
func permissionOf(t *testing.T, served string) *Permission {
	t.Helper()
	config := fmt.Appendf(nil, `{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},
		"apps":{"edge_functions":{"store":{"kind":"embedded","path":%q},"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]}],%s}}}`,
		t.TempDir(), served)
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := new(Permission)
	if err := p.Provision(caddy.ActiveContext()); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPermission: certificates are for the hosts of projects alone.
func TestPermission(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	if err := os.WriteFile(path, []byte(`{"projects":[{"ref":"`+someRef+`","domains":["api.acme.org"],"functions":[{"slug":"hello"}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	many := permissionOf(t, fmt.Sprintf(`"apex":"example.com","projects":{"source":"file","path":%q}`, path))
	for name, allowed := range map[string]bool{
		"api.acme.org": true, "API.acme.org": true, someRef + ".example.com": true, someRef + ".functions.example.com": true,
		"example.com": false, "www.example.com": false, "zz" + someRef[2:] + ".example.com": false, "evil.org": false,
		"api.acme.org.": false, "api.acme.org:443": false, "*.example.com": false, "": false, "127.0.0.1": false,
	} {
		err := many.CertificateAllowed(context.Background(), name)
		if (err == nil) != allowed || err != nil && !errors.Is(err, caddytls.ErrPermissionDenied) {
			t.Errorf("%q: %v, allowed is %t", name, err, allowed)
		}
	}
}

// TestPermissionOfOneProject: it answers on any host, which must not have certificates obtained.
func TestPermissionOfOneProject(t *testing.T) {
	one := permissionOf(t, `"project":{"domains":["api.acme.org"],"functions":[{"slug":"*"}]}`)
	if err := one.CertificateAllowed(context.Background(), "api.acme.org"); err != nil {
		t.Error(err)
	}
	if err := one.CertificateAllowed(context.Background(), "evil.org"); err == nil {
		t.Error("a certificate for any host")
	}
}

// TestPermissionWithoutApp: the error says which option is missing.
func TestPermissionWithoutApp(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(Permission).Provision(ctx); err == nil || !strings.Contains(err.Error(), "edge_functions global option is missing") {
		t.Errorf("got %v", err)
	}
}

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"edge_functions":             "",
		"edge_functions example.com": `unexpected "example.com"; it has no options`,
		"edge_functions {\n\tany\n}": "any",
	} {
		err := new(Permission).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
