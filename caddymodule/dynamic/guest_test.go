package dynamic_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/edgegate/edgegate/caddymodule/dynamic"
	"github.com/edgegate/edgegate/regions/discovery"
)

// Guest is a module of somebody else's.
type Guest struct {
	Dials  []string          `json:"dials,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Refuse string            `json:"refuse,omitempty"`

	// Ask replaces GetUpstreams in tests that need more than a list.
	Ask string `json:"ask,omitempty"`
}

func init() { caddy.RegisterModule(new(Guest)) }

func (*Guest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: dynamic.Namespace + ".guest", New: func() caddy.Module { return new(Guest) }}
}

func (g *Guest) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	g.Dials = d.RemainingArgs()
	return nil
}

func (g *Guest) Provision(caddy.Context) error {
	if g.Refuse != "" {
		return errors.New(g.Refuse)
	}
	return nil
}

// asks are the functions that Ask names.
var asks sync.Map

func (g *Guest) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	if ask, ok := asks.Load(g.Ask); ok {
		return ask.(func(*http.Request) ([]*reverseproxy.Upstream, error))(r)
	}
	upstreams := []*reverseproxy.Upstream{nil}
	for _, dial := range g.Dials {
		upstreams = append(upstreams, &reverseproxy.Upstream{Dial: dial})
	}
	return upstreams, nil
}

// asking returns the source of a guest that calls the function.
func asking(t *testing.T, ask func(*http.Request) ([]*reverseproxy.Upstream, error)) discovery.Source {
	t.Helper()
	asks.Store(t.Name(), ask)
	t.Cleanup(func() { asks.Delete(t.Name()) })
	raw, err := json.Marshal(map[string]any{"source": "guest", "ask": t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	sources, err := dynamic.Load(caddyContext(t), raw, "http")
	if err != nil {
		t.Fatal(err)
	}
	return sources[0]
}

// askCaddy returns what a module of Caddy's finds by itself, asked as reverse_proxy does.
func askCaddy(t *testing.T, raw json.RawMessage) ([]*reverseproxy.Upstream, error) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	name := fields["source"].(string)
	delete(fields, "source")
	options, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	module, err := caddyContext(t).LoadModuleByID(dynamic.Namespace+"."+name, options)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	return module.(reverseproxy.UpstreamSource).GetUpstreams(r)
}

func TestGuestUpstreams(t *testing.T) {
	t.Setenv("RUNTIME_PORT", "9009")
	source := load(t, "dynamic guest 10.0.0.2:9000 10.0.0.1:9000 tcp4/localhost:9001 [2001:db8::1]:9000 unix//run/edge.sock "+
		"10.0.0.1:9000 [::ffff:10.0.0.3]:9000 10.0.0.4:{env.RUNTIME_PORT} udp/10.0.0.9:9000 10.0.0.9 unix/relative.sock 10.0.0.9:9000-9001 tcp6/10.0.0.9:9000 unix+h2c//run/h2c.sock", "http")[0]
	endpoints, err := lookup(t, source)
	// What is left out is said of one.
	if err == nil || !strings.HasPrefix(err.Error(), `guest: upstream "`) {
		t.Errorf("%v", err)
	}
	want := []discovery.Endpoint{
		{Address: "10.0.0.2:9000", Host: "10.0.0.2:9000"},
		{Address: "10.0.0.1:9000", Host: "10.0.0.1:9000"},
		{Address: "127.0.0.1:9001", Host: "localhost:9001"},
		{Address: "[2001:db8::1]:9000", Host: "[2001:db8::1]:9000"},
		{Address: "/run/edge.sock"},
		{Address: "10.0.0.3:9000", Host: "10.0.0.3:9000"},
		{Address: "10.0.0.4:9009", Host: "10.0.0.4:9009"},
	}
	if !slices.Equal(endpoints, want) {
		t.Errorf("%+v\nwant\n%+v", endpoints, want)
	}
	expect(t, load(t, "dynamic guest unix+h2c//run/h2c.sock", "h2c")[0], "/run/h2c.sock")
}

func TestGuestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(*http.Request) ([]*reverseproxy.Upstream, error)
		want string
	}{
		{"an error", func(*http.Request) ([]*reverseproxy.Upstream, error) { return nil, errors.New("no docker here") }, "guest: no docker here"},
		{"a panic", func(*http.Request) ([]*reverseproxy.Upstream, error) { panic("of another") }, "guest: the module panicked: of another"},
		{"nothing valid", func(*http.Request) ([]*reverseproxy.Upstream, error) {
			return []*reverseproxy.Upstream{{Dial: "10.0.0.1"}}, nil
		}, `guest: upstream "10.0.0.1": want HOST:PORT`},
		{"a placeholder", func(*http.Request) ([]*reverseproxy.Upstream, error) {
			return []*reverseproxy.Upstream{{Dial: "{http.request.host}:80"}}, nil
		}, `guest: upstream "{http.request.host}:80": unrecognized placeholder`},
		{"it waits for the end of the context", func(r *http.Request) ([]*reverseproxy.Upstream, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, "guest: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			endpoints, err := lookup(t, asking(t, tt.ask))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v, %v, want %q", endpoints, err, tt.want)
			}
		})
	}
	endpoints, err := lookup(t, asking(t, func(*http.Request) ([]*reverseproxy.Upstream, error) { return nil, nil }))
	if len(endpoints) != 0 || err != nil {
		t.Errorf("%v, %v", endpoints, err)
	}
}

// TestGuestNoName: a module has found nothing while none of its names can be looked up.
func TestGuestNoName(t *testing.T) {
	var names atomic.Pointer[[]string]
	source := asking(t, func(*http.Request) (all []*reverseproxy.Upstream, err error) {
		for _, name := range *names.Load() {
			all = append(all, &reverseproxy.Upstream{Dial: name})
		}
		return all, nil
	})
	for _, tt := range []struct {
		dials []string
		want  int
	}{
		{[]string{"none.invalid:9000", "tcp4/none.invalid:9000"}, 0},
		{[]string{"none.invalid:9000", "10.0.0.1:9000"}, 1},
		{[]string{"none.invalid:9000", "unix//run/edge.sock"}, 1},
	} {
		names.Store(&tt.dials)
		endpoints, err := lookup(t, source)
		if len(endpoints) != tt.want || err == nil || !strings.HasPrefix(err.Error(), "guest: none.invalid: ") {
			t.Errorf("%v: %v, %v", tt.dials, endpoints, err)
		}
	}
}

// TestGuestRequest: modules get what they get from reverse_proxy, but nothing of a client.
func TestGuestRequest(t *testing.T) {
	source := asking(t, func(r *http.Request) ([]*reverseproxy.Upstream, error) {
		replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if !ok || replacer.ReplaceAll("{http.request.method}", "") != http.MethodGet {
			return nil, errors.New("no replacer")
		}
		if _, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); !ok {
			return nil, errors.New("no server")
		}
		caddyhttp.SetVar(r.Context(), "seen", true)
		if caddyhttp.GetVar(r.Context(), "seen") != true || r.URL.Path != "/" || r.Header == nil || r.Body == nil {
			return nil, errors.New("no variables, no URL, no header or no body")
		}
		return []*reverseproxy.Upstream{{Dial: "10.0.0.1:9000"}}, nil
	})
	expect(t, source, "10.0.0.1:9000")
}

// TestGuestHangs: a module that ignores the end of its request is not called again
// before it has returned.
func TestGuestHangs(t *testing.T) {
	release, calls := make(chan struct{}), make(chan struct{}, 10)
	source := asking(t, func(*http.Request) ([]*reverseproxy.Upstream, error) {
		calls <- struct{}{}
		<-release
		return []*reverseproxy.Upstream{{Dial: "10.0.0.1:9000"}}, nil
	})
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := source.Lookup(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "did not return") {
			t.Errorf("%v", err)
		}
	}
	if n := len(calls); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	close(release)
	expect(t, source, "10.0.0.1:9000")
	if n := len(calls); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// TestGuestKeepsBraces: texts in braces that mean nothing to Caddy are the module's own.
func TestGuestKeepsBraces(t *testing.T) {
	t.Setenv("RUNTIME_PORT", "9009")
	raw := json.RawMessage(`{"source":"guest","labels":{"format":"{{.Name}} {namespace} \\{host}"},"dials":["10.0.0.1:{env.RUNTIME_PORT}"]}`)
	sources, err := dynamic.Load(caddyContext(t), raw, "http")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, sources[0], "10.0.0.1:9009")
}
