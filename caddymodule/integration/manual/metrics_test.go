//go:build e2e

package manual

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var metricsScript = script{
	page: "docs/metrics.md",
	prepare: func(s *session) {
		s.put("127.0.0.1:9180", "127.0.0.1:"+freePort(s.t))
		// what has every metric: caps, limits, a store, an exporter, a list of backends
		address := s.backend()
		port := address[strings.LastIndex(address, ":")+1:]
		s.gateway("{\nedge_functions {\n" + strings.Replace(regionsOf("eu-central-1 "+address), "backend", "capacity 10\ndynamic a 127.0.0.1 "+port+"\nbackend", 1) + "store embedded " + s.dir + "/.store\n" +
			"top_projects 5\nin_flight project 5\nrate_limit project 500/s\nexport webhook http://127.0.0.1:1/usage {\nname billing\n}\n" + anyOpenProject + "}\n}\n" + anySite)
		if err := s.wait("the region was measured", func() bool {
			return strings.Contains(s.scrape("http://"+s.admin+"/metrics"), `edgegate_region_rtt_seconds{region="eu-central-1"}`)
		}, nil); err != nil {
			s.t.Fatal(err)
		}
	},
	caddyfile: true,
	rules: []rule{
		{command: "curl -s localhost:2019/metrics", output: exact, after: func(s *session, _ string) { s.compareMetrics() }},
	},
	blocks: map[string]func(*session, block) error{"promql": func(s *session, b block) error {
		text := s.scrape("http://" + s.admin + "/metrics")
		for _, name := range regexp.MustCompile(`edgegate_\w+`).FindAllString(b.text, -1) {
			if !strings.Contains(text, "\n"+name+"{") {
				return fmt.Errorf("there is no metric %s", name)
			}
		}
		return nil
	}, "yaml": func(s *session, b block) error {
		s.stop()
		if said, err := s.start("JWT_SECRET="+jwtSecret+" edgegate run --config Caddyfile", nil); err != nil {
			return fmt.Errorf("%w: %s", err, lastLines(said, 5))
		}
		target := regexp.MustCompile(`targets: \["(.*)"\]`).FindStringSubmatch(s.here(b.text))
		if target == nil {
			return fmt.Errorf("no target in it")
		}
		text := s.scrape("http://" + target[1] + "/metrics")
		for _, want := range []string{"edgegate_region_up{", "caddy_config_last_reload_successful"} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("no %s at %s:\n%s", want, target[1], lastLines(text, 5))
			}
		}
		return nil
	}},
}

func (s *session) scrape(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// compareMetrics compares the page's table with what a gateway has: names, types and meanings are the same.
func (s *session) compareMetrics() {
	text := s.scrape("http://" + s.admin + "/metrics")
	var there []string
	for _, m := range regexp.MustCompile(`(?m)^# HELP (edgegate_\S+) (.*)\n# TYPE \S+ (\S+)$`).FindAllStringSubmatch(text, -1) {
		var labels []string
		if found := regexp.MustCompile(`(?m)^` + m[1] + `(?:_sum)?\{(.*)\} `).FindStringSubmatch(text); found != nil {
			for _, name := range regexp.MustCompile(`(\w+)="[^"]*"`).FindAllStringSubmatch(found[1], -1) {
				labels = append(labels, "`"+name[1]+"`")
			}
		}
		there = append(there, fmt.Sprintf("| `%s` | %s | %s | %s |", m[1], m[3], strings.Join(labels, ", "), m[2]))
	}
	var printed []string
	for l := range strings.Lines(s.read("docs/metrics.md")) {
		if strings.HasPrefix(l, "| `edgegate_") && strings.Count(l, " | ") == 3 {
			printed = append(printed, strings.TrimSpace(l))
		}
	}
	if len(there) < 30 {
		s.t.Errorf("only %d metrics were found", len(there))
	}
	for _, row := range there {
		if !slices.Contains(printed, row) {
			s.t.Errorf("docs/metrics.md lacks the row\n%s", row)
		}
	}
	for _, row := range printed {
		if !slices.Contains(there, row) {
			s.t.Errorf("docs/metrics.md has a row of no metric, or not as it is:\n%s", row)
		}
	}
}
