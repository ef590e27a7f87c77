package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alertRule is a rule of configs/prometheus/alerts.yaml.
type alertRule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alertRule } }
	readYAML(t, "../../configs/prometheus/alerts.yaml", &file)
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 20 {
		t.Fatalf("only %d alerts were found", len(rules))
	}
	return rules
}

// Each alert says how bad it is, has a section of docs/alerts.md, and unit tests in which it fires and in which it does not; promtool
// runs them in .ci/configs.sh.
func TestAlerts(t *testing.T) {
	var tests struct {
		Tests []struct {
			Name  string
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "../../configs/prometheus/alerts_test.yaml", &tests)
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range tests.Tests {
		for _, r := range test.Rules {
			if len(r.Expected) > 0 {
				fires[r.Alert] = true
			} else {
				quiet[r.Alert] = true
			}
		}
	}
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(page), -1)
	var names []string
	for _, r := range alertRules(t) {
		names = append(names, r.Alert)
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: there is a unit test in which it fires: %t, in which it does not: %t", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if want := "docs/alerts.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want || r.Annotations["summary"] == "" {
			t.Errorf("%s: annotations %q, want the runbook %s", r.Alert, r.Annotations, want)
		}
	}
	var sections []string
	for _, h := range headings {
		sections = append(sections, h[1])
	}
	if !slices.Equal(sections, names) {
		t.Errorf("docs/alerts.md has the sections\n%q\nthe alerts are\n%q", sections, names)
	}
}

// Grafana finds a dashboard by its uid and a panel by its id.
func TestDashboards(t *testing.T) {
	files, err := filepath.Glob("../../configs/grafana/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	seen := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			UID, Title string
			Panels     []struct {
				ID      int
				Title   string
				Grid    struct{ X, Y, W, H int } `json:"gridPos"`
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if seen[d.UID] || d.UID == "" || d.Title == "" {
			t.Errorf("%s: uid %q, title %q", file, d.UID, d.Title)
		}
		seen[d.UID] = true
		ids := make(map[int]bool)
		for i, p := range d.Panels {
			if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.Grid.X+p.Grid.W > 24 {
				t.Errorf("%s: panel %d: %+v", file, i, p)
			}
			ids[p.ID] = true
		}
	}
}
