package dynamic

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/spelling"
)

// Namespace is that of the modules that may follow `dynamic`.
const Namespace = "http.reverse_proxy.upstreams"

// Parse reads
//
//	dynamic <module> [<argument...>] {
//		...
//	}
//
// as reverse_proxy does. The dispenser is on `dynamic`. The result has the module's
// name as "source".
func Parse(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if err := options.RefuseUnset(d); err != nil {
		return nil, err
	}
	at := *d
	if !d.NextArg() {
		return nil, d.Errf("dynamic: the module is missing; modules here: %s", moduleNames())
	}
	name := d.Val()
	if err := known(name); err != nil {
		return nil, d.Errf("dynamic: %v", err)
	}
	block := *d
	if err := checkBlock(&block); err != nil {
		return nil, err
	}
	module, err := caddyfile.UnmarshalModule(d, Namespace+"."+name)
	if err != nil {
		return nil, err
	}
	if _, ok := module.(reverseproxy.UpstreamSource); !ok {
		return nil, at.Errf("dynamic %s: the module is no source of upstreams", name)
	}
	raw := caddyconfig.JSONModuleObject(module, "source", name, nil)
	if _, err := Preview(raw, ""); err != nil {
		return nil, at.Errf("%s", options.OneLine(err))
	}
	return raw, nil
}

// Preview returns the sources of a configuration with their names and intervals. It
// replaces no placeholders and loads no modules, and reports the errors that are found
// without: it is for Caddyfiles, which may be adapted on another machine. The sources
// cannot be looked up.
func Preview(raw json.RawMessage, scheme string) ([]discovery.Source, error) {
	l := loader{scheme: scheme, preview: true}
	return l.sources(raw)
}

// Load returns the sources of a configuration, as Parse returns it. Modules other than
// a, srv and multi are loaded with ctx. Nothing is looked up yet. The scheme is that of
// all backends: http, https or h2c.
func Load(ctx caddy.Context, raw json.RawMessage, scheme string) ([]discovery.Source, error) {
	l := loader{ctx: ctx, scheme: scheme}
	return l.sources(raw)
}

type loader struct {
	ctx     caddy.Context
	scheme  string
	preview bool // placeholders stay, and other modules are not loaded
}

// sources returns the sources of one module.
func (l *loader) sources(raw json.RawMessage) ([]discovery.Source, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("dynamic: %w", err)
	}
	var name string
	if err := json.Unmarshal(fields["source"], &name); err != nil || name == "" {
		return nil, fmt.Errorf(`dynamic: the name of the module is missing as "source"; modules here: %s`, moduleNames())
	}
	if err := known(name); err != nil {
		return nil, fmt.Errorf("dynamic: %w", err)
	}
	delete(fields, "source")
	options, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("dynamic %s: %w", name, err)
	}
	sources, err := l.module(name, options)
	if err != nil {
		return nil, fmt.Errorf("dynamic %s: %w", name, err)
	}
	return sources, nil
}

// module returns the sources of a module by its options in JSON.
func (l *loader) module(name string, options json.RawMessage) ([]discovery.Source, error) {
	if name == "multi" {
		return l.multi(options)
	}
	own := name == "a" || name == "srv"
	filled, err := fill(options, own, l.preview)
	if err != nil {
		return nil, err
	}
	var source discovery.Source
	switch name {
	case "a":
		source, err = l.addresses(filled)
	case "srv":
		source, err = l.service(filled)
	default:
		source, err = l.guest(name, options, filled)
	}
	if err != nil {
		return nil, err
	}
	source.Scheme = l.scheme
	return []discovery.Source{source}, nil
}

// multi returns the sources of several modules, each with a list of its own.
func (l *loader) multi(options json.RawMessage) ([]discovery.Source, error) {
	var module reverseproxy.MultiUpstreams
	if err := caddy.StrictUnmarshalJSON(options, &module); err != nil {
		return nil, err
	}
	if len(module.SourcesRaw) == 0 {
		return nil, errors.New("no source in it")
	}
	var (
		sources []discovery.Source
		errs    []error
	)
	for _, raw := range module.SourcesRaw {
		some, err := l.sources(raw)
		if err != nil {
			errs = append(errs, err)
		}
		sources = append(sources, some...)
	}
	return sources, errors.Join(errs...)
}

// known returns an error if there is no module of the name.
func known(name string) error {
	names := options.ModuleNames(Namespace)
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("unknown module %q; modules here: %s%s", name, moduleNames(), spelling.DidYouMean(name, names))
}

func moduleNames() string { return strings.Join(options.ModuleNames(Namespace), ", ") }
