package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/edgegate/edgegate/caddymodule"
)

var update = flag.Bool("update", false, "rewrite the expected texts in testdata")

// separator stands between a Caddyfile and what is expected of it, as in Caddy's own tests.
const separator = "----------\n"

// Values that stand in the environment of every golden file. None may occur in an error or in an adapted configuration.
const (
	longSecret   = "a-secret-of-enough-bytes-for-hs256-0123456789"
	shortSecret  = "too-short"
	secretKey    = "sb_secret_from_the_environment"
	unsendable   = "sb_secret_with a space"
	literalToken = "sb_secret_written_in_the_wrong_place"
)

func setEnvironment(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"JWT_SECRET": longSecret, "OLD_JWT_SECRET": longSecret + "-old", "SHORT_SECRET": shortSecret, "EMPTY_SECRET": "",
		"SECRET_KEY": secretKey, "UNSENDABLE_KEY": unsendable,
	} {
		t.Setenv(name, value)
	}
	// Setenv first, so that the variable comes back after the test.
	t.Setenv("UNSET_SECRET", "")
	if err := os.Unsetenv("UNSET_SECRET"); err != nil {
		t.Fatal(err)
	}
}

// adapt returns the JSON of a Caddyfile; warnings about its format are failures, since users copy what they see.
func adapt(t *testing.T, name, text string) ([]byte, error) {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": name})
	for _, w := range warnings {
		t.Errorf("%s:%d: %s", w.File, w.Line, w.Message)
	}
	return config, err
}

// validate does what `edgegate validate` does with an adapted configuration.
func validate(config []byte) error {
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		return err
	}
	// The default logger would go to the test's output.
	c.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}},
	}}
	return caddy.Validate(&c)
}

// TestAdapt compares the JSON of each right Caddyfile, and loads it as validate does.
func TestAdapt(t *testing.T) {
	setEnvironment(t)
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, _ := strings.Cut(string(data), separator)
			// Relative imports start from the file's folder.
			config, err := adapt(t, "testdata/adapt/Caddyfile", text)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, config, "", "\t"); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			if *update {
				write(t, file, text+separator+got.String())
			} else if got.String() != want {
				t.Errorf("the JSON is\n%s\nwant\n%s", got.String(), want)
			}
			leaks(t, got.String())
			if err := validate(config); err != nil {
				t.Errorf("validate: %v", err)
			}
		})
	}
}

// wrongCase is a Caddyfile that must be refused.
type wrongCase struct{ name, text, want string }

const caseMark = "### "

// readCases splits a file of wrong Caddyfiles: each has a line `### name`, the Caddyfile, the separator and the error.
func readCases(t *testing.T, file string) []wrongCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []wrongCase
	for i, part := range strings.Split("\n"+string(data), "\n"+caseMark) {
		if i == 0 {
			if strings.TrimSpace(part) != "" {
				t.Fatalf("%s does not start with %q", file, caseMark)
			}
			continue
		}
		name, rest, _ := strings.Cut(part, "\n")
		text, want, ok := strings.Cut(rest, separator)
		if !ok && !*update {
			t.Fatalf("%s: %s: no expected error", file, name)
		}
		cases = append(cases, wrongCase{name, strings.TrimRight(text, "\n") + "\n", strings.TrimSpace(want)})
	}
	return cases
}

// refusal returns the error of a Caddyfile and by which command it is found.
func refusal(t *testing.T, text string) string {
	t.Helper()
	config, err := adapt(t, "testdata/wrong/Caddyfile", text)
	if err != nil {
		return "adapt: " + err.Error()
	}
	if err := validate(config); err != nil {
		text := err.Error()
		// Caddy loads apps in random order: it finds the error at the app itself, or by a site that asks for it.
		if i := strings.LastIndex(text, "loading edge_functions app module: "); i >= 0 {
			text = text[i:]
		}
		return "validate: " + text
	}
	return "no error"
}

