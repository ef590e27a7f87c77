//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// Each metric that the alerts and the dashboards name is in a scrape of a gateway.
func TestAlertsNameMetrics(t *testing.T) {
	w := startWitness(t)
	port := w.address()[strings.LastIndex(w.address(), ":")+1:]
	g := startGateway(t, config{
		options:  "\t\ttop_projects 5\n\t\tin_flight project 5\n\t\trate_limit project 500/s\n\t\tinvocation_log\n\t\texport webhook http://127.0.0.1:1/usage {\n\t\t\tname billing\n\t\t}",
		backends: []backend{{region: "eu-central-1", address: w.address(), more: "\t\t\tcapacity 10\n\t\t\tdynamic a 127.0.0.1 " + port + "\n"}}, functions: public("ok"),
	})
	callOK(t, g, 1)
	named := make(map[string]string) // where
	rules, err := os.ReadFile(alertRulesFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range namesIn(string(rules)) {
		named[name] = alertRulesFile
	}
	dashboards, err := filepath.Glob("../../../configs/grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range dashboards {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namesIn(string(text)) {
			named[name] = file
		}
	}
	if len(named) < 50 {
		t.Fatalf("only %d metrics are named", len(named))
	}
	var missing []string
	defer func() {
		for _, name := range missing {
			t.Errorf("no gateway has the metric %s", name)
		}
	}()
	waitUntil(t, "all metrics are there", func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		missing = nil
		for name, where := range named {
			if !strings.Contains(string(text), "\n# TYPE "+name+" ") {
				missing = append(missing, name+" of "+where)
			}
		}
		return len(missing) == 0
	})
}

// drill is something that goes wrong, and the alerts that tell of it.
type drill struct {
	name   string
	alerts []string
	// run starts a gateway that is well, calls settled, and lets it go wrong. What it leaves running ends with ctx.
	run func(ctx context.Context, t *testing.T, settled func(*gateway))
}

// notDrilled are the alerts whose cause takes longer to make than the suite may take. Their unit tests are all that they have.
var notDrilled = map[string]string{
	"EdgegateLedgerStalled":    "a disk that hangs without an error",
	"EdgegateLedgerWaiting":    "calls without a record",
	"EdgegateGatewaySlow":      "a processor that is busy",
	"EdgegateTokensOverloaded": "2048 tokens that wait",
	"EdgegateStoreUnflushed":   "a minute without a flush",
	"EdgegateExporterFailing":  "an hour that is final",
	"EdgegateExporterRejected": "an hour that is final",
}

// callAll calls a function again and again, with some callers at once, until ctx ends.
func callAll(ctx context.Context, callers int, target string, header ...string) {
	for range callers {
		go func() {
			client := &http.Client{Transport: new(http.Transport), Timeout: 20 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
				if err != nil {
					return
				}
				for i := 0; i+1 < len(header); i += 2 {
					req.Header.Set(header[i], header[i+1])
				}
				if res, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
	}
}

// calling is a gateway before a witness, and what is called there.
func calling(options, more, slug string, callers int) func(context.Context, *testing.T, func(*gateway)) {
	return func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{options: options, backends: []backend{{region: "eu-central-1", address: w.address(), more: more}}, functions: public(slug)})
		settled(g)
		callAll(ctx, callers, g.url+"/functions/v1/"+slug)
	}
}

