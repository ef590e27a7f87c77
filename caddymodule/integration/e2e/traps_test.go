//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// advise runs a command of the binary on a Caddyfile and returns its warnings and errors, with the line that each is about.
func advise(t *testing.T, command, caddyfile string) (warnings []string, said string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shared.binary, command, "--config", file)
	cmd.Env = []string{"HOME=" + dir, "JWT_SECRET=" + jwtSecret, "EMPTY="}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run() // what it says is the question
	for line := range strings.SplitSeq(stderr.String(), "\n") {
		var entry struct {
			Level, Logger, Msg, File string
			Line                     int
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "warn" && entry.Logger == "config.adapter.caddyfile" {
			if entry.File != file || entry.Line == 0 {
				t.Errorf("a warning without its place: %s", line)
			}
			warnings = append(warnings, strings.Split(caddyfile, "\n")[entry.Line-1]+" => "+entry.Msg)
		}
	}
	return warnings, strings.ReplaceAll(stderr.String(), dir, "DIR")
}

// TestTraps: what is valid, and yet never what somebody wants, gets a warning with its line and what to write instead; what is
// right gets none.
func TestTraps(t *testing.T) {
	const noFunction = "so no function is reached; write `edge_functions /functions/v1/*`"
	const stripped = "so every call is 404; write `handle /functions/v1/*`"
	for name, tt := range map[string]struct{ project, site, want string }{
		"right":             {"jwt_secret {env.JWT_SECRET}", "edge_functions /functions/v1/*", ""},
		"right, in handle":  {"jwt_secret {env.JWT_SECRET}", "handle /functions/v1/* {\n\t\tedge_functions\n\t}\n\thandle_path /static/* {\n\t\trespond ok\n\t}", ""},
		"right, all":        {"api_key publishable sb_publishable_abc", "uri strip_prefix /api\n\tedge_functions", ""},
		"one function":      {"jwt_secret {env.JWT_SECRET}", "edge_functions /functions/v1/hello", ""},
		"no star":           {"jwt_secret {env.JWT_SECRET}", "edge_functions /functions/v1", "edge_functions /functions/v1 => ..." + noFunction},
		"a slash, no star":  {"jwt_secret {env.JWT_SECRET}", "edge_functions /functions/v1/ {\n\t\thtml keep\n\t}", "edge_functions /functions/v1/ { => ..." + noFunction},
		"named, no star":    {"jwt_secret {env.JWT_SECRET}", "@f path /functions/v1\n\tedge_functions @f", "edge_functions @f => ..." + noFunction},
		"named, a star too": {"jwt_secret {env.JWT_SECRET}", "@f path /functions/v1 /functions/v1/*\n\tedge_functions @f", ""},
		"handle_path":       {"jwt_secret {env.JWT_SECRET}", "handle_path /functions/v1/* {\n\t\tedge_functions\n\t}", "handle_path /functions/v1/* { => ..." + stripped},
		"handle_path above": {"jwt_secret {env.JWT_SECRET}", "handle_path /functions/* {\n\t\troute {\n\t\t\tedge_functions\n\t\t}\n\t}", "handle_path /functions/* { => ..." + stripped},
		"strip_prefix":      {"jwt_secret {env.JWT_SECRET}", "route {\n\t\turi strip_prefix /functions/v1\n\t\tedge_functions\n\t}", "uri strip_prefix /functions/v1 => ...so every call is 404; remove the line"},
		"no credential":     {"", "edge_functions", "project default { => ...it has neither jwt_secret, jwks nor api_key"},
		"none needed":       {"function open {\n\t\t\t\tverify_jwt off\n\t\t\t}", "edge_functions", ""},
	} {
		function := "\n\t\t\tfunction *"
		if name == "none needed" {
			function = ""
		}
		text := "{\n\tadmin off\n\tedge_functions {\n\t\tregion us-east-1 {\n\t\t\tbackend http://127.0.0.1:9000\n\t\t}\n\t\tproject default {\n\t\t\t" +
			tt.project + function + "\n\t\t}\n\t}\n}\nhttp://127.0.0.1:1 {\n\t" + tt.site + "\n}\n"
		for _, command := range []string{"validate", "adapt"} {
			got, said := advise(t, command, text)
			where, what, _ := strings.Cut(tt.want, " => ...")
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("%s, %s: %q", name, command, got)
			case tt.want != "" && (len(got) != 1 || !strings.HasPrefix(strings.TrimSpace(got[0]), where+" => ") || !strings.Contains(got[0], what)):
				t.Errorf("%s, %s: %q, want %q\n%s", name, command, got, tt.want, said)
			}
		}
	}
}

// TestUnsetVariableIsNamed: a variable that is filled in when the file is read, and is not set, leaves nothing behind; the error
// of what is missing then names it. A missing projects file is a warning in validate, and an error at the start.
func TestUnsetVariableIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"region {$REGION_NAME} {\n\t\t\tbackend http://127.0.0.1:9000\n\t\t}": "REGION_NAME is not set",
		"region a {\n\t\t\tbackend {$BACKEND_URL}\n\t\t}":                     "BACKEND_URL is not set",
		"region a {\n\t\t\tbackend {$EMPTY}\n\t\t}":                           "EMPTY is not set",
		"apex {$APEX_NAME}":                                               "APEX_NAME is not set",
		"projects file {$PROJECTS_FILE}":                                  "PROJECTS_FILE is not set",
		"projects {$PROJECTS}":                                            "PROJECTS is not set",
		"store redis {$REDIS_URL}":                                        "write `store",
		"rate_limit project {$RATE}":                                      "RATE is not set",
		"export webhook {$HOOK}":                                          "HOOK is not set",
		"export {$EXPORTER}":                                              "EXPORTER is not set",
		"debug_secret {$DEBUG_SECRET}":                                    "DEBUG_SECRET is not set",
		"idle_timeout {$IDLE}":                                            "IDLE is not set",
		"project default {\n\t\t\tjwt_secret {$SECRET}\n\t\t}":            "SECRET is not set",
		"project default {\n\t\t\tapi_key secret {$KEY} # comment\n\t\t}": "KEY is not set",
		"project default {\n\t\t\tdomain {$DOMAIN}\n\t\t}":                "DOMAIN is not set",
		"idle_timeout":                                                    "wrong number of arguments (0); write `idle_timeout 150s`",
	} {
		_, said := advise(t, "adapt", "{\n\tedge_functions {\n\t\t"+line+"\n\t}\n}\n")
		if !strings.Contains(said, want) || !strings.Contains(said, "DIR/Caddyfile:") {
			t.Errorf("%q: %s, want %s", line, said, want)
		}
	}
	missing := "{\n\tadmin off\n\tedge_functions {\n\t\tapex example.com\n\t\tregion us-east-1 {\n\t\t\tbackend http://127.0.0.1:9000\n\t\t}\n\t\tprojects file /nonexistent/projects.json\n\t}\n}\n"
	if _, said := advise(t, "validate", missing); !strings.Contains(said, `"level":"warn"`) || !strings.Contains(said, "/nonexistent/projects.json") {
		t.Errorf("validate says nothing of a missing projects file: %s", said)
	}
	if _, said := advise(t, "run", missing); !strings.Contains(said, "/nonexistent/projects.json") {
		t.Errorf("it starts without its projects file: %s", said)
	}
}
