package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const importRef = "abcdefghijklmnopqrst"

// supabaseFolder is a project with config.toml and some functions.
func supabaseFolder(t *testing.T, config string, slugs ...string) string {
	t.Helper()
	root := t.TempDir()
	home := filepath.Join(root, "supabase")
	for _, slug := range slugs {
		if err := os.MkdirAll(filepath.Join(home, "functions", slug), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "functions", slug, "index.ts"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

const someConfig = `project_id = "` + importRef + `"
[functions.hook]
verify_jwt = false
[functions.gone]
`

const someDocument = `{
  "organizations": [
    {
      "id": "acme",
      "plan": "pro"
    }
  ],
  "projects": [
    {
      "ref": "abcdefghijklmnopqrst",
      "organization": "acme",
      "jwt": {
        "secret": "{env.JWT_SECRET}"
      },
      "api_keys": [
        {
          "name": "default",
          "type": "publishable",
          "key": "{env.SUPABASE_PUBLISHABLE_KEY}"
        },
        {
          "name": "default",
          "type": "secret",
          "key": "{env.SUPABASE_SECRET_KEY}"
        }
      ],
      "functions": [
        {
          "slug": "hello",
          "verify_jwt": true
        },
        {
          "slug": "hook",
          "verify_jwt": false
        }
      ]
    }
  ]
}
`

func TestProjectsImport(t *testing.T) {
	root := supabaseFolder(t, someConfig, "hook", "hello", "_shared")
	stdout, stderr, code := execute(t, "projects", "import", "--supabase", root, "--organization", "acme", "--plan", "pro")
	if code != 0 || stdout != someDocument {
		t.Errorf("exit code %d, standard error %q, got\n%s", code, stderr, stdout)
	}
	for _, want := range []string{
		"warning  functions.gone\n         left out: there is no folder functions/gone\n         Remedy: add it, or remove the section\n",
		"project " + importRef + " with 2 functions\n",
		"Set for the gateway: JWT_SECRET, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %q", want, stderr)
		}
	}

	t.Setenv("JWT_SECRET", "0123456789abcdef0123456789abcdef")
	t.Setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_0123456789")
	t.Setenv("SUPABASE_SECRET_KEY", "sb_secret_0123456789")
	var out bytes.Buffer
	if stderr, code := executeFrom(t, strings.NewReader(stdout), &out, "projects", "check", "-"); code != 0 || out.String() != "ok: 1 project, 2 functions, 1 organization\n" {
		t.Errorf("projects check: exit code %d, %s%s", code, &out, stderr)
	}
}

func TestProjectsImportToFile(t *testing.T) {
	root := supabaseFolder(t, someConfig, "hook", "hello")
	out := filepath.Join(t.TempDir(), "projects.json")
	args := []string{"projects", "import", "--supabase", filepath.Join(root, "supabase"), "--organization", "acme", "--plan", "pro", "--out", out}

	stdout, stderr, code := execute(t, append(args, "-o", "json")...)
	var result importResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %v, standard error %q, got\n%s", code, err, stderr, stdout)
	}
	if result.File != out || result.Ref != importRef || result.Functions != 2 || len(result.Warnings) != 1 || len(result.Variables) != 3 {
		t.Errorf("got %+v", result)
	}
	if written, err := os.ReadFile(out); err != nil || string(written) != someDocument {
		t.Errorf("%v, wrote\n%s", err, written)
	}

	// Never overwritten, unless that is said.
	if err := os.WriteFile(out, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code = execute(t, args...)
	if message, hint := said(t, stderr); code != 1 || stdout != "" || message != out+" is there already" || !strings.Contains(hint, "--force") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if written, _ := os.ReadFile(out); string(written) != "mine" {
		t.Errorf("overwrote it with\n%s", written)
	}
	stdout, stderr, code = execute(t, append(args, "--force")...)
	if code != 0 || stderr != "" || !strings.Contains(stdout, out+": project "+importRef+" with 2 functions\n") {
		t.Errorf("--force: exit code %d, %s%s", code, stdout, stderr)
	}
	if written, _ := os.ReadFile(out); string(written) != someDocument {
		t.Errorf("--force wrote\n%s", written)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".projects-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestProjectsImportSecrets(t *testing.T) {
	config := `project_id = "` + importRef + `"
[auth]
jwt_secret = "env(MY_SECRET)"
`
	stdout, stderr, code := execute(t, "projects", "import", "--supabase", supabaseFolder(t, config, "a"))
	if code != 0 || !strings.Contains(stdout, `"{env.MY_SECRET}"`) || !strings.Contains(stderr, "MY_SECRET, ") || strings.Contains(stdout, "organizations") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	config = strings.Replace(config, "env(MY_SECRET)", "hunter2-hunter2-hunter2-hunter2-hunter2", 1)
	stdout, stderr, code = execute(t, "projects", "import", "--supabase", supabaseFolder(t, config, "a"))
	if code != 0 || !strings.Contains(stdout, `"{env.JWT_SECRET}"`) || !strings.Contains(stderr, "auth.jwt_secret\n         the secret was not copied") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, "hunter2") {
		t.Errorf("the secret is shown: %s%s", stdout, stderr)
	}
}

func TestProjectsImportFails(t *testing.T) {
	fine := supabaseFolder(t, someConfig, "a")
	local := supabaseFolder(t, "project_id = \"my-app\"\n", "a")
	remotes := supabaseFolder(t, "[remotes.x]\nproject_id = \""+importRef+"\"\n", "a")
	broken := supabaseFolder(t, "[functions", "a")
	for _, tc := range []struct {
		name    string
		args    []string
		code    int
		message string
		hint    string
	}{
		{"no folder named", nil, 2, "--supabase is missing", "config.toml"},
		{"no folder", []string{"--supabase", filepath.Join(fine, "nowhere")}, 1, "no such file or directory", "--supabase ./supabase"},
		{"another folder", []string{"--supabase", t.TempDir()}, 1, "neither config.toml nor a folder of functions", "--supabase ./supabase"},
		{"a broken config.toml", []string{"--supabase", broken}, 1, "config.toml: line 1: not valid TOML", "correct config.toml"},
		{"no ref", []string{"--supabase", local}, 2, "does not say the project's ref", "--ref, or run `supabase link`"},
		{"no ref, but remotes", []string{"--supabase", remotes}, 2, "does not say the project's ref", importRef},
		{"a ref that is none", []string{"--supabase", fine, "--ref", "my-app"}, 2, `--ref "my-app"`, "supabase.co"},
		{"a plan without an organization", []string{"--supabase", fine, "--plan", "pro"}, 2, "--plan needs --organization", "--organization ID"},
		{"an unknown plan", []string{"--supabase", fine, "--organization", "acme", "--plan", "proo"}, 2, "organizations[0].plan", "correct --plan; a plan of the gateway's own"},
		{"an organization that is none", []string{"--supabase", fine, "--organization", "a b"}, 2, "organizations[0].id", "--organization"},
		{"force without a file", []string{"--supabase", fine, "--force"}, 2, "--force needs --out", "--out FILE"},
		{"a file that cannot be", []string{"--supabase", fine, "--out", filepath.Join(fine, "nowhere", "p.json")}, 1, "writing projects: ", "--out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, code := execute(t, append([]string{"projects", "import"}, tc.args...)...)
			message, hint := said(t, stderr)
			if code != tc.code || stdout != "" || !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
				t.Errorf("exit code %d, standard output %q, error %q, hint %q", code, stdout, message, hint)
			}
		})
	}
}

// Contract 7.6: what the plan leaves out is said at once, and the file is made all the same.
func TestProjectsImportBeyondPlan(t *testing.T) {
	slugs := make([]string, 101)
	for i := range slugs {
		slugs[i] = "f" + strings.Repeat("x", i)
	}
	root := supabaseFolder(t, `project_id = "`+importRef+`"`, slugs...)
	stdout, stderr, code := execute(t, "projects", "import", "--supabase", root, "--organization", "acme", "--plan", "free")
	if code != 0 || !strings.Contains(stdout, `"`+slugs[100]+`"`) || !strings.Contains(stderr, "warning  projects[0]") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
