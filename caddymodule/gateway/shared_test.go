package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/regions"
)

// references returns how many configurations hold a thing of the pool.
func references(key any) int {
	n, _ := statePool.References(key)
	return n
}

func backend(t *testing.T, address string) regions.Backend {
	t.Helper()
	b, err := regions.ParseBackend(address)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustRelease(t *testing.T, l *sharedState) {
	t.Helper()
	if err := l.release(); err != nil {
		t.Errorf("release: %v", err)
	}
}

func TestLeaseIsReleasedOnce(t *testing.T) {
	b := backend(t, "http://127.0.0.1:9")
	key := upstreamKey{"us-east-1", b.Key()}
	expect := func(when string, want int) {
		t.Helper()
		if sockets, upstreams := references(socketsKey), references(key); sockets != want || upstreams != want {
			t.Errorf("%s: %d hold the sockets, %d the backend, want %d", when, sockets, upstreams, want)
		}
	}
	expect("before", 0)
	running, next := acquireShared(), acquireShared()
	first, second := stateStore{running}.Upstream("us-east-1", b), stateStore{next}.Upstream("us-east-1", b)
	if first != second || running.sockets != next.sockets {
		t.Error("two configurations have two states of one backend")
	}
	expect("two configurations", 2)
	mustRelease(t, next)
	expect("the new one is cleaned up", 1)
	mustRelease(t, next)
	expect("Caddy cleans it up again", 1)
	if third := (stateStore{running}).Upstream("eu-west-1", b); third == first {
		t.Error("one address in two regions has one state")
	}
	mustRelease(t, running)
	expect("the last one is cleaned up", 0)
	if n := references(upstreamKey{"eu-west-1", b.Key()}); n != 0 {
		t.Errorf("%d hold the other region's backend", n)
	}
}

// The state of a backend on which a call runs outlives all configurations until the call
// ends, with that of its region: a configuration that has the backend again finds it.
func TestBusyBackendOutlivesConfigurations(t *testing.T) {
	answer := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-answer
	}))
	defer server.Close()
	defer sync.OnceFunc(func() { close(answer) })()
	set, err := regions.NewSet([]regions.Region{{Name: "us-east-1", Backends: []regions.Backend{backend(t, server.URL)}}})
	if err != nil {
		t.Fatal(err)
	}
	region, b := set.All()[0], set.All()[0].Backends[0]
	expect := func(when string, want int) {
		t.Helper()
		if upstreams, states := references(upstreamKey{region.Name, b.Key()}), references(regionKey{region.Name}); upstreams != want || states != want {
			t.Errorf("%s: %d hold the backend, %d its region, want %d", when, upstreams, states, want)
		}
	}
	running := acquireShared()
	network := regions.NewNetwork(regions.NetworkConfig{Set: set, States: stateStore{running}})
	before, state := network.Upstreams(region)[0], network.State(region)
	exchange, ctx := regions.Begin(t.Context(), regions.Plan{Candidates: []regions.Candidate{{Region: region, Reason: regions.ReasonNearest}}}, regions.Limits{})
	defer exchange.End()
	request := (&http.Request{Method: http.MethodGet, URL: &url.URL{Opaque: "/"}, Header: make(http.Header)}).WithContext(ctx)
	response, err := (&regions.Transport{Network: network}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	expect("a call runs", 1)
	refused := acquireShared()
	stateStore{refused}.Upstream(region.Name, b)
	mustRelease(t, refused)
	mustRelease(t, running)
	expect("no configuration has the backend", 1)

	again := acquireShared()
	next := regions.NewNetwork(regions.NetworkConfig{Set: set, States: stateStore{again}})
	if next.Upstreams(region)[0] != before || next.State(region) != state {
		t.Error("the next configuration has not found the state")
	}
	expect("it is configured again", 2)
	stateStore{again}.Release(region.Name, b)
	stateStore{again}.Upstream(region.Name, b)
	expect("it left the list, and came back", 2)
	mustRelease(t, again)
	expect("no configuration has it any more", 1)
	exchange.End()
	expect("the call has ended", 0)
}

// Caddy cleans up what was never provisioned, too.
func TestLeaseNil(t *testing.T) {
	mustRelease(t, nil)
	if err := new(App).Cleanup(); err != nil {
		t.Error(err)
	}
}