// TestWrong compares the whole error of each wrong Caddyfile. What stands in the file is found by adapt, with the line;
// what depends on the environment by validate, with the option.
func TestWrong(t *testing.T) {
	setEnvironment(t)
	files, err := filepath.Glob("testdata/wrong/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		cases := readCases(t, file)
		count += len(cases)
		for i, tc := range cases {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+tc.name, func(t *testing.T) {
				got := strings.ReplaceAll(refusal(t, tc.text), here, "DIR") // Caddy names imported files by their whole path
				leaks(t, got)
				cases[i].want = got
				switch {
				case got == "no error":
					t.Error("it was accepted")
				case strings.HasPrefix(got, "adapt: ") && !strings.Contains(got, "Caddyfile:"):
					t.Errorf("the error names no line: %s", got)
				case got != tc.want && !*update:
					t.Errorf("the error is\n%s\nwant\n%s", got, tc.want)
				}
			})
		}
		if *update {
			var b strings.Builder
			for i, tc := range cases {
				if i > 0 {
					b.WriteByte('\n')
				}
				fmt.Fprintf(&b, "%s%s\n%s%s%s\n", caseMark, tc.name, tc.text, separator, tc.want)
			}
			write(t, file, b.String())
		}
	}
	if count < 25 {
		t.Errorf("%d wrong Caddyfiles, want at least 25", count)
	}
}

// leaks fails if a value of the environment, or a key that stands where none belongs, is in text.
func leaks(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{longSecret, shortSecret, secretKey, unsendable, literalToken} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in: %s", secret, text)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEveryOptionIsAdapted keeps the golden files complete: each name that the configuration can have is in one of them.
func TestEveryOptionIsAdapted(t *testing.T) {
	seen := make(map[string]bool)
	files, _ := filepath.Glob("testdata/adapt/*.caddyfiletest")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(data), separator)
		var config any
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		collect(config, "", seen)
	}
	for _, path := range wantPaths {
		if !seen[path] {
			t.Errorf("no golden file has %s; there are %s", path, strings.Join(slices.Sorted(maps.Keys(seen)), " "))
		}
	}
}

// wantPaths are the JSON paths that the Caddyfile can set, arrays left out.
var wantPaths = strings.Fields(`apex location.region location.latitude location.longitude nearest
	regions.name regions.backends regions.dynamic regions.dynamic_scheme regions.coordinates regions.bias idle_timeout max_body
	project.domains project.regions project.jwt.secret project.jwt.secrets
	project.api_keys.type project.api_keys.key project.api_keys.name project.max_body project.wall_clock
	project.cors.origins project.cors.credentials
	project.functions.slug project.functions.id project.functions.version project.functions.verify_jwt
	project.functions.cors project.functions.html project.functions.status project.functions.wall_clock
	project.functions.websocket_token project.plan project.jwt.jwks project.jwt.jwks_url project.jwt.jwks_file
	project.jwt.issuer project.jwt.audience project.jwt.role project.jwt.leeway project.jwt.allow_eddsa
	project.api_keys.sha256 project.api_keys.expires_at
	plans.pro.functions plans.pro.wall_clock invocation_log invocation_log.sample tracing tracing.sample request_metrics top_projects jwks_private projects.source projects.path projects.url store.kind store.url
	handler.cors.origins handler.cors.credentials handler.html`)

// collect finds the app and the handlers in a configuration.
func collect(value any, prefix string, seen map[string]bool) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			collect(item, prefix, seen)
		}
	case map[string]any:
		switch {
		case prefix == "apps.":
			addPaths(v["edge_functions"], "", seen)
			collect(v["http"], "http.", seen)
		case v["handler"] == "edge_functions":
			addPaths(v, "handler.", seen)
		default:
			for name, item := range v {
				collect(item, prefix+name+".", seen)
			}
		}
	}
}

func addPaths(value any, prefix string, seen map[string]bool) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			addPaths(item, prefix, seen)
		}
	case map[string]any:
		for name, item := range v {
			seen[prefix+name] = true
			addPaths(item, prefix+name+".", seen)
		}
	}
}
