package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/routing/projects"
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

// textSource is a source of the operator's that is read with the configuration.
type textSource struct {
	Text string `json:"text"`
}

func (*textSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "edge_functions.projects.text", New: func() caddy.Module { return new(textSource) }}
}

func (*textSource) Location() string                          { return "text" }
func (*textSource) OperatorOnly()                             {}
func (s *textSource) Load() (projects.Input, error)           { return projects.SplitFile([]byte(s.Text)) }
func (*textSource) Follow(ctx context.Context, _ ProjectSink) { <-ctx.Done() }

// scriptedSource delivers what a test has in deliveries, and is not the operator's.
type scriptedSource struct{}

var deliveries = make(chan string)

func (*scriptedSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "edge_functions.projects.scripted", New: func() caddy.Module { return new(scriptedSource) }}
}

func (*scriptedSource) Location() string { return "script" }

func (*scriptedSource) Follow(ctx context.Context, sink ProjectSink) {
	sink.Fail(errors.New("away"))
	for {
		select {
		case text := <-deliveries:
			if input, err := projects.SplitFile([]byte(text)); err != nil {
				sink.Fail(err)
			} else {
				_ = sink.Apply(input)
			}
		case <-ctx.Done():
			return
		}
	}
}

func init() {
	caddy.RegisterModule(new(textSource))
	caddy.RegisterModule(new(scriptedSource))
}

// textApp is a gateway with projects in the layout of a projects file.
func textApp(t *testing.T, text string) []byte {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return sourceApp(`{"source":"text","text":` + string(quoted) + `}`)
}

// What a source delivers that others may write to may neither name files nor the environment; the last good version stays.
func TestProjectsAreNotFilledIn(t *testing.T) {
	load(t, sourceApp(`{"source":"scripted"}`))
	deliveries <- fileJSON("first")
	serves(t, "first")
	for placeholder, path := range map[string]string{
		`"jwt":{"secret":"{env.PATH}{env.PATH}{env.PATH}{env.PATH}"}`:                     "jwt.secret: {env.PATH} is filled in only",
		`"jwt":{"secrets":["super-secret-jwt-token-with-{file./etc/passwd}-characters"]}`: "jwt.secrets[0]: {file./etc/passwd} is filled in only",
		`"api_keys":[{"type":"secret","key":"sb_secret_{env.HOME}"}]`:                     "api_keys[0].key: {env.HOME} is filled in only",
		`"jwt":{"jwks_file":"/etc/passwd"}`:                                               "jwt.jwks_file: projects from here may not name files",
	} {
		deliveries <- `{"projects":[{"ref":"` + someRef + `",` + placeholder + `,"functions":[{"slug":"second"}]}]}`
		within(t, func() string {
			status := runningApp(t).projectStatus()
			if status.Error == nil || !strings.Contains(*status.Error, path) {
				return fmt.Sprintf("no error %q: %+v", path, status.Error)
			}
			return ""
		})
		serves(t, "first")
	}
	if err := caddy.Load(sourceApp(`{"source":"scripted"}`), true); err != nil {
		t.Fatal(err)
	}
	serves(t, "first") // that of the configuration before, while the source is away
}

// TestTLSPermission: certificates are for the hosts of projects alone.
func TestTLSPermission(t *testing.T) {
	load(t, textApp(t, fileJSON("hello")))
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

// Contract 4.8, and what else the audit finds in projects: each finding has a remedy, and no secret in it.
func TestAuditProjects(t *testing.T) {
	load(t, textApp(t, strings.Replace(fileJSON("hello"), `"key":"sb_publishable_abc123"`, `"key":"sb_publishable_abc123","expires_at":"2020-01-01T00:00:00Z"`, 1)))
	found := make(map[string]audit.Severity)
	for _, f := range runningApp(t).auditProjects() {
		found[f.Check] = f.Severity
		if f.Remedy == "" || f.Subject == "" || f.Message == "" || strings.Contains(fmt.Sprint(f), "super-secret") {
			t.Errorf("finding %+v", f)
		}
	}
	for check, severity := range map[string]audit.Severity{"weak_secret": audit.High, "expired_key": audit.Low, "verify_jwt_off": audit.Low} {
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
			load(t, textApp(t, fmt.Sprintf(project, tc.jwt)))
			found := slices.ContainsFunc(runningApp(t).auditProjects(), func(f audit.Finding) bool { return f.Check == "no_keys" })
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
	want := map[string]audit.Severity{"admin_address": audit.High, "on_demand_permission": audit.High, "trusted_proxies": audit.Low, "cors_credentials": audit.High}
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
	load(t, sourceApp(`{"source":"scripted"}`))
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
