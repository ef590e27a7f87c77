package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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

// UnmarshalCaddyfile reads `projects text TEXT`.
func (s *textSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Text) {
		return d.ArgErr()
	}
	return nil
}

func (*textSource) Location() string                          { return "text" }
func (*textSource) OperatorOnly()                             {}
func (s *textSource) Load() (projects.Input, error)           { return projects.SplitFile([]byte(s.Text)) }
func (*textSource) Follow(ctx context.Context, _ ProjectSink) { <-ctx.Done() }

// scriptedSource delivers what a test has in deliveries, and is not the operator's.
type scriptedSource struct{}

var deliveries = make(chan string)

// emptied has it deliver what a store has that lost its data.
const emptied = "emptied"

func (*scriptedSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "edge_functions.projects.scripted", New: func() caddy.Module { return new(scriptedSource) }}
}

func (*scriptedSource) Location() string { return "script" }

func (*scriptedSource) Follow(ctx context.Context, sink ProjectSink) {
	sink.Fail(errors.New("away"))
	for {
		select {
		case text := <-deliveries:
			input, err := projects.SplitFile([]byte(text))
			switch {
			case text == emptied:
				_ = sink.Apply(projects.Input{KeepGood: true})
			case err != nil:
				sink.Fail(err)
			default:
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
			status := runningApp(t).ProjectStatus()
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

// A store that was emptied before a reload, or meanwhile, takes no project away: those of the configuration before stay until it
// has some. Before any were loaded, it has none.
func TestProjectsOfAnEmptiedStore(t *testing.T) {
	config := sourceApp(`{"source":"scripted"}`)
	load(t, config)
	deliveries <- emptied
	within(t, func() string {
		if !runningApp(t).catalogue.Ready() {
			return "nothing is loaded"
		}
		return ""
	})
	deliveries <- fileJSON("first")
	serves(t, "first")
	for range 2 {
		if err := caddy.Load(config, true); err != nil {
			t.Fatal(err)
		}
		deliveries <- emptied
		within(t, func() string {
			status := runningApp(t).ProjectStatus()
			if status.Error == nil || !strings.Contains(*status.Error, "no project and no organization any more") {
				return fmt.Sprintf("the error is %v", status.Error)
			}
			return ""
		})
		if n := runningApp(t).ProjectStatus().Projects; n != 1 {
			t.Fatalf("%d projects are in force", n)
		}
		serves(t, "first")
	}
	deliveries <- fileJSON("second")
	serves(t, "second")
	if status := runningApp(t).ProjectStatus(); status.Error != nil {
		t.Errorf("the error is %s", *status.Error)
	}
}

// TestUnavailable: until the projects were loaded once, a host that is not found says nothing (503, not contract 1.7).
func TestUnavailable(t *testing.T) {
	load(t, sourceApp(`{"source":"scripted"}`))
	app := runningApp(t)
	if app.catalogue.Ready() {
		t.Error("ready without projects")
	}
	if status := app.ProjectStatus(); status.LoadedAt != nil || len(slices.Collect(app.Projects())) != 0 {
		t.Errorf("projects %+v", status)
	}
	if status := app.Status(); status.Projects.LoadedAt != nil {
		t.Errorf("status %+v", status)
	}
}
