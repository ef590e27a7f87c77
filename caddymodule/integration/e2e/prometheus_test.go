//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheus is a Prometheus with the rules of configs/prometheus, made quick: it scrapes each second, alerts fire after a second, and
// rates are those of ten seconds.
type prometheus struct {
	*process
	url     string
	targets string // the file of those it scrapes
}

const alertRulesFile = "../../../configs/prometheus/alerts.yaml"

func startPrometheus(t *testing.T) *prometheus {
	t.Helper()
	rules, err := os.ReadFile(alertRulesFile)
	if err != nil {
		t.Fatal(err)
	}
	quick := regexp.MustCompile(`(?m)^(\s+for: )\w+$`).ReplaceAllString(string(rules), "${1}1s")
	quick = regexp.MustCompile(`\[\d+[mh]\]`).ReplaceAllString(quick, "[10s]")
	dir := t.TempDir()
	p := &prometheus{targets: filepath.Join(dir, "targets.json")}
	for name, text := range map[string]string{
		"alerts.yaml":  quick,
		"targets.json": "[]",
		"prometheus.yaml": `{global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}, rule_files: [alerts.yaml],
scrape_configs: [{job_name: edgegate, file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	p.process, err = startProcess("prometheus", nil, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM, 10*time.Second)
		if t.Failed() {
			t.Logf("end of what prometheus wrote:\n%s", p.tail())
		}
	})
	waitUntil(t, "Prometheus is ready", func() bool {
		res, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

// scrape has it scrape a gateway alone, at its admin endpoint.
func (p *prometheus) scrape(t *testing.T, g *gateway) {
	t.Helper()
	text := "[]"
	if g != nil {
		text = fmt.Sprintf(`[{"targets": ["127.0.0.1:%d"]}]`, g.admin)
	}
	next := p.targets + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, p.targets); err != nil {
		t.Fatal(err)
	}
}

// ask reads an answer of its API.
func (p *prometheus) ask(t *testing.T, path string, into any) {
	t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// firing returns the names of the alerts that fire.
func (p *prometheus) firing(t *testing.T) (names []string) {
	t.Helper()
	var said struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	p.ask(t, "/api/v1/alerts", &said)
	for _, a := range said.Data.Alerts {
		if name := a.Labels["alertname"]; a.State == "firing" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// value returns the sum of a query, and whether it has any.
func (p *prometheus) value(t *testing.T, query string) (string, bool) {
	t.Helper()
	var said struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	p.ask(t, "/api/v1/query?query="+url.QueryEscape("sum("+query+")"), &said)
	if len(said.Data.Result) == 0 {
		return "", false
	}
	return fmt.Sprint(said.Data.Result[0].Value[1]), true
}

// settled waits until it scrapes the gateway and no alert of the drill fires.
func (p *prometheus) settled(t *testing.T, alerts []string) {
	t.Helper()
	var still []string
	waitUntil(t, "the gateway is scraped, and it is quiet", func() bool {
		up, there := p.value(t, "up")
		still = slices.DeleteFunc(p.firing(t), func(name string) bool { return !slices.Contains(alerts, name) })
		return there && up == "1" && len(still) == 0
	})
}

// namesIn returns the metrics of the gateway in an expression.
func namesIn(expr string) (names []string) {
	for _, name := range regexp.MustCompile(`\b(?:edgegate|caddy)_\w+`).FindAllString(expr, -1) {
		names = append(names, strings.TrimSuffix(name, "_bucket"))
	}
	return names
}
