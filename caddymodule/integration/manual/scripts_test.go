//go:build e2e

package manual

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

const (
	benchmark = "it takes minutes, and only ratios travel to other machines"
	ref       = "abcdefghijklmnopqrst"
	jwtSecret = "manual-jwt-secret-of-more-than-thirty-two-bytes"
)

var (
	demoIsUp = regexp.MustCompile(`edgegate status`)
	// the gateway and three regions, whichever is up first
	localIsUp = regexp.MustCompile(strings.NewReplacer("L", "listening on.*", "S", "serving initial configuration.*").Replace(`(?s)(?:SLLL|LSLL|LLSL|LLLS)`))
)

// scripts are the pages with commands.
var scripts = []script{
	{
		page:      "README.md",
		caddyfile: true,
		rules: []rule{
			{command: "go run ./cmd/edgegate demo", do: start, until: demoIsUp, after: func(s *session, _ string) { s.stop() }},
			{command: "make test", do: names, reason: "this is a part of it"},
			buildRule,
			{command: "JWT_SECRET=", do: start, after: func(s *session, _ string) {
				if res, err := http.Get("http://localhost:" + s.port + "/functions/v1/hello"); err != nil || res.StatusCode != 401 {
					s.t.Errorf("the gateway of README.md answers %v, %v", res, err)
				}
			}},
		},
	},
	{
		page: "docs/quick-start.md",
		prepare: func(s *session) {
			first := freePorts(s.t, 3)
			s.put("9201", strconv.Itoa(first), "9202", strconv.Itoa(first+1), "9203", strconv.Itoa(first+2))
			s.copyTree("configs")
			// on one machine a busy moment can make any region the nearest
			s.put("X-Sb-Edge-Region: eu-central-1", "X-Sb-Edge-Region: ...", `"region":"eu-central-1"}`, `"region":"..."}`)
			s.env = append(s.env, "EDGEGATE=edgegate")
		},
		blocks: map[string]func(*session, block) error{"js": runJS},
		rules: []rule{
			{command: "go run ./cmd/edgegate demo --deno", do: start, output: nothing, until: demoIsUp, after: callDenoDemo},
			{command: "go run ./cmd/edgegate demo", do: start, output: shape, until: demoIsUp, after: func(s *session, said string) {
				s.put("sb_publishable_...", regexp.MustCompile(`sb_publishable_\w+`).FindString(said))
			}},
			{command: "curl -i 'http://localhost:8000/functions/v1/hello' -H 'apikey: sb_publishable_...'", output: among, after: func(s *session, _ string) { s.stop() }},
			{command: "configs/local/start.sh", do: start, output: anywhere, until: localIsUp},
			{command: ". configs/example.env"},
			{command: "curl -i http://localhost:8000/functions/v1/hello", output: among, after: tryLines},
		},
	},
	{
		page:      "docs/one-project.md",
		caddyfile: true,
		prepare: func(s *session) {
			s.put("9000", freePort(s.t))
			s.copyTree("configs")
		},
		blocks: map[string]func(*session, block) error{"bash": func(s *session, b block) error {
			said, code, err := s.run(b.text)
			if err != nil || code != 0 || strings.Count(strings.TrimSpace(said), ".") != 2 {
				return fmt.Errorf("no token: %q, exit code %d, %v", said, code, err)
			}
			s.put("THE_ANON_TOKEN", strings.TrimSpace(said))
			return nil
		}},
		rules: []rule{
			{command: "(cd configs/local && PORT=9000", do: start, until: regexp.MustCompile("listening on")},
			{command: "umask 077"},
			{command: "cat > env <<END"},
			{command: "edgegate validate", output: among, after: func(s *session, _ string) {
				// what the page says of a variable that is missing
				said, code, err := s.run("edgegate validate --config Caddyfile")
				if err != nil || code == 0 || !strings.Contains(said, "project default: jwt.secret: the environment variable JWT_SECRET is not set or empty") {
					s.t.Errorf("validate without variables: exit code %d, %v: %s", code, err, said)
				}
			}},
			{command: "edgegate run", do: start},
			{command: ". ./env"},
			{command: "curl http://localhost:8000/functions/v1/hello", output: among, after: func(s *session, _ string) {
				if said, _, err := s.run(`curl -s -o /dev/null -w '%{http_code}' http://localhost:` + s.port + `/functions/v1/hello -H "Authorization: Bearer ` + s.here("THE_ANON_TOKEN") + `"`); said != "200" {
					s.t.Errorf("the token made by hand is answered %s, %v", said, err)
				}
			}},
			{command: "edgegate reload"},
		},
	},
	{
		page: "docs/projects-and-keys.md",
		prepare: func(s *session) {
			s.write("projects.json", s.read("configs/projects.json"))
			s.gatewayOf("projects file projects.json", s.exampleEnv()...)
			s.exportEnv()
			s.write("my-project/supabase/config.toml", "[functions.hello]\nverify_jwt = false\n")
			s.write("my-project/supabase/functions/hello/index.ts", "Deno.serve(() => new Response())\n")
			s.write("token.txt", token(jwtSecret, time.Now().Add(time.Hour)))
		},
		rules: []rule{
			{command: "edgegate projects check projects.json"},
			{command: "edgegate projects list", output: among},
			{command: "edgegate projects import", after: func(s *session, _ string) { s.write("projects.json", s.read("configs/projects.json")) }, before: func(s *session) {
				_ = os.Remove(filepath.Join(s.dir, "projects.json"))
			}},
			{command: "org=$(jq", before: func(s *session) {
				redis := redistest.Single(s.t)
				_, port, _ := strings.Cut(redis.Address, ":")
				s.put("redis-cli ", "redis-cli -p "+port+" ")
				s.stop()
				s.gatewayOf("projects redis\nstore redis " + redis.URL() + " " + s.dir + "/.store")
			}},
			{command: "project=$(jq"},
			{command: "redis-cli HSET"},
			{command: "redis-cli PUBLISH", after: func(s *session, _ string) {
				if err := s.wait("the project of Redis is in force", func() bool {
					said, _, err := s.run("edgegate projects list")
					return err == nil && strings.Contains(said, ref+"  acme") && !strings.Contains(said, "Refused")
				}, nil); err != nil {
					said, _, _ := s.run("edgegate projects list")
					s.t.Errorf("%v:\n%s", err, said)
				}
			}},
			{command: "edgegate token inspect - < token.txt", code: 1},
			{command: "edgegate audit", code: 1},
		},
	},
	{
		page: "docs/regions.md",
		prepare: func(s *session) {
			s.gateway("{\nedge_functions {\n" + regionsOf("eu-west-1 "+s.backend(), "eu-west-2 "+s.backend()) + anyOpenProject + "}\n}\n" + anySite)
		},
		rules: []rule{
			{command: "edgegate drain eu-west-2 --dry-run"},
			{command: "edgegate drain eu-west-2 --over 10m"},
			{command: "edgegate undrain eu-west-2"},
		},
	},
	{
		page:    "docs/counting.md",
		prepare: func(s *session) { usedGateway(s, "") },
		rules: []rule{
			{command: "edgegate usage show --daily", output: nothing, after: func(s *session, said string) {
				if !regexp.MustCompile(`(?m)^Invocations of acme a day\n(\d{4}-\d\d-\d\d +\d+.*\n)+`).MatchString(said) {
					s.t.Errorf("no bars of days: %s", said)
				}
			}},
			{command: "edgegate usage show", output: shape},
			{command: "edgegate quota show", output: shape},
		},
	},
	{
		page: "docs/billing.md",
		prepare: func(s *session) {
			usedGateway(s, "edgegate usage adjust acme 31000 --project "+ref+" --function hello --region eu-central-1 --reason 'of the manual'")
		},
		rules: []rule{
			{command: "edgegate usage bill", output: shape},
			{command: "edgegate usage exporters", output: shape},
			{command: "edgegate usage export", output: among, after: func(s *session, _ string) {
				said, _, _ := s.run("edgegate usage export --format jsonl")
				s.put("9f86d081884c7d659a2feaa0c55ad015", regexp.MustCompile(`"line_id":"([0-9a-f]{32})"`).FindStringSubmatch(said + `"line_id":"00000000000000000000000000000000"`)[1])
			}},
			{command: "edgegate usage reconcile", output: shape},
			{command: "edgegate usage adjust", output: shape, before: func(s *session) {
				// a date of the page would lie in another period, or be to come
				s.put(" --at 2026-11-03T14:00:00Z", "")
			}},
			{command: "edgegate usage proof", output: shape},
			{command: "api=https://api.stripe.com", do: names, reason: "it is for the next lines"},
			{command: "curl $api/", do: names, reason: "they are calls to Stripe, with a key of the reader's"},
		},
	},
	{
		page: "docs/simulation.md",
		prepare: func(s *session) {
			s.write("my.yaml", "name: mine\nduration: 20s\nwarmup: 5s\nrate: 20\nregions: [eu-central-1, us-east-1]\n")
			s.write("cities.csv", "city,country,lat,lon,eu-central-1,us-east-1\nBerlin,DE,52.5,13.4,15,95\nBoston,US,42.4,-71.1,92,12\n")
		},
		blocks: map[string]func(*session, block) error{"yaml": func(s *session, b block) error {
			// fewer requests than on the page: it is read the same
			s.write("two-outages.yaml", strings.ReplaceAll(b.text, "rate: 500", "rate: 5"))
			said, code, err := s.run("edgegate simulate two-outages.yaml")
			if err != nil || code != 0 {
				return fmt.Errorf("exit code %d, %v: %s", code, err, lastLines(said, 5))
			}
			return nil
		}},
		rules: []rule{
			{command: "edgegate simulate my.yaml", output: nothing},
			{command: "edgegate simulate", do: names, reason: "it takes a minute or two"},
		},
	},
	{
		page: "docs/performance.md",
		rules: []rule{
			{command: "go test", do: names, reason: benchmark},
		},
	},
	{
		page: "docs/contributing.md",
		rules: []rule{
			{command: "go test", do: names, reason: "make test runs all tests; -update rewrites what they compare"},
		},
	},
	{
		page: "docs/caddyfile.md",
		prepare: func(s *session) {
			text, err := whole(block{text: anyProject})
			if err != nil {
				s.t.Fatal(err)
			}
			s.write("Caddyfile", text)
			if _, _, err := s.run("edgegate fmt --overwrite Caddyfile; export JWT_SECRET=" + jwtSecret); err != nil {
				s.t.Fatal(err)
			}
		},
		rules: []rule{
			{command: "edgegate validate"},
			{command: "edgegate fmt --diff Caddyfile"},
		},
	},
	{
		page: "docs/contract.md",
		prepare: func(s *session) {
			s.put("localhost:8311", "localhost:"+s.port)
			s.gateway("{\nedge_functions {\n" + regionsOf("eu-central-1 "+s.backend()) + anyOpenProject + "}\n}\n" + anySite)
		},
		rules: []rule{
			{command: "curl -i -X OPTIONS", output: among},
		},
	},
	{
		page:    "docs/build.md",
		prepare: func(s *session) { s.put("/path/to/the/clone", root, "-trimpath ", "") },
		blocks: map[string]func(*session, block) error{"go": func(s *session, b block) error {
			s.write("mygateway.d/main.go", b.text)
			return nil
		}},
		rules: []rule{
			buildRule,
			{command: "go build -trimpath", before: buildRule.before},
			{command: "./edgegate list-modules", output: exact},
			{command: "./edgegate version", output: exact},
			{command: "GOFLAGS=", do: names, reason: ".ci/xcaddy.sh runs it in make test"},
			{command: "./caddy list-modules", do: names, reason: ".ci/xcaddy.sh compares it in make test"},
			{command: "go mod init", before: func(s *session) {
				if _, _, err := s.run("cd mygateway.d"); err != nil {
					s.t.Fatal(err)
				}
			}},
			{command: "go mod edit"},
			{command: "go mod tidy"},
			{command: "go build -o mygateway ."},
			{command: "./mygateway list-modules", output: exact},
		},
	},
	cliScript,
	metricsScript,
	operationsScript,
}

