package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

const someRef = "abcdefghijklmnopqrst"

// projectJSON is a project with one function.
func projectJSON(slug string) string {
	return fmt.Sprintf(`{"ref":%q,"domains":["api.acme.org"],"jwt":{"secret":"super-secret-jwt-token-with-at-least-32-characters-long"},`+
		`"api_keys":[{"name":"web","type":"publishable","key":"sb_publishable_abc123"}],"functions":[{"slug":%q,"verify_jwt":false}]}`, someRef, slug)
}

func fileJSON(slug string) string { return `{"projects":[` + projectJSON(slug) + `]}` }

func sourceApp(source string) []byte {
	return appConfig(`{"apex":"example.com","regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]}],"projects":` + source + `}`)
}

func runningApp(t *testing.T) *App {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("edge_functions")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

// within waits until happened returns nothing, and fails with what it returned last.
func within(t *testing.T, happened func() string) {
	t.Helper()
	for deadline := time.Now().Add(eventually); ; {
		missing := happened()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// serves waits until the project in force has the function.
func serves(t *testing.T, slug string) {
	t.Helper()
	within(t, func() string {
		match, ok := runningApp(t).catalogue.Find(someRef + ".example.com")
		if ok {
			_, ok = match.Project.Function(slug)
		}
		if !ok {
			return "no function " + slug
		}
		return ""
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFileProjects: a file is followed however it is written, and a bad one leaves the old projects in force.
func TestFileProjects(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "projects.json")
	write(t, path, fileJSON("first"))
	load(t, sourceApp(fmt.Sprintf(`{"source":"file","path":%q}`, path)))
	serves(t, "first")

	write(t, path, fileJSON("in-place"))
	serves(t, "in-place")

	next := filepath.Join(dir, "next.json")
	write(t, next, fileJSON("renamed"))
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	serves(t, "renamed")

	write(t, path, `{"projects":[{"ref":"short"}]}`)
	within(t, func() string {
		status := answer(t, "/edge_functions/status")["projects"].(map[string]any)
		if text, _ := status["error"].(string); !strings.Contains(text, `projects[0].ref: "short"`) {
			return fmt.Sprintf("the error is %v", status["error"])
		}
		return ""
	})
	serves(t, "renamed")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	within(t, func() string {
		if state := runningApp(t).keeper.current(); !errors.Is(state.err, os.ErrNotExist) {
			return fmt.Sprintf("the error is %v", state.err)
		}
		return ""
	})
	serves(t, "renamed")
	write(t, path, fileJSON("back"))
	serves(t, "back")
	within(t, func() string {
		if state := runningApp(t).keeper.current(); state.err != nil {
			return state.err.Error()
		}
		return ""
	})
}

// TestFileProjectsAtStart: what cannot be served is no start, but `validate` lets a file be missing.
func TestFileProjectsAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	config := sourceApp(fmt.Sprintf(`{"source":"file","path":%q}`, path))
	if text := refused(t, config); text != "" {
		t.Errorf("validate without the file: %s", text)
	}
	if err := caddy.Load(config, true); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("start without the file: %v", err)
	}
	write(t, path, `{"projects":[{"ref":"short"}]}`)
	if text := refused(t, config); !strings.Contains(text, `projects.json: projects[0].ref: "short"`) {
		t.Errorf("validate of a bad file: %q", text)
	}
}

// TestTLSPermission: certificates are for the hosts of projects alone.
func TestTLSPermission(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	write(t, path, fileJSON("hello"))
	load(t, sourceApp(fmt.Sprintf(`{"source":"file","path":%q}`, path)))
	many := &TLSPermission{app: runningApp(t)}
	for name, allowed := range map[string]bool{
		"api.acme.org": true, "API.acme.org": true, someRef + ".example.com": true, someRef + ".functions.example.com": true,
		"example.com": false, "www.example.com": false, "zz" + someRef[2:] + ".example.com": false, "evil.org": false,
		"api.acme.org.": false, "api.acme.org:443": false, "*.example.com": false, "": false, "127.0.0.1": false,
	} {
		err := many.CertificateAllowed(context.Background(), name)
		if (err == nil) != allowed || err != nil && !errors.Is(err, caddytls.ErrPermissionDenied) {
			t.Errorf("%q: %v, allowed is %t", name, err, allowed)
		}
	}
}

// TestTLSPermissionOfOneProject: it answers on any host, which must not have certificates asked for.
func TestTLSPermissionOfOneProject(t *testing.T) {
	load(t, appConfig(strings.Replace(goodApp, `"project":{`, `"project":{"domains":["api.acme.org"],`, 1)))
	one := &TLSPermission{app: runningApp(t)}
	if err := one.CertificateAllowed(context.Background(), "api.acme.org"); err != nil {
		t.Error(err)
	}
	if err := one.CertificateAllowed(context.Background(), "evil.org"); err == nil {
		t.Error("a certificate for any host")
	}
}

// TestAudit finds what the issue names, each with a remedy.
func TestAuditProjects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	write(t, path, strings.Replace(fileJSON("hello"), `"key":"sb_publishable_abc123"`, `"key":"sb_publishable_abc123","expires_at":"2020-01-01T00:00:00Z"`, 1))
	load(t, sourceApp(fmt.Sprintf(`{"source":"file","path":%q}`, path)))
	found := make(map[string]Severity)
	for _, f := range runningApp(t).auditProjects() {
		found[f.Check] = f.Severity
		if f.Remedy == "" || f.Subject == "" || f.Message == "" || strings.Contains(fmt.Sprint(f), "super-secret") {
			t.Errorf("finding %+v", f)
		}
	}
	for check, severity := range map[string]Severity{"weak_secret": High, "expired_key": Low, "verify_jwt_off": Low} {
		if found[check] != severity {
			t.Errorf("%s: %q, want %q in %v", check, found[check], severity, found)
		}
	}
}

// TestAuditKeys: a project whose only keys lie behind a URL that was never reached
// has keys all the same; what is wrong is the URL.
func TestAuditKeys(t *testing.T) {
	const project = `{"projects":[{"ref":"abcdefghijklmnopqrst","jwt":{%s},"functions":[{"slug":"hello"}]}]}`
	for _, tc := range []struct {
		name, jwt string
		noKeys    bool
	}{
		{"nothing", ``, true},
		{"a URL", `"jwks_url":"http://127.0.0.1:1/keys"`, false},
		{"a secret", `"secret":"7Kq2mXw9Zr4Tn8Lb6Vh3Jd5Fs1Gp0Yc0"`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "projects.json")
			write(t, path, fmt.Sprintf(project, tc.jwt))
			load(t, sourceApp(fmt.Sprintf(`{"source":"file","path":%q}`, path)))
			found := slices.ContainsFunc(runningApp(t).auditProjects(), func(f Finding) bool { return f.Check == "no_keys" })
			if found != tc.noKeys {
				t.Errorf("no_keys: %v, want %v", found, tc.noKeys)
			}
		})
	}
}

