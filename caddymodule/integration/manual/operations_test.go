//go:build e2e

package manual

import (
	"fmt"
	"regexp"
	"strings"
)

var operationsScript = script{
	page: "docs/operations.md",
	prepare: func(s *session) {
		s.put("--over 30s", "--over 1s", "--over, 15s", "--over, 1s")
		startWithHealth(s)
	},
	rules: []rule{
		{command: "edgegate events --since 1h", do: names, reason: "a backend goes down, which the end-to-end suite has one do"},
		{command: "edgegate drain --gateway", output: shape, after: func(s *session, _ string) {
			if s.answers("http://localhost:" + s.port + "/livez") {
				s.t.Error("the gateway serves after the end of its drain")
			}
			startWithHealth(s)
		}},
	},
	// The probes are run as Kubernetes would, against a gateway that is in service.
	blocks: map[string]func(*session, block) error{"yaml": func(s *session, b block) error {
		path := regexp.MustCompile(`path: (\S+),`).FindStringSubmatch(b.text)
		if path == nil || !s.answers("http://localhost:"+s.port+path[1]) {
			return fmt.Errorf("the probe of HTTP %q fails", path)
		}
		probes := regexp.MustCompile(`command: \[(edgegate, .*?)\]`).FindAllStringSubmatch(b.text, -1)
		if len(probes) != 2 {
			return fmt.Errorf("%d commands, want 2", len(probes))
		}
		for _, probe := range probes {
			if said, code, err := s.run(s.here(strings.ReplaceAll(s.here(probe[1]), ",", ""))); err != nil || code != 0 {
				return fmt.Errorf("%s: exit code %d, %w: %s", probe[1], code, err, said)
			}
		}
		if s.answers("http://localhost:" + s.port + path[1]) {
			return fmt.Errorf("the gateway is ready after its preStop")
		}
		return nil
	}},
}

func startWithHealth(s *session) {
	s.gateway("{\nedge_functions {\n" + regionsOf("eu-central-1 "+s.backend()) + anyOpenProject + "}\n}\n" +
		"http://localhost:8000 {\nedge_functions_health /healthz\nedge_functions_health /livez live\nedge_functions\n}\n")
}