// buildRule builds in the clone, into the session's directory.
var buildRule = rule{command: "go build -o edgegate ./cmd/edgegate", before: func(s *session) {
	own := filepath.Join(s.dir, "edgegate")
	_ = os.Remove(own) // it is a link to the binary of all
	s.put("go build -o edgegate ", "go build -C "+root+" -o "+own+" ",
		// with -trimpath every package would be compiled again
		"go build -trimpath ", "go build -C "+root+" ", " -o edgegate ./cmd", " -o "+own+" ./cmd")
}}

var cliScript = script{
	page: "docs/cli.md",
	prepare: func(s *session) {
		s.write("projects.json", `{"projects":[{"ref":"`+ref+`","jwt":{"secret":"short"},"functions":[{"slug":"hello","verify_jtw":true}]}]}`)
		s.write("fixed.json", `{"organizations":[{"id":"acme"}],"projects":[{"ref":"`+ref+`","organization":"acme","jwt":{"secret":"`+jwtSecret+`"},"functions":[{"slug":"hello"},{"slug":"webhook"}]}]}`)
		s.write("in-force.json", `{"organizations":[{"id":"acme","plan":"pro"}],"projects":[{"ref":"`+ref+`","organization":"acme","domains":["api.acme.org"],`+
			`"jwt":{"secret":"super-secret-jwt-token-with-at-least-32-characters-long"},"functions":[{"slug":"f0","verify_jwt":false}]}]}`)
		s.write("supabase/config.toml", "project_id = \""+ref+"\"\n[functions.gone]\nverify_jwt = false\n")
		for _, slug := range []string{"hello", "webhook"} {
			s.write("supabase/functions/"+slug+"/index.ts", "Deno.serve(() => new Response())\n")
		}
		s.write("token.txt", token("super-secret-jwt-token-with-at-least-32-characters-long", time.Unix(1700000000, 0)))
		s.gateway("{\nedge_functions {\nlocation eu-central-1\n" + regionsOf("eu-central-1 "+s.backend(), "us-east-1 "+s.backend(), "eu-west-1 http://127.0.0.1:1") +
			"projects file in-force.json\n}\n}\n" + anySite)
	},
	rules: []rule{
		{command: "edgegate status --address", code: 1, output: exact},
		{command: "edgegate status", output: shape, after: func(s *session, said string) {
			// one gateway has one id: that of its ledger, which the log says, is what status shows
			log, err := os.ReadFile(s.started[len(s.started)-1].log)
			id := regexp.MustCompile(`"ledger opened","gateway":"([0-9a-f]+)"`).FindSubmatch(log)
			if err != nil || id == nil || !strings.Contains(said, string(id[1])+" on ") {
				s.t.Errorf("the log names %q (%v), status says\n%s", id, err, said)
			}
		}},
		{command: "edgegate completion bash", before: func(s *session) {
			s.put("/etc/bash_completion.d/edgegate", "completion.bash", "/usr/local/share/man/man8", "man8")
		}, after: func(s *session, _ string) {
			if said, code, err := s.run(". ./completion.bash && complete -p edgegate"); err != nil || code != 0 {
				s.t.Errorf("the completion: exit code %d, %v: %s", code, err, said)
			}
		}},
		{command: "edgegate manpage", after: func(s *session, _ string) {
			if said, code, err := s.run("grep -q status man8/edgegate-status.8"); err != nil || code != 0 {
				s.t.Errorf("the manual page of status: exit code %d, %v: %s", code, err, said)
			}
		}},
		{command: "edgegate regions", do: names, reason: "its backends enter and leave, which the end-to-end suite has them do"},
		{command: "edgegate explain --region eu-west-1,any", output: shape},
		{command: "edgegate projects check projects.json", code: 1, output: exact},
		{command: "edgegate projects check fixed.json", output: exact},
		{command: "edgegate projects import", output: exact, before: func(s *session) { _ = os.Remove(filepath.Join(s.dir, "projects.json")) }},
		{command: "edgegate projects list", output: shape},
		{command: "edgegate token inspect - < token.txt", code: 1, output: exact},
		{command: "edgegate audit", code: 1, output: among, before: func(s *session) {
			s.put("2 findings: 1 high, 1 low", "... findings: ...") // this gateway has more
		}},
	},
}

const anyOpenProject = "project default {\njwt_secret " + jwtSecret + "\nfunction * {\nverify_jwt off\n}\n}\n"
