package gateway

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
	"github.com/edgegate/edgegate/routing"
)

// A state is logged with a reason where one is wanted.
func TestRegionCause(t *testing.T) {
	for _, tc := range []struct {
		view regions.RegionView
		want string
	}{
		{regions.RegionView{State: regions.StateUp}, ""},
		{regions.RegionView{State: regions.StateUnknown}, ""},
		{regions.RegionView{State: regions.StateDegraded}, "slow, or some of its backends fail"},
		{regions.RegionView{State: regions.StateDraining}, "ordered by `edgegate drain`"},
		{regions.RegionView{State: regions.StateDrained}, "ordered by `edgegate drain`"},
		{regions.RegionView{State: regions.StateDown}, "0 of 0 backends accept calls"},
		{regions.RegionView{State: regions.StateDown, Healthy: 1, Backends: make([]regions.BackendView, 3)}, "1 of 3 backends accept calls"},
		{
			regions.RegionView{State: regions.StateDown, Backends: []regions.BackendView{{}, {Why: "connection refused"}, {Why: "timeout"}}},
			"0 of 3 backends accept calls; connection refused",
		},
	} {
		if got := regionCause(&tc.view); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.view.State, got, tc.want)
		}
	}
}

// A source of backends whose look-ups fail is stale, and down if it never gave a list. One that finds a part is incomplete.
func TestListConditions(t *testing.T) {
	failed := errors.New("SERVFAIL")
	view := &regions.View{Regions: []regions.RegionView{{
		Region: &regions.Region{Name: "lab"},
		Sources: []regions.SourceView{
			{Name: "a new:80"},
			{Name: "a good:80", Backends: 2, ListedAt: time.Now()},
			{Name: "a stale:80", Backends: 2, ListedAt: time.Now(), FailingSince: time.Now(), Err: failed},
			{Name: "a bad:80", FailingSince: time.Now(), Err: failed},
			{Name: "a part:80", Backends: 2, ListedAt: time.Now(), Incomplete: failed},
		},
	}}}
	want := "[{lab a new:80 unknown } {lab a good:80 up } {lab a stale:80 stale the last list, of 2 backends, stays in use: SERVFAIL} " +
		"{lab a bad:80 down there is no list of backends yet: SERVFAIL} " +
		"{lab a part:80 incomplete of the list, of 2 backends, a part could not be looked up: SERVFAIL}]"
	if got := fmt.Sprint(listConditions(view)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestNewBackendIsDown: a backend that is not let in since its probes fail is logged as down, with the reason, once, though
// another backend has its address: a certificate that is for one name is not for the other.
func TestNewBackendIsDown(t *testing.T) {
	backend := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(backend.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: backend.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(backend.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names := dnstest.Start(t)
	names.SetHost("example.com", "127.0.0.1") // the name of the certificate
	by := " " + port + " {\nresolvers " + names.Address + "\nrefresh 1s\n}\n"
	serve(t, "region eu-west-1 {\ndynamic a example.com."+by+"dynamic a other.test."+by+"dynamic_scheme https\ntls {\nca "+ca+"\n}\n}\n"+public("hello"), "", functions)
	good := `"eu-west-1 https://127.0.0.1:` + port + ` example.com:` + port + `"`
	logged.expect(t, `"what":"backend"`, good, `"to":"up"`)

	names.SetHost("other.test", "127.0.0.1")
	wrong := `"eu-west-1 https://127.0.0.1:` + port + ` other.test:` + port + `"`
	logged.expect(t, `"what":"backend"`, wrong, `"from":"unknown"`, `"to":"down"`, "certificate")
	time.Sleep(3 * statesEvery)
	if lines := logged.having(`"what":"backend"`, wrong); len(lines) != 1 {
		t.Errorf("%d lines of a backend that stays down: %s", len(lines), strings.Join(lines, "\n"))
	}
	if lines := logged.having(`"what":"backend"`, good); len(lines) != 1 {
		t.Errorf("%d lines of a backend that stays up: %s", len(lines), strings.Join(lines, "\n"))
	}
}

// What is left of a backend that leaves is no event: its runtime stops.
func TestBackendConditions(t *testing.T) {
	view := &regions.View{Regions: []regions.RegionView{{
		Region:   &regions.Region{Name: "lab"},
		Backends: []regions.BackendView{{Address: "https://a", Key: "https tcp a:443 a", State: regions.StateUp}},
		Others: []regions.BackendView{
			{Address: "http://b", State: regions.StateDown, Phase: regions.PhaseEntering, Why: "refused"},
			{Address: "http://c", State: regions.StateUp, Phase: regions.PhaseStandby},
			{Address: "http://d", State: regions.StateDown, Why: "refused"},
			{Address: "http://e", State: regions.StateDown, Phase: regions.PhaseLeaving, Why: "refused"},
		},
	}}}
	if got, want := fmt.Sprint(backendConditions(view)), "[{lab https://a up } {lab http://b down refused} {lab http://c up } {lab http://d down refused}]"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestBreakerConditions(t *testing.T) {
	view := &regions.View{Regions: []regions.RegionView{{
		Region:   &regions.Region{Name: "eu-west-1"},
		Backends: []regions.BackendView{{Address: "http://a"}, {Address: "http://b", Open: true, Why: "it failed"}},
	}}}
	if got := fmt.Sprint(breakerConditions(view)); got != "[{eu-west-1 http://a closed } {eu-west-1 http://b open it failed}]" {
		t.Error(got)
	}
}

// Nothing that a backend or a client sent is in the cause of a failed call.
func TestSafeCause(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, "no region can take it"},
		{fmt.Errorf("secret: %w", metering.ErrUnavailable), "the invocation cannot be recorded: "},
		{fmt.Errorf("%w: %w", quota.ErrUnavailable, refused), "no unit of the hard quota can be had: dial tcp: connection refused"},
		{fmt.Errorf("secret: %w", regions.ErrIdleTimeout), regions.ErrIdleTimeout.Error()},
		{fmt.Errorf("secret: %w", routing.ErrInvalidStatus), routing.ErrInvalidStatus.Error()},
		{fmt.Errorf("secret: %w", io.ErrUnexpectedEOF), io.ErrUnexpectedEOF.Error()},
		{fmt.Errorf("secret: %w", refused), refused.Error()},
		{fmt.Errorf("secret: %w", regions.ErrUnavailable), regions.ErrUnavailable.Error()},
		{regions.ErrOverloaded, regions.ErrOverloaded.Error()},
		{errors.New(`malformed HTTP response "secret"`), "malformed answer or broken connection"},
	} {
		if got := safeCause(tc.err); !strings.HasPrefix(got, tc.want) || tc.want != "the invocation cannot be recorded: " && (got != tc.want || strings.Contains(got, "secret")) {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}

// condition returns the state of a store by its name, "" if it has none.
func condition(app *App, address string) string {
	for _, c := range app.StoreConditions() {
		if strings.Contains(c.Name, address) {
			return c.State
		}
	}
	return ""
}

// A gateway starts with a Redis that answers nonsense, and serves on when it is away: the log
// and status say so. Two connections to one Redis are one condition.
func TestStoreInRedis(t *testing.T) {
	var broken atomic.Bool
	redis := redistest.Scripted(t, func([]string) any {
		if broken.Load() {
			return redistest.HangUp{}
		}
		return errors.New("ERR unknown command")
	})
	s := serve(t, "rate_limit project 1000/1s\nstore redis "+redis.URL()+" "+filepath.Join(t.TempDir(), "ledger")+"\n"+public("hello"), "", functions)
	app := runningApp(t)
	logged.expect(t, "exchange of heartbeats failed", `"level":"warn"`)
	within(t, func() string {
		if state := condition(app, redis.Address); state != string(redisconn.Up) {
			return "a store that answers is " + state
		}
		return ""
	})
	if n := len(app.StoreConditions()); n != 1 {
		t.Errorf("%d conditions of one store", n)
	}
	if got := s.call(t, http.MethodGet, "/functions/v1/hello", ""); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if status := app.Status(); status.Store.Kind != storeRedis || status.Store.ClockOffset == nil || !strings.Contains(status.Store.Location, redis.Address) {
		t.Errorf("status %+v", status.Store)
	}
	broken.Store(true)
	logged.expect(t, `"from":"up"`, `"to":"down"`, redis.Address)
	if status := app.Status(); status.Store.State != string(redisconn.Down) || status.Store.Error == "" {
		t.Errorf("status %+v", status.Store)
	}
	if got := s.call(t, http.MethodGet, "/functions/v1/hello", ""); got.StatusCode != http.StatusOK {
		t.Errorf("without its store: %d %s", got.StatusCode, got.body)
	}
	if values := app.scrape(); len(values.Regions) != 2 || !values.Ledger.Writable {
		t.Errorf("metrics %+v", values)
	}
	broken.Store(false)
	logged.expect(t, `"from":"down"`, `"to":"up"`, redis.Address)
}

// Sets of keys that cannot be fetched, and keys that cannot be used, are in status and in the log.
func TestKeySetConditions(t *testing.T) {
	const usable = `{"kty":"EC","kid":"a","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/odd":
			_, _ = io.WriteString(w, `{"keys":[`+usable+`,{"kty":"oct","kid":"b","k":"c2VjcmV0"}]}`)
		case "/good":
			_, _ = io.WriteString(w, `{"keys":[`+usable+`]}`)
		default:
			http.Error(w, "no", http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	project := func(ref, path string) string {
		return `{"ref":"` + ref + `","domains":["` + ref + `.example"],"jwt":{"jwks_url":"` + server.URL + path + `"},"functions":[{"slug":"*"}]}`
	}
	serve(t, "jwks_private on\nprojects text `{\"projects\":["+project("aaaaaaaaaaaaaaaaaaaa", "/odd")+","+project("bbbbbbbbbbbbbbbbbbbb", "/good")+","+
		project("cccccccccccccccccccc", "/away")+"]}`", "", functions)
	app := runningApp(t)
	within(t, func() string {
		states := make(map[string]string)
		for _, c := range app.keySetConditions() {
			states[c.Name[strings.LastIndex(c.Name, "/"):]] = c.State
		}
		if got := fmt.Sprint(states); got != "map[/away:down /good:up /odd:degraded]" {
			return "states " + got
		}
		return ""
	})
	logged.expect(t, "/away", "it could never be fetched: ")
	keys := app.ProjectStatus().KeySets
	if keys.Sets != 3 || keys.Failing != 1 || len(keys.Remarks) != 1 || !strings.Contains(keys.Remarks[0].Message, "key 2") {
		t.Errorf("status %+v", keys)
	}
}

// Status and metrics of regions: where the gateway is, what is measured, held and free, and what is down.
func TestRegionsAreMeasured(t *testing.T) {
	serve(t, "region ap-northeast-1 {\nbackend http://"+freeAddress(t)+"\ncapacity 7\nwebsockets 3\n}\n"+public("hello"), "", functions)
	app := runningApp(t)
	within(t, func() string {
		near, dead := app.RegionStatus()[0], app.RegionStatus()[1]
		if near.Base == nil || near.Fast == nil || near.Backends[0].RTT == nil || dead.State != regions.StateDown {
			return fmt.Sprintf("%+v, %+v", near, dead)
		}
		return ""
	})
	list := app.RegionStatus()
	if small := list[2]; small.Capacity == nil || *small.Capacity != 7 || small.Load == nil || *small.Load != 0 || small.Sockets.Capacity == nil || *small.Sockets.Capacity != 3 {
		t.Errorf("a region of seven calls: %+v", small)
	}
	if near := list[0]; near.Capacity != nil || near.Sockets.Capacity == nil && near.Load != nil {
		t.Errorf("a region without a limit: %+v", near)
	}
	scraped := app.scrape().Regions
	if dead := scraped[1]; dead.BackendsDown != 1 || dead.Backends != 1 || dead.State != regions.StateDown {
		t.Errorf("metrics of a dead region %+v", dead)
	}
	if small := scraped[2]; small.Capacity == nil || *small.Capacity != 7 {
		t.Errorf("metrics of a region of seven calls %+v", small)
	}
	logged.expect(t, `"to":"down"`, "us-east-1", "0 of 1 backends accept calls")
}

// A gateway that is not in a region says where it is.
func TestStatusOfAPlace(t *testing.T) {
	load(t, appConfig(strings.Replace(goodApp, `"region":"eu-central-1"`, `"latitude":50.1,"longitude":8.7`, 1)))
	if at := runningApp(t).Status().Location; at.Coordinates == nil || !slices.Equal(at.Coordinates[:], []float64{50.1, 8.7}) || at.Source != regions.LocationConfigured {
		t.Errorf("%+v", at)
	}
}

// Orders to drain that cannot be read are an error in the log, and keep no gateway from starting.
func TestDrainsAreDamaged(t *testing.T) {
	config, dir := drainApp(t)
	if err := os.WriteFile(filepath.Join(dir, "drains.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	logged.forget()
	load(t, config)
	logged.expect(t, "drain orders on disk not readable", `"level":"error"`)
	if n := len(runningApp(t).Drains().Drains); n != 0 {
		t.Errorf("%d regions are drained", n)
	}
	if _, err := post(t, "undrain", `{"region":"eu-wst-1"}`); err == nil || !strings.Contains(err.Error(), "is not configured") {
		t.Errorf("undrained: %v", err)
	}
}
