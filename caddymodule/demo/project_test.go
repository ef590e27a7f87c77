package demo

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadProject(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "functions")
	for _, name := range []string{
		"hello/index.ts", "hello/index.js", "plain/index.js", "jsx/index.tsx", "module/index.mjs", "open/index.ts",
		"_shared/index.ts", ".hidden/index.ts", "no slug/index.ts", "empty/readme.md", "off/index.ts", "index.ts",
		"plain/import_map.json", "import_map.json", "module/deno.json",
	} {
		writeFile(t, dir, name, "")
	}
	for _, name := range []string{"apps/main.ts", "maps/own.json", "functions/far/deno.json", "functions/cfg/index.ts", "maps/deno.json"} {
		writeFile(t, root, name, "{}")
	}
	writeFile(t, root, "config.toml", `project_id = "x"
[functions.open]
verify_jwt = false
import_map = "./y"
[functions.off]
enabled = false
[functions.gone]
verify_jwt = false
[functions.far]
entrypoint = "./apps/main.ts"
[functions.hello]
import_map = "./maps/own.json"
static_files = ["./functions/hello/*.ts", "./functions/hello/*.html"]
[functions.cfg]
import_map = "./maps/deno.json"
verify_jtw = false
`)
	writeFile(t, dir, ".env", "A=1\n")
	p, err := readProject(dir)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		slug, entry string
		verify      bool
		flags       string
	}
	var got []row
	for _, f := range p.functions {
		got = append(got, row{f.slug, strings.ReplaceAll(f.entry, root, ""), f.verifyJWT, strings.ReplaceAll(strings.Join(f.flags, " "), root, "")})
	}
	want := []row{
		{"cfg", "index.ts", true, "--config=/maps/deno.json"},
		{"far", "/apps/main.ts", true, "--config=/functions/far/deno.json"},
		{"hello", "index.ts", true, "--import-map=/maps/own.json"},
		{"jsx", "index.tsx", true, "--import-map=/functions/import_map.json"},
		{"module", "index.mjs", true, ""},
		{"open", "index.ts", false, "--import-map=/functions/import_map.json"},
		{"plain", "index.js", true, "--import-map=/functions/plain/import_map.json"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !reflect.DeepEqual(p.env, []string{"A=1"}) {
		t.Errorf("env %v", p.env)
	}
	warnings := strings.ReplaceAll(strings.Join(p.warnings, "\n"), root, "")
	for _, want := range []string{
		"/config.toml: functions.open.import_map: there is no file ./y",
		"/config.toml: functions.off: left out: enabled is false",
		"/config.toml: functions.gone: left out: there is no folder functions/gone",
		"/config.toml: functions.hello.static_files: no file fits ./functions/hello/*.html",
		"/config.toml: functions.cfg.verify_jtw: the key verify_jtw is not known; did you mean verify_jwt?",
		": functions/empty: left out: its folder has no index.ts",
		": functions/no slug: left out: the name is no slug",
	} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no %q in\n%s", want, warnings)
		}
	}
	if n := len(p.warnings); n != 7 {
		t.Errorf("%d warnings:\n%s", n, warnings)
	}
}

func TestReadProjectRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file, text, want string
	}{
		{"config that is no TOML", "config.toml", "[functions", "config.toml"},
		{"verify_jwt of another kind", "config.toml", "[functions.hello]\nverify_jwt = \"no\"\n", "config.toml"},
		{"environment that is none", "functions/.env", "OK=1\nhunter2\n", "line 2 is not KEY=VALUE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			writeFile(t, root, "functions/hello/index.ts", "")
			writeFile(t, root, c.file, c.text)
			_, err := readProject(filepath.Join(root, "functions"))
			var p *cli.FailureError
			if !errors.As(err, &p) || !strings.Contains(p.Msg, c.want) || p.Hint == "" {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(p.Msg, "hunter2") {
				t.Error("a line of .env is in the message")
			}
		})
	}
}

func TestParseDotenv(t *testing.T) {
	in := "\ufeff# comment\n\nPLAIN=value\nSPACED = a value # comment\nHASH=a#b\nexport EXPORTED=1\nexported=2\nEMPTY=\nNOTE= # nothing\n" +
		"SINGLE='a \\n $X # b' # c\nDOUBLE=\"a\\nb \\\"q\\\" \\$X \\\\n\"\nEQ=a=b==\r\nSUPABASE_URL=mine\nTAB=a\t# c\n"
	want := []string{
		"PLAIN=value", "SPACED=a value", "HASH=a#b", "EXPORTED=1", "exported=2", "EMPTY=", "NOTE=",
		`SINGLE=a \n $X # b`, "DOUBLE=a\nb \"q\" $X \\n", "EQ=a=b==", "TAB=a",
	}
	got, err := parseDotenv(in)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, bad := range []string{"novalue", "=x", "1A=x", "A B=x", "A='open", `A="open\"`, `A="x" y`, "A=\x00"} {
		if env, err := parseDotenv(bad); err == nil {
			t.Errorf("%q gave %q", bad, env)
		}
	}
}

func FuzzParseDotenv(f *testing.F) {
	for _, seed := range []string{"A=1", "export A='x'", `A="\"`, "A=\"x\\", "=", "A=#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		env, err := parseDotenv(text)
		if err != nil {
			return
		}
		for _, pair := range env {
			name, _, found := strings.Cut(pair, "=")
			if !found || !envName.MatchString(name) || strings.IndexByte(pair, 0) >= 0 {
				t.Errorf("%q is not for an environment", pair)
			}
		}
	})
}
