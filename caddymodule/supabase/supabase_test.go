package supabase

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/routing/projects"
)

const (
	refA = "abcdefghijklmnopqrst"
	refB = "bcdefghijklmnopqrstu"
)

// lay makes files below a new folder; a text of "" is an empty file.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// verified is slug and verify_jwt of each function.
func verified(functions []Function) map[string]bool {
	m := make(map[string]bool)
	for _, f := range functions {
		m[f.Slug] = f.VerifyJWT()
	}
	return m
}

func TestReadFunctions(t *testing.T) {
	root := lay(t, map[string]string{
		"functions/hello/index.ts": "", "functions/hello/index.js": "", "functions/plain/index.mjs": "", "functions/off/index.ts": "",
		"functions/_shared/index.ts": "", "functions/.hidden/index.ts": "", "functions/no slug/index.ts": "", "functions/empty/readme.md": "",
		"functions/index.ts": "", "functions/own/main.ts": "",
		"config.toml": "[api]\nport = 1\n[functions.plain]\nverify_jwt = false\nverfy_jwt = true\n[edge_runtime]\npolicy = 'x'\n[functions.off]\nenabled = false\n[functions.gone]\n[functions.own]\nentrypoint = 'functions/own/main.ts'\n",
	})
	dir := filepath.Join(root, "functions")
	p, err := ReadFunctions(dir)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		slug, dir, entry, configured string
		verify                       bool
	}
	var got []row
	for _, f := range p.Functions {
		got = append(got, row{f.Slug, f.Dir, f.Entry, f.Config.Entrypoint, f.VerifyJWT()})
	}
	want := []row{
		{"hello", filepath.Join(dir, "hello"), "index.ts", "", true},
		{"own", filepath.Join(dir, "own"), "", "functions/own/main.ts", true},
		{"plain", filepath.Join(dir, "plain"), "index.mjs", "", false},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	var problems []string
	for _, problem := range p.Problems {
		problems = append(problems, problem.Path+": "+problem.Message)
	}
	if want := []string{
		"functions.plain.verfy_jwt: the key verfy_jwt is not known",
		"edge_runtime.policy: it has no effect here",
		"functions/empty: left out: its folder has no index.ts",
		"functions.gone: left out: there is no folder functions/gone",
		"functions/no slug: left out: the name is no slug",
		"functions.off: left out: enabled is false",
	}; !reflect.DeepEqual(problems, want) {
		t.Errorf("got  %q\nwant %q", problems, want)
	}
	if _, err := ReadFunctions(filepath.Join(root, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestReadFindsTheFolder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		dir   string
		home  string // "" is an error
		want  map[string]bool
	}{
		{
			"the folder itself",
			map[string]string{"supabase/config.toml": "", "supabase/functions/a/index.ts": ""},
			"supabase",
			"supabase",
			map[string]bool{"a": true},
		},
		{
			"the folder above",
			map[string]string{"supabase/config.toml": "", "supabase/functions/a/index.ts": ""},
			".",
			"supabase",
			map[string]bool{"a": true},
		},
		{"another name", map[string]string{"backend/config.toml": "", "backend/functions/a/index.ts": ""}, "backend", "backend", map[string]bool{"a": true}},
		{"no config.toml", map[string]string{"functions/a/index.ts": ""}, ".", ".", map[string]bool{"a": true}},
		{
			"functions of another tool above",
			map[string]string{"functions/other/index.ts": "", "supabase/functions/a/index.ts": ""},
			".",
			"supabase",
			map[string]bool{"a": true},
		},
		{"no functions", map[string]string{"config.toml": ""}, ".", ".", map[string]bool{}},
		{"nothing", map[string]string{"readme.md": ""}, ".", "", nil},
		{"no folder", nil, "nowhere", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := lay(t, tc.files)
			p, err := Read(filepath.Join(root, tc.dir), "")
			if tc.home == "" {
				if !errors.Is(err, ErrNoProject) && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("got %v, %v", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(root, tc.home); p.Dir != want || !reflect.DeepEqual(verified(p.Functions), tc.want) {
				t.Errorf("got %s, %v, want %s, %v", p.Dir, verified(p.Functions), want, tc.want)
			}
		})
	}
}

func TestReadFindsTheRef(t *testing.T) {
	t.Setenv("SUPABASE_TEST_REF", refB)
	for _, tc := range []struct{ name, given, config, linked, want string }{
		{"given", refA, `project_id = "` + refB + `"`, refB, refA},
		{"project_id", "", `project_id = "` + refA + `"`, refB, refA},
		{"project_id of the environment", "", `project_id = "env(SUPABASE_TEST_REF)"`, "", refB},
		{"project_id of an unset variable", "", `project_id = "env(SUPABASE_TEST_UNSET)"`, "", ""},
		{"linked", "", `project_id = "my-app"`, refB + "\n", refB},
		{"nothing linked", "", `project_id = "my-app"`, "", ""},
		{"linked to nonsense", "", ``, "x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Read(lay(t, map[string]string{"config.toml": tc.config, ".temp/project-ref": tc.linked}), tc.given)
			if err != nil {
				t.Fatal(err)
			}
			if p.Ref != tc.want {
				t.Errorf("got %q, want %q", p.Ref, tc.want)
			}
		})
	}
}

// Who may call differs between branches: what a remote says must not be lost, nor taken for another's.
func TestReadRemotes(t *testing.T) {
	files := map[string]string{
		"functions/a/index.ts": "", "functions/b/index.ts": "", "functions/c/index.ts": "",
		"config.toml": `
[functions.a]
verify_jwt = false
[functions.b]
verify_jwt = false
[remotes.production]
project_id = "` + refA + `"
[remotes.production.functions.a]
verify_jwt = true
[remotes.production.functions.b]
enabled = true
[remotes.production.functions.c]
enabled = false
[remotes.staging]
project_id = "` + refB + `"
`,
	}
	for _, tc := range []struct {
		ref  string
		want map[string]bool
	}{
		{refA, map[string]bool{"a": true, "b": false}},
		{refB, map[string]bool{"a": false, "b": false, "c": true}},
		{"", map[string]bool{"a": false, "b": false, "c": true}},
	} {
		p, err := Read(lay(t, files), tc.ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := verified(p.Functions); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: got %v, want %v", tc.ref, got, tc.want)
		}
		if !reflect.DeepEqual(p.Refs, []string{refA, refB}) {
			t.Errorf("refs %v", p.Refs)
		}
	}
}

func TestReadProblems(t *testing.T) {
	root := lay(t, map[string]string{
		"functions/hello/index.ts": "", "functions/off/index.ts": "", "functions/no slug/index.ts": "", "functions/lib/util.ts": "",
		"functions/_shared/util.ts": "", "functions/.git/config": "", "functions/tool/main.ts": "", "functions/lost/index.ts": "",
		"elsewhere/run.ts": "",
		"config.toml": `
[auth]
jwt_secret = "hunter2-hunter2-hunter2-hunter2-hunter2"
signing_keys_path = "./keys.json"
[functions.off]
enabled = false
[functions.gone]
verify_jwt = false
[functions.tool]
entrypoint = "./functions/tool/main.ts"
import_map = "./functions/tool/deno.json"
static_files = ["./functions/tool/*.html"]
[functions.far]
entrypoint = "elsewhere/run.ts"
[functions.lost]
entrypoint = "main.ts"
`,
	})
	p, err := Read(root, refA)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verified(p.Functions), map[string]bool{"hello": true, "tool": true, "far": true}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want := []projects.Problem{
		{Path: "auth.jwt_secret", Message: "the secret was not copied"},
		{Path: "auth.signing_keys_path", Message: "the file holds private keys and was not read"},
		{Path: "functions.gone", Message: "left out: there is no folder functions/gone"},
		{Path: "functions/lib", Message: "left out: its folder has no index.ts"},
		{Path: "functions.lost", Message: "left out: the entrypoint main.ts is not there"},
		{Path: "functions/no slug", Message: "left out: the name is no slug"},
		{Path: "functions.off", Message: "left out: enabled is false"},
	}
	var got []projects.Problem
	for _, problem := range p.Problems {
		if problem.Remedy == "" {
			t.Errorf("%s: no remedy", problem.Path)
		}
		if strings.Contains(problem.String(), "hunter2") {
			t.Errorf("a secret is in %s", problem)
		}
		problem.Remedy = ""
		got = append(got, problem)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestSecretVariable(t *testing.T) {
	for config, want := range map[string]string{
		`jwt_secret = "env(MY_SECRET)"`: "MY_SECRET",
		`jwt_secret = "env(MY SECRET)"`: "",
		`jwt_secret = ""`:               "",
		``:                              "",
	} {
		p, err := Read(lay(t, map[string]string{"config.toml": "[auth]\n" + config}), refA)
		if err != nil || p.SecretVariable != want {
			t.Errorf("%s: got %q, %v", config, p.SecretVariable, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a section without an end", "\n[functions", "line 2: not valid TOML"},
		{"a secret without quotes", "[auth]\njwt_secret = hunter2\n", `line 2 (last key "auth.jwt_secret"): not valid TOML`},
		{"a secret without an end", "[auth]\njwt_secret = \"hunter2\n", `line 2 (last key "auth.jwt_secret"): not valid TOML`},
		{"a bad escape", "[auth]\njwt_secret = \"\\hunter2\"\n", `line 2 (last key "auth.jwt_secret"): not valid TOML`},
		{"a key twice", "project_id = 'a'\nproject_id = 'hunter2'\n", `line 2 (last key "project_id"): not valid TOML`},
		{
			"another type", "[functions.a]\nverify_jwt = \"hunter2\"\n",
			`line 2 (last key "functions.a.verify_jwt"): incompatible types: TOML value has type string; destination has type boolean`,
		},
		{"no table", "[functions]\na = \"hunter2\"\n", "expected table but found string"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read(lay(t, map[string]string{"config.toml": tc.text}), refA)
			got, ok := errors.AsType[*ConfigError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "config.toml: ") || !strings.Contains(got.What, tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
