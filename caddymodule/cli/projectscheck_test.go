package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"7.6: as many functions as the plan has", withFunctions(100), nil, 0, "", ""},
		{"7.6: more functions than the plan has", withFunctions(103), nil, 1, "projects[0].functions", "100"},
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
		t.Errorf("7.6: got %+v", result)
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
		{"7.6: more functions than the plan has", withFunctions(101), 1, []string{"warning  projects[0]", "1 function beyond a plan: 1 project"}},
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

func TestFillSecret(t *testing.T) {
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"A": "alpha", "B": "{env.A}", "EMPTY": "", "BLANK": " "}[name]
		return value, ok
	}
	for _, tc := range []struct{ text, want, err string }{
		{"plain", "plain", ""},
		{"{env.A}", "alpha", ""},
		{"x{env.A}-{env.A}{y}", "xalpha-alpha{y}", ""},
		{"{env.B}", "{env.A}", ""}, // what is filled in is not read again
		{"{env.NONE}{env.A}", "", "the environment variable NONE is not set or empty"},
		{"{env.EMPTY}", "", "the environment variable EMPTY is not set or empty"},
		{"{env.}", "", "{env.} names no variable"},
		{"{file./run/x}", "", "{file./run/x} is not filled in here; use {env.NAME}"},
		{"{env.BLANK}", "", "must not be empty"},
		{"", "", "must not be empty"},
	} {
		got, err := fillSecret(tc.text, lookup)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("%q: got %q, %v", tc.text, got, err)
		}
	}
}