var drills = []drill{
	{"a gateway is gone", []string{"EdgegateDown"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: deadAddress(t)}}, functions: public("ok")})
		settled(g)
		g.stop(syscall.SIGKILL, 10*time.Second)
	}},
	{"the backends of a region are gone", []string{"EdgegateRegionDown", "EdgegateBackendDown", "EdgegateBreakerOpen", "EdgegateUnavailable", "EdgegateErrors"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")})
		settled(g)
		callAll(ctx, 2, g.url+"/functions/v1/ok")
		w.CloseClientConnections()
		w.Close()
	}},
	{"a function fails", []string{"EdgegateErrors"}, calling("", "", "failing", 2)},
	{"answers break off", []string{"EdgegateStreamsCut"}, calling("", "", "cut", 2)},
	{"connections break", []string{"EdgegateRetryBudgetUsedUp"}, calling("", "", "reset", 8)},
	{"a region is full", []string{"EdgegateRegionFull"}, calling("", "\t\t\tcapacity 1\n", "slow", 8)},
	{"a name is unknown", []string{"EdgegateBackendListFailing"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		eu := backend{region: "eu-central-1", address: w.address()}
		g := startGateway(t, config{backends: []backend{eu}, functions: public("ok")})
		settled(g)
		eu.more = "\t\t\tdynamic a nowhere.invalid 9000\n"
		loadCaddyfile(t, g, config{backends: []backend{eu}, functions: public("ok")})
	}},
	{"a new backend does not answer", []string{"EdgegateBackendsEntering"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w, dead := startWitness(t), deadAddress(t)
		eu := backend{region: "eu-central-1", address: w.address()}
		g := startGateway(t, config{backends: []backend{eu}, functions: public("ok")})
		settled(g)
		eu.more = "\t\t\tdynamic a 127.0.0.1 " + dead[strings.LastIndex(dead, ":")+1:] + "\n"
		loadCaddyfile(t, g, config{backends: []backend{eu}, functions: public("ok")})
	}},
	{"a configuration is wrong", []string{"EdgegateReloadFailed"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")})
		settled(g)
		post(t, g, "/load", "application/json", fmt.Sprintf(`{"admin":{"listen":"127.0.0.1:%d"},"apps":{"edge_functions":{}}}`, g.admin), http.StatusBadRequest)
	}},
	{"projects are wrong", []string{"EdgegateProjectsStale"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		file := reachProjects(t, "http://127.0.0.1:1/keys")
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, source: "projects file " + file})
		settled(g)
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{"a key set is gone", []string{"EdgegateKeySetsFailing"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")})
		settled(g)
		loadCaddyfile(t, g, config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
			project: "\t\t\tjwks http://" + deadAddress(t) + "/keys",
		})
	}},
	{"tokens are forged", []string{"EdgegateTokensRefused"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: "\t\t\tfunction ok"})
		settled(g)
		callAll(ctx, 2, g.url+"/functions/v1/ok", "Authorization", "Bearer "+token(`{"role":"anon"}`, "another secret of more than thirty-two bytes"))
	}},
	{"a quota is used up", []string{"EdgegateQuotaExhausted"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		g := startGateway(t, config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), project: "\t\t\tquota 2\n\t\t\tspend_cap on"})
		settled(g)
		callAll(ctx, 1, g.url+"/functions/v1/ok")
	}},
	{"Redis hangs", []string{"EdgegateStoreDown", "EdgegateQuotaFailing"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w, redis := startWitness(t), redistest.Single(t)
		g := startGateway(t, config{
			options: "\t\tstore redis " + redis.URL(), backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
			project: "\t\t\tquota 200\n\t\t\tspend_cap on",
		})
		settled(g)
		redis.Pause()
		callAll(ctx, 2, g.url+"/functions/v1/ok")
		t.Cleanup(redis.Resume)
	}},
	{"somebody writes to the sums", []string{"EdgegateStoreCorrected"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w, redis := startWitness(t), redistest.Single(t)
		g := startGateway(t, config{options: "\t\tstore redis " + redis.URL(), backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")})
		callOK(t, g, 3)
		settled(g)
		var sums []any
		waitUntil(t, "the sums are in Redis", func() bool {
			sums, _ = redis.Exec("KEYS", "gw:{q:*}:c:*").([]any)
			return len(sums) > 0
		})
		redis.Exec("HSET", sums[0], "no", "sum")
	}},
	{"clocks differ", []string{"EdgegateClockOffset"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w, redis := startWitness(t), redistest.Clocked(t, 0)
		g := startGateway(t, config{options: "\t\tstore redis " + redis.URL(), backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")})
		settled(g)
		redis.SetClock(20 * time.Second)
	}},
	{"a disk is full", []string{"EdgegateLedgerDegraded", "EdgegateLedgerNotWritable", "EdgegateUnavailable"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w, g := startWitness(t), prepareGateway(t)
		disk := filepath.Join(g.dir, "disk")
		if err := os.Mkdir(disk, 0o700); err != nil {
			t.Fatal(err)
		}
		g.in = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=64m ledger "$0" && exec "$@"`, disk}
		g.start(t, config{
			options:  "\t\tstore embedded " + disk,
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		}.caddyfile(g.port, g.admin))
		settled(g)
		fill := exec.Command("nsenter", "-t", strconv.Itoa(g.cmd.Process.Pid), "-m", "fallocate", "-l", "60M", filepath.Join(disk, "filler"))
		if out, err := fill.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		callUntilRefused(t, g)
		callAll(ctx, 1, g.url+"/functions/v1/ok")
	}},
	{"bills are damaged", []string{"EdgegateBillsFailing"}, func(_ context.Context, t *testing.T, settled func(*gateway)) {
		w, dir := startWitness(t), t.TempDir()
		c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), options: "\t\tstore embedded " + dir}
		g := startGateway(t, c)
		settled(g)
		callOK(t, g, 3)
		g.stop(syscall.SIGTERM, 10*time.Second)
		cut(4096)(t, filepath.Join(dir, "billing.db"))
		g.start(t, c.caddyfile(g.port, g.admin))
	}},
	{"an output of the log hangs", []string{"EdgegateInvocationLogLost"}, func(ctx context.Context, t *testing.T, settled func(*gateway)) {
		w := startWitness(t)
		address := listenRaw(t, func(net.Conn) { <-ctx.Done() })
		g := startGateway(t, config{
			global:   "\tlog default {\n\t\texclude edge_functions.invocations\n\t}\n\tlog invocations {\n\t\toutput net " + address + "\n\t\tformat edge_functions\n\t\tinclude edge_functions.invocations\n\t}\n",
			options:  "\t\tinvocation_log",
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		})
		settled(g)
		callAll(ctx, 16, g.url+"/functions/v1/ok?"+strings.Repeat("x", 6000), "User-Agent", strings.Repeat("y", 2000), "X-Client-Info", strings.Repeat("z", 2000))
	}},
}

// Each alert fires when what it tells of has happened to a real gateway that a real Prometheus scrapes, and not before.
func TestAlertDrills(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t)
	for _, d := range drills {
		t.Run(d.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer p.scrape(t, nil)
			ready := false
			d.run(ctx, t, func(g *gateway) {
				p.scrape(t, g)
				p.settled(t, d.alerts)
				ready = true
			})
			if !ready {
				t.Fatal("the drill did not wait until it was quiet")
			}
			fired := make(map[string]bool)
			missing := d.alerts
			defer func() {
				for _, name := range missing {
					t.Errorf("%s does not fire", name)
				}
			}()
			eventuallyWithin(t, 90*time.Second, "firing: "+strings.Join(d.alerts, ", "), func() bool {
				for _, name := range p.firing(t) {
					fired[name] = true
				}
				missing = slices.DeleteFunc(slices.Clone(d.alerts), func(name string) bool { return fired[name] })
				return len(missing) == 0
			})
		})
	}
}

// There is a drill for each alert, or a reason why there is none.
func TestEachAlertHasADrill(t *testing.T) {
	rules, err := os.ReadFile(alertRulesFile)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]bool)
	for name := range notDrilled {
		left[name] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1) {
		drilled := slices.ContainsFunc(drills, func(d drill) bool { return slices.Contains(d.alerts, m[1]) })
		if drilled == left[m[1]] {
			t.Errorf("%s: there is a drill: %t, a reason why there is none: %t", m[1], drilled, left[m[1]])
		}
		delete(left, m[1])
	}
	for name := range left {
		t.Errorf("there is no alert %s", name)
	}
}

// loadCaddyfile gives a running gateway another configuration.
func loadCaddyfile(t *testing.T, g *gateway, c config) {
	t.Helper()
	post(t, g, "/load", "text/caddyfile", c.caddyfile(g.port, g.admin), http.StatusOK)
}

func post(t *testing.T, g *gateway, path, kind, body string, want int) {
	t.Helper()
	res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d%s", g.admin, path), kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s: %d %s, %v, want %d", path, res.StatusCode, text, err, want)
	}
}
