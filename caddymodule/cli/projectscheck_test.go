package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/edgegate/edgegate/caddymodule" // the sources that configurations name
)

const oneProject = `{"organizations":[{"id":"acme","plan":"free"}],"projects":[{"ref":"abcdefghijklmnopqrst","organization":"acme",
"regions":["eu-central-1"],"domains":["api.acme.org"],"jwt":{"secret":"0123456789abcdef0123456789abcdef"},
"functions":[{"slug":"a"},{"slug":"b"}]}]}`

// withFunctions is one project on the free plan with n functions.
func withFunctions(n int) string {
	functions := make([]string, n)
	for i := range functions {
		functions[i] = fmt.Sprintf(`{"slug":"f%d"}`, i)
	}
	return strings.Replace(oneProject, `{"slug":"a"},{"slug":"b"}`, strings.Join(functions, ","), 1)
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checked runs projects check -o json on text.
func checked(t *testing.T, text string, flags ...string) (judgement, int) {
	t.Helper()
	stdout, stderr, code := execute(t, append([]string{"projects", "check", writeTemp(t, "projects.json", text), "-o", "json"}, flags...)...)
	var result judgement
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || stderr != "" {
		t.Fatalf("%v, standard output %q, standard error %q", err, stdout, stderr)
	}
	if result.Errors == nil || result.Warnings == nil {
		t.Error("errors or warnings are null")
	}
	return result, code
}

func TestProjectsCheck(t *testing.T) {
	t.Setenv("EDGEGATE_TEST_SECRET", "0123456789abcdef0123456789abcdef")
	secret := `"secret":"0123456789abcdef0123456789abcdef"`
	for _, tc := range []struct {
		name    string
		text    string
		flags   []string
		code    int
		path    string // of the first error, or else of the first warning
		message string
	}{
		{"fine", oneProject, nil, 0, "", ""},
		{"no project", `{"projects":[]}`, nil, 0, "", ""},
		{"a secret of the environment", strings.Replace(oneProject, secret, `"secret":"{env.EDGEGATE_TEST_SECRET}"`, 1), nil, 0, "", ""},
		{
			"an unset variable", strings.Replace(oneProject, secret, `"secret":"{env.EDGEGATE_TEST_UNSET}"`, 1), nil, 1,
			"projects[0].jwt.secret", "the environment variable EDGEGATE_TEST_UNSET is not set or empty",
		},
		{"no JSON", `{"projects":[`, nil, 1, "", "line 1, column"},
		{"an unknown field", strings.Replace(oneProject, `"slug":"b"`, `"slug":"b","verify_jtw":true`, 1), nil, 1, "projects[0].functions[1]", "verify_jwt"},
		{"an unknown plan", strings.Replace(oneProject, "free", "fre", 1), nil, 1, "organizations[0].plan", "free"},
		{"regions that are there", oneProject, []string{"--regions", "us-east-1,eu-central-1"}, 0, "", ""},
		{"a region that is not", oneProject, []string{"--regions", "us-east-1"}, 0, "projects[0].regions", "eu-central-1"},
		{"a domain below the apex", oneProject, []string{"--apex", "acme.org"}, 0, "", ""},
		{
			"a domain that is the gateway's", strings.Replace(oneProject, "api.acme.org", "bcdefghijklmnopqrstu.acme.org", 1),
			[]string{"--apex", "acme.org"},
			1, "projects[0].domains[0]", "acme.org",
		},
		{"contract 7.6: as many functions as the plan has", withFunctions(100), nil, 0, "", ""},
		{"contract 7.6: more functions than the plan has", withFunctions(103), nil, 1, "projects[0].functions", "100"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result, code := checked(t, tc.text, tc.flags...)
			if code != tc.code || result.OK != (code == 0) {
				t.Errorf("exit code %d, ok %t: %+v", code, result.OK, result)
			}
			problems := append(result.Errors, result.Warnings...)
			if tc.message == "" {
				if len(problems) > 0 {
					t.Errorf("got %v", problems)
				}
				return
			}
			if len(problems) == 0 || !strings.HasPrefix(problems[0].Path, tc.path) || !strings.Contains(problems[0].String(), tc.message) {
				t.Errorf("got %v, want %s: %s", problems, tc.path, tc.message)
			}
		})
	}
}

