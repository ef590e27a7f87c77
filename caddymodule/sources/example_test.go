package sources_test

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/routing/projects"
)

// Static is a source of one's own: projects that are written into the configuration.
// It is chosen by `projects static TEXT`. A build of xcaddy gets it with --with.
type Static struct {
	Text string `json:"text"`
}

func init() {
	caddy.RegisterModule(new(Static))
}

func (*Static) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "edge_functions.projects.static", New: func() caddy.Module { return new(Static) }}
}

func (*Static) Location() string { return "the configuration" }

// Load makes it a gateway.PreloadedSource: it is read with the configuration.
func (s *Static) Load() (projects.Input, error) { return projects.SplitFile([]byte(s.Text)) }

// Follow has nothing to deliver: the text does not change.
func (*Static) Follow(ctx context.Context, _ gateway.ProjectSink) { <-ctx.Done() }

func (s *Static) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Text) {
		return d.ArgErr()
	}
	return nil
}

var (
	_ gateway.PreloadedSource = (*Static)(nil)
	_ caddyfile.Unmarshaler   = (*Static)(nil)
)

// A source of one's own implements gateway.ProjectSource and, as it needs them, the
// optional interfaces beside it.
func Example() {
	s := new(Static)
	d := caddyfile.NewTestDispenser("static `{\"projects\":[{\"ref\":\"abcdefghijklmnopqrst\"}]}`")
	if err := s.UnmarshalCaddyfile(d); err != nil {
		fmt.Println(err)
		return
	}
	input, err := s.Load()
	fmt.Println(len(input.Projects), err)
	// Output: 1 <nil>
}
