//go:build e2e

package manual

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// regionsOf are the options of regions, each a name and a backend.
func regionsOf(regions ...string) string {
	var text strings.Builder
	for _, r := range regions {
		name, backend, _ := strings.Cut(r, " ")
		fmt.Fprintf(&text, "region %s {\nbackend %s\n}\n", name, backend)
	}
	return text.String()
}

// backend serves hello of the pages until the page ends, and is the address of it.
func (s *session) backend() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"message\":\"Hello %s!\",\"region\":\"eu-central-1\"}", in.Name)
	}))
	s.t.Cleanup(server.Close)
	return server.URL
}

func (s *session) read(name string) string {
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *session) exampleEnv() []string {
	env, err := environment(s.read("configs/projects.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return env
}

// exportEnv sets the example's variables in the shell.
func (s *session) exportEnv() {
	if _, _, err := s.run("export " + strings.Join(s.exampleEnv(), " ")); err != nil {
		s.t.Fatal(err)
	}
}

// gatewayOf starts a gateway with many projects.
func (s *session) gatewayOf(options string, env ...string) {
	s.gateway("{\nedge_functions {\napex example.com\n"+regionsOf("eu-central-1 "+s.backend())+options+"\n}\n}\n"+anySite, env...)
}

// usedGateway is one with an organization that used something, and exporters.
func usedGateway(s *session, more string) {
	s.put("2026-11 ", time.Now().UTC().Format("2006-01")+" ", "--period 2026-11", "--period "+time.Now().UTC().Format("2006-01"))
	s.write("projects.json", `{"organizations":[{"id":"acme","plan":"pro","spend_cap":false}],"projects":[{"ref":"`+ref+`","organization":"acme","domains":["localhost"],`+
		`"jwt":{"secret":"`+jwtSecret+`"},"functions":[{"slug":"hello","verify_jwt":false}]}]}`)
	s.gatewayOf("projects file projects.json\nstore embedded " + s.dir + "/.store\nexport stripe {\napi_key sk_test_manual\nmeter edge_invocations\nurl http://127.0.0.1:1\n}\n" +
		"export webhook http://127.0.0.1:1/usage {\nname billing\n}")
	said, code, err := s.run("curl -s http://localhost:" + s.port + "/functions/v1/hello -d '{}'\n" + more)
	if err != nil || code != 0 {
		s.t.Fatalf("exit code %d, %v: %s", code, err, said)
	}
}

// callDenoDemo calls a function of the folder and waits for the line of the page.
func callDenoDemo(s *session, said string) {
	line := regexp.MustCompile(`(?m)^curl .*$`).FindString(said)
	said, code, err := s.run(line)
	if err != nil || code != 0 || !strings.Contains(said, `"message":"Hello Ada!"`) {
		s.t.Errorf("%s: exit code %d, %v: %s", line, code, err, said)
	}
	log := s.started[len(s.started)-1].log
	if err := s.wait("the output of the function appears", func() bool {
		text, _ := os.ReadFile(log)
		return regexp.MustCompile(`(?m)^\[eu-central-1/hello\] starting\n\[eu-central-1/hello\] Listening on http://127\.0\.0\.1:\d+/\n\[eu-central-1/hello\] ready after \d+ ms$`).Match(text)
	}, nil); err != nil {
		s.t.Error(err)
	}
	s.stop()
}

// tryLines runs the curl lines of the page's table.
func tryLines(s *session, _ string) {
	text := s.read("docs/quick-start.md")
	all := regexp.MustCompile("(?m)^\\| `(curl [^`]+)` \\|").FindAllStringSubmatch(text, -1)
	if len(all) < 4 {
		s.t.Errorf("only %d lines to try", len(all))
	}
	for _, m := range all {
		command := s.here(m[1])
		if strings.Contains(command, "clock") && !strings.Contains(command, "-m ") {
			command += " -m 5"
		}
		said, code, err := s.run(command)
		if err != nil || code != 0 && code != 28 || strings.Contains(m[1], "-i") && !strings.Contains(said, "HTTP/1.1 200") {
			s.t.Errorf("%s: exit code %d, %v: %s", m[1], code, err, said)
		}
		want := map[string]string{"localhost:8000/functions/v1/page": "text/plain", "own.localhost": "text/html", "every=2": "data:", "us-east-1": "X-Sb-Edge-Region: us-east-1"}
		for part, answer := range want {
			if strings.Contains(m[1], part) && !strings.Contains(said, answer) && !(part == "localhost:8000/functions/v1/page" && strings.Contains(m[1], "own.")) {
				s.t.Errorf("%s: no %q in %s", m[1], answer, said)
			}
		}
	}
}

// runJS runs a block with Deno beside the packages of the end-to-end suite, and compares what it prints with what the page says.
func runJS(s *session, b block) error {
	file := filepath.Join(s.dir, "page.mjs")
	s.write("page.mjs", s.here(b.text))
	if err := os.Symlink(filepath.Join(root, "caddymodule/integration/e2e/node_modules"), filepath.Join(s.dir, "node_modules")); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(root, "caddymodule/integration/e2e/node_modules/.bin/deno"), "run", "--allow-all", "--node-modules-dir=manual", file)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if printed := "prints `" + strings.TrimSpace(string(out)) + "`"; !strings.Contains(s.read(b.page), printed) {
		return fmt.Errorf("the page does not say: %s", printed)
	}
	return nil
}

// token is an HS256 token of the role anon.
func token(secret string, expires time.Time) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(fmt.Appendf(nil, `{"exp":%d,"role":"anon"}`, expires.Unix()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}