func TestProjectsCheckCounts(t *testing.T) {
	result, _ := checked(t, oneProject)
	if result.Projects != 1 || result.Functions != 2 || result.Organizations != 1 || result.LeftOut != 0 {
		t.Errorf("got %+v", result)
	}
	if result, _ = checked(t, withFunctions(103)); result.LeftOut != 3 || len(result.Errors) != 0 {
		t.Errorf("contract 7.6: got %+v", result)
	}
	bad := strings.ReplaceAll(withFunctions(90), `"slug":"f`, `"slug":" f`)
	if result, _ = checked(t, bad); len(result.Errors)+result.More != 90 || result.More == 0 {
		t.Errorf("90 mistakes: %d errors and %d more", len(result.Errors), result.More)
	}
}

func TestProjectsCheckTables(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		code       int
		want       []string // in this order
	}{
		{"fine", oneProject, 0, []string{"ok: 1 project, 2 functions, 1 organization\n"}},
		{"contract 7.6: more functions than the plan has", withFunctions(101), 1, []string{"warning  projects[0]", "1 function beyond a plan: 1 project"}},
		{"wrong", strings.Replace(oneProject, `"slug":"b"`, `"slug":"a b"`, 1), 1, []string{"error    projects[0].functions[1].slug\n         ", "refused: 1 error, 0 warnings\n"}},
		{"no JSON", `{`, 1, []string{"error    the file\n         line 1", "refused: 1 error"}},
		{"much wrong", strings.ReplaceAll(withFunctions(90), `"slug":"f`, `"slug":" f`), 1, []string{"and 40 more errors\n", "refused: 90 errors"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			stderr, code := executeFrom(t, strings.NewReader(tc.text), &out, "projects", "check", "-")
			if code != tc.code || stderr != "" {
				t.Errorf("exit code %d, standard error %q", code, stderr)
			}
			rest := out.String()
			for _, want := range tc.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("%q is not in\n%s", want, &out)
				}
				rest = after
			}
		})
	}
}

func TestProjectsCheckFails(t *testing.T) {
	stdout, stderr, code := execute(t, "projects", "check", filepath.Join(t.TempDir(), "nowhere.json"))
	if message, hint := said(t, stderr); code != 1 || stdout != "" || !strings.Contains(message, "reading projects: open ") || !strings.Contains(hint, "projects.json") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	_, stderr, code = execute(t, "projects", "check", writeTemp(t, "p.json", oneProject), "--apex", "https://x/")
	if message, hint := said(t, stderr); code != 2 || !strings.Contains(message, `--apex "https://x/"`) || !strings.Contains(hint, "bare domain") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestProjectsCheckConfig: apex, regions and plans are those of a configuration.
func TestProjectsCheckConfig(t *testing.T) {
	config := writeTemp(t, "Caddyfile", `{
	edge_functions {
		apex example.com
		region us-east-1 {
			backend http://127.0.0.1:9
		}
		plan pro {
			functions 1
		}
		plan tiny {
			functions 1
		}
		projects file /nowhere.json
	}
}
:8000 {
	edge_functions
}`)
	file := writeTemp(t, "p.json", strings.Replace(oneProject, `"plan":"free"`, `"plan":"tiny"`, 1))
	if _, _, code := execute(t, "projects", "check", file); code != 1 {
		t.Errorf("a plan of nobody's: exit code %d", code)
	}
	stdout, stderr, code := execute(t, "projects", "check", file, "--config", config)
	if code != 1 || stderr != "" || !strings.Contains(stdout, "1 function beyond a plan") {
		t.Errorf("the configuration's plan: exit code %d, %s%s", code, stdout, stderr)
	}
	_, stderr, code = execute(t, "projects", "check", file, "--config", config, "--apex", "example.com")
	if message, _ := said(t, stderr); code != 2 || !strings.Contains(message, "--config") {
		t.Errorf("both: exit code %d, %s", code, stderr)
	}
	_, stderr, code = execute(t, "projects", "check", file, "--config", writeTemp(t, "Caddyfile", "{\n\tedge_functions {\n\t\tapexx a\n\t}\n}\n"))
	if message, _ := said(t, stderr); code != 1 || !strings.Contains(message, "apexx") {
		t.Errorf("a bad configuration: exit code %d, %s", code, stderr)
	}
	_, stderr, code = execute(t, "projects", "check", file, "--config", writeTemp(t, "Caddyfile", ":80 {\n}\n"))
	if message, hint := said(t, stderr); code != 1 || !strings.Contains(message, "edge_functions") || hint == "" {
		t.Errorf("another configuration: exit code %d, %s", code, stderr)
	}
}