func TestAuditConfig(t *testing.T) {
	good := map[string]any{"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
		"trusted_proxies": map[string]any{}, "routes": []any{map[string]any{"handle": []any{map[string]any{"handler": "edge_functions"}}}},
	}}}}}
	if findings := auditConfig(good); len(findings) != 0 {
		t.Errorf("a good one: %+v", findings)
	}
	headers := map[string]any{"handler": "headers", "response": map[string]any{"set": map[string]any{
		"Access-Control-Allow-Origin": []any{"*"}, "Access-Control-Allow-Credentials": []any{"true"},
	}}}
	bad := map[string]any{
		"admin": map[string]any{"listen": "0.0.0.0:2019"},
		"apps": map[string]any{
			"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
				"routes": []any{map[string]any{"handle": []any{headers, map[string]any{"handler": "edge_functions"}}}},
			}}},
			"tls": map[string]any{"automation": map[string]any{"policies": []any{map[string]any{"on_demand": true}}}},
		},
	}
	want := map[string]Severity{"admin_address": High, "on_demand_permission": High, "trusted_proxies": Low, "cors_credentials": High}
	findings := auditConfig(bad)
	for _, f := range findings {
		if want[f.Check] != f.Severity || f.Remedy == "" {
			t.Errorf("finding %+v", f)
		}
	}
	if len(findings) != len(want) {
		t.Errorf("%d findings, want %d: %+v", len(findings), len(want), findings)
	}
}

// TestUnavailable: until the projects were loaded once, a host that is not found says nothing (503, not contract 1.7).
func TestUnavailable(t *testing.T) {
	load(t, sourceApp(`{"source":"redis","url":"redis://127.0.0.1:1"}`))
	app := runningApp(t)
	if app.catalogue.Ready() {
		t.Error("ready without projects")
	}
	list := answer(t, "/edge_functions/projects")
	if list["loaded_at"] != nil || len(list["projects"].([]any)) != 0 {
		t.Errorf("projects %v", list)
	}
	if _, err := ask(t, http.MethodGet, "/edge_functions/status"); err != nil {
		t.Error(err)
	}
}
