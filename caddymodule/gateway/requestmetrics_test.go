package gateway

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	dto "github.com/prometheus/client_model/go"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/routing/projects"
)

// scraped returns the counters and the counts of histograms by name and labels.
func scraped(t *testing.T) map[string]float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "edgegate_") + "{" + strings.Join(labels, ",") + "}"
			if f.GetType() == dto.MetricType_HISTOGRAM {
				values[name] = float64(m.GetHistogram().GetSampleCount())
			} else {
				values[name] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}

// grown returns which counters are higher than before, and by how much.
func grown(t *testing.T, before map[string]float64) map[string]float64 {
	t.Helper()
	more := make(map[string]float64)
	for name, value := range scraped(t) {
		for _, prefix := range []string{"request", "refusals", "auth", "project_"} {
			if strings.HasPrefix(name, prefix) && value > before[name] {
				more[name] = value - before[name]
			}
		}
	}
	return more
}

// Each way in which a call ends is counted once, where it belongs.
func TestRequestMetrics(t *testing.T) {
	s := serve(t, "top_projects 3\nidle_timeout 2s\n"+loggedFunctions, "", loggedBackend)
	get := func(path string, headers ...string) func(*testing.T) {
		return func(t *testing.T) { s.call(t, "GET", path, "", headers...) }
	}
	token := signedToken(`{"sub":"user-1"}`)
	answered := func(labels string, more ...string) []string {
		region := strings.Split(labels, ",")[3]
		return append(more, "requests_total{"+labels+"}", "request_duration_seconds{"+region+"}", "request_gateway_duration_seconds{"+region+"}")
	}
	const here, nowhere = "region=eu-central-1", "region=none"
	sent := "request_backend_duration_seconds{" + here + "}"
	for _, tc := range []struct {
		name string
		call func(*testing.T)
		want []string
	}{
		{
			"a whole answer to a token", get("/functions/v1/locked", "Authorization", "Bearer "+token),
			answered("code_class=2xx,outcome=complete,reason=nearest,"+here, sent, "auth_total{kind=jwt,outcome=accepted}"),
		},
		{
			"an answer to a key", get("/functions/v1/locked", "apikey", logKey, "X-Region", "eu-central-1"),
			answered("code_class=2xx,outcome=complete,reason=explicit,"+here, sent, "auth_total{kind=api_key,outcome=accepted}"),
		},
		{
			"an answer to anybody", get("/functions/v1/open"),
			answered("code_class=2xx,outcome=complete,reason=nearest,"+here, sent, "auth_total{kind=none,outcome=accepted}"),
		},
		{
			"a region that is down", get("/functions/v1/open?forceFunctionRegion=us-east-1"),
			answered("code_class=5xx,outcome=refused,reason=explicit,region=us-east-1", "auth_total{kind=none,outcome=accepted}", "refusals_total{code=REGION_UNAVAILABLE}"),
		},
		{
			"no credentials", get("/functions/v1/locked"),
			answered("code_class=4xx,outcome=refused,reason=none,"+nowhere, "auth_total{kind=none,outcome=missing}", "refusals_total{code=UNAUTHORIZED_NO_AUTH_HEADER}"),
		},
		{
			"a forged token", get("/functions/v1/locked", "Authorization", "Bearer "+token[:len(token)-6]+"AAAAAA"),
			answered("code_class=4xx,outcome=refused,reason=none,"+nowhere, "auth_total{kind=jwt,outcome=bad_signature}", "refusals_total{code=UNAUTHORIZED_LEGACY_JWT}"),
		},
		{
			"a key of nobody", get("/functions/v1/open", "apikey", "sb_publishable_of_nobody"),
			answered("code_class=4xx,outcome=refused,reason=none,"+nowhere, "auth_total{kind=api_key,outcome=unknown}", "refusals_total{code=UNAUTHORIZED_INVALID_API_KEY}"),
		},
		{
			"no function", get("/functions/v1/nowhere"),
			answered("code_class=4xx,outcome=refused,reason=none,"+nowhere, "refusals_total{code=NOT_FOUND}"),
		},
		{"a preflight", func(t *testing.T) {
			s.call(t, "OPTIONS", "/functions/v1/locked", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
		}, answered("code_class=2xx,outcome=complete,reason=none," + nowhere)},
		{
			"a silent function", get("/functions/v1/silent"),
			answered("code_class=5xx,outcome=timed_out,reason=nearest,"+here, sent, "auth_total{kind=none,outcome=accepted}", "refusals_total{code=IDLE_TIMEOUT}"),
		},
		{
			"a function that fails", get("/functions/v1/says-546"),
			answered("code_class=5xx,outcome=complete,reason=nearest,"+here, sent, "auth_total{kind=none,outcome=accepted}"),
		},
		{
			"a cut answer", get("/functions/v1/half"),
			answered("code_class=2xx,outcome=backend_cut,reason=nearest,"+here, sent, "auth_total{kind=none,outcome=accepted}"),
		},
		{"a client that leaves", func(t *testing.T) {
			conn, r := s.raw(t, fmt.Sprintf("GET /functions/v1/gone HTTP/1.1\r\nHost: %s\r\n\r\n", s.address))
			if _, err := io.ReadFull(r, make([]byte, 200)); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}, answered("code_class=2xx,outcome=client_gone,reason=nearest,"+here, sent, "auth_total{kind=none,outcome=accepted}")},
		{"a WebSocket", func(t *testing.T) {
			conn, _ := s.socket(t)
			_ = conn.Close()
		}, []string{"requests_total{code_class=1xx,outcome=client_gone,reason=nearest," + here + "}", "auth_total{kind=none,outcome=accepted}"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := scraped(t)
			tc.call(t)
			slices.Sort(tc.want)
			within(t, func() string {
				more := grown(t, before)
				maps.DeleteFunc(more, func(name string, _ float64) bool {
					// A region that fails a moment after the start may be tried before it is known to be down.
					return strings.HasPrefix(name, "project_") || name == "request_backend_duration_seconds{region=us-east-1}"
				})
				if got := slices.Sorted(maps.Keys(more)); !slices.Equal(got, tc.want) {
					return fmt.Sprintf("counted are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
				}
				for name, n := range more {
					if n != 1 {
						return fmt.Sprintf("%s grew by %v", name, n)
					}
				}
				return ""
			})
		})
	}
	projects := 0.0
	for name, n := range scraped(t) {
		if strings.HasPrefix(name, "project_requests_total{") {
			projects += n
		}
	}
	if projects != 14 {
		t.Errorf("%v requests of projects, want 14", projects)
	}
}

// Counts go on over reloads, and a request is not counted twice.
func TestRequestMetricsOverReloads(t *testing.T) {
	s := serve(t, public("hello"), "", functions)
	app := runningApp(t) // keeps the state: other tests may have ended
	before := scraped(t)
	for range 3 {
		s.call(t, "GET", "/functions/v1/hello", "")
		s = serve(t, "top_projects 2\n"+public("hello"), "", functions)
	}
	if runningApp(t) == app {
		t.Fatal("the configuration is the same")
	}
	within(t, func() string {
		const name = "requests_total{code_class=2xx,outcome=complete,reason=nearest,region=eu-central-1}"
		if n := grown(t, before)[name]; n != 3 {
			return fmt.Sprintf("%s grew by %v", name, n)
		}
		return ""
	})
}

// A configuration that sets another number of projects and then does not start changes nothing.
func TestTopProjectsOfAConfigurationThatFails(t *testing.T) {
	s := serve(t, "top_projects 2\n"+public("hello"), "", functions)
	s.call(t, "GET", "/functions/v1/hello", "")
	runningApp(t).shared.requests.TopProjects(0)
	_ = scraped(t)
	s.call(t, "GET", "/functions/v1/hello", "")
	within(t, func() string {
		if n := scraped(t)["project_requests_total{code_class=2xx,project=other}"]; n < 1 {
			return fmt.Sprintf("%v requests of projects", n)
		}
		return ""
	})
}

// Counting allocates nothing, on or off.
func TestRequestMetricsAllocateNothing(t *testing.T) {
	for name, options := range map[string]string{"on": "top_projects 5\n", "off": "request_metrics off\n"} {
		t.Run(name, func(t *testing.T) {
			serve(t, options+public("hello"), "", functions)
			app := runningApp(t)
			c := aCall(t.Context(), billing.NewEngine(t.TempDir()))
			c.handler.app, c.start = app, time.Now()
			c.inv.Project = &projects.Project{Ref: "default"}
			c.meter.status, c.record.sent, c.record.ending = 200, c.start, endComplete
			if (app.counter != nil) != (name == "on") {
				t.Fatalf("counts: %t", app.counter != nil)
			}
			if n := testing.AllocsPerRun(1000, c.count); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// Where requests are not counted there is no metric of them, and nothing is made for one.
func TestRequestMetricsOff(t *testing.T) {
	s := serve(t, "request_metrics off\n"+public("hello"), "", functions)
	s.call(t, "GET", "/functions/v1/hello", "")
	for name := range scraped(t) {
		if strings.HasPrefix(name, "requests_total") || strings.HasPrefix(name, "request_") || strings.HasPrefix(name, "auth_") {
			t.Errorf("there is %s", name)
		}
	}
	if runningApp(t).counter != nil {
		t.Error("requests are counted")
	}
}