// appConfig is a whole configuration with only our app, without the admin endpoint and without traces on disk.
func appConfig(app string) []byte {
	return []byte(`{"admin":{"disabled":true,"config":{"persist":false}},
		"logging":{"logs":{"default":{"writer":{"output":"kept"},"encoder":{"format":"json"}}}},
		"apps":{"edge_functions":` + app + `}}`)
}

const goodApp = `{"location":{"region":"eu-central-1"},
	"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]},{"name":"eu-west-1","backends":["http://127.0.0.1:9","unix//run/edge.sock"]}],
	"project":{"functions":[{"slug":"*"}]}}`

// load runs a configuration until the test ends.
func load(t *testing.T, config []byte) {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		engines.closeAll() // as when a process exits
	})
}

func firstUpstream(t *testing.T, app any) *regions.Upstream {
	t.Helper()
	network := app.(*App).network
	region, ok := network.Set.Lookup("us-east-1")
	if !ok {
		t.Fatal("the region is not configured")
	}
	return network.Upstreams(region)[0]
}

// TestRefusedConfigChangesNothing is about a bug that unconditional releases have: Caddy also cleans up configurations
// that failed to load, and with them goes the state of the running one.
func TestRefusedConfigChangesNothing(t *testing.T) {
	keys := []any{
		socketsKey,
		upstreamKey{"us-east-1", backend(t, "http://127.0.0.1:9").Key()},
		upstreamKey{"eu-west-1", backend(t, "http://127.0.0.1:9").Key()},
		upstreamKey{"eu-west-1", backend(t, "unix//run/edge.sock").Key()},
	}
	expect := func(t *testing.T, want int) {
		t.Helper()
		for _, key := range keys {
			if n := references(key); n != want {
				t.Errorf("%v is held %d times, want %d", key, n, want)
			}
		}
	}
	t.Run("running", func(t *testing.T) {
		load(t, appConfig(goodApp))
		expect(t, 1)
		running, err := caddy.ActiveContext().AppIfConfigured("edge_functions")
		if err != nil {
			t.Fatal(err)
		}
		upstream := firstUpstream(t, running)
		for name, bad := range map[string]string{
			"no regions":               `{"project":{"functions":[{"slug":"*"}]}}`,
			"no project":               `{"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]}]}`,
			"unknown field":            strings.Replace(goodApp, `{`, `{"plan":{},`, 1),
			"a key of another type":    strings.Replace(goodApp, `{"region":"eu-central-1"}`, `7`, 1),
			"a secret that is unset":   strings.Replace(goodApp, `"project":{`, `"project":{"jwt":{"secret":"{env.EDGEGATE_UNSET}"},`, 1),
			"a duration below nothing": strings.Replace(goodApp, `{`, `{"idle_timeout":-1,`, 1),
			// These fail after our app was provisioned.
			"another app fails":          goodApp + `,"http":{"servers":{"a":{"listen":["127.0.0.1:70000"]}}}`,
			"a module that is not there": goodApp + `,"nothing":{}`,
		} {
			t.Run(name, func(t *testing.T) {
				if !json.Valid(appConfig(bad)) {
					t.Fatal("the test's JSON is wrong")
				}
				if err := caddy.Load(appConfig(bad), true); err == nil {
					t.Fatal("it was accepted")
				}
				expect(t, 1)
				now, err := caddy.ActiveContext().AppIfConfigured("edge_functions")
				if err != nil || now != running {
					t.Errorf("another app runs: %v", err)
				}
			})
		}
		t.Run("a good one takes over", func(t *testing.T) {
			if err := caddy.Load(appConfig(goodApp), true); err != nil {
				t.Fatal(err)
			}
			expect(t, 1)
			next, err := caddy.ActiveContext().AppIfConfigured("edge_functions")
			if err != nil || next == running {
				t.Fatalf("the old app runs on: %v", err)
			}
			if firstUpstream(t, next) != upstream {
				t.Error("the reload lost the state of the backend")
			}
		})
	})
	expect(t, 0)
}

// Validate provisions and cleans up; nothing of it may stay.
func TestValidateLeavesNoLease(t *testing.T) {
	var config caddy.Config
	if err := json.Unmarshal(appConfig(goodApp), &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	if n := references(socketsKey); n != 0 {
		t.Errorf("%d handles are left", n)
	}
}
