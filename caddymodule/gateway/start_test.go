package gateway

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/routing/projects"
)

// absentSource is a source of the operator's whose file is not there.
type absentSource struct{ textSource }

func (*absentSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "edge_functions.projects.absent", New: func() caddy.Module { return new(absentSource) }}
}

func (*absentSource) Load() (projects.Input, error) {
	return projects.Input{}, &fs.PathError{Op: "open", Path: "projects.json", Err: fs.ErrNotExist}
}

func init() { caddy.RegisterModule(new(absentSource)) }

// What may be missing while a configuration is only checked is needed when it starts: it is
// refused with a word on what is missing, and nothing of it stays.
func TestStartNeedsItsFiles(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	app := func(members string) []byte { return appConfig(strings.Replace(goodApp, `{`, `{`+members+`,`, 1)) }
	for name, tc := range map[string]struct {
		config []byte
		want   string
	}{
		"a database of places": {app(`"locate":{"mmdb":["` + nowhere + `"]}`), "locate: "},
		"an authority": {
			appConfig(strings.Replace(goodApp, `"name":"us-east-1","backends":["http:`, `"tls":{"ca":"`+nowhere+`"},"name":"us-east-1","backends":["https:`, 1)),
			`region "us-east-1": tls ca: `,
		},
		"keys":        {appConfig(strings.Replace(goodApp, `"project":{`, `"project":{"jwt":{"jwks_file":"`+nowhere+`"},`, 1)), "project default: jwks: "},
		"projects":    {sourceApp(`{"source":"absent"}`), "open projects.json: "},
		"a directory": {app(`"store":{"kind":"embedded","path":"` + file + `"}`), "name a directory that can be written with `store embedded DIRECTORY`"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := refused(t, tc.config); err != "" {
				t.Errorf("it is refused unstarted: %s", err)
			}
			err := caddy.Load(tc.config, true)
			if err == nil {
				t.Error("it starts")
				_ = caddy.Stop()
			} else if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if n := references(socketsKey); n != 0 {
				t.Errorf("%d handles are left", n)
			}
		})
	}
}

// Running tells a process that starts from one whose configuration has no gateway.
func TestRunning(t *testing.T) {
	status := func(err error) int {
		if e, ok := errors.AsType[caddy.APIError](err); ok {
			return e.HTTPStatus
		}
		return 0
	}
	if _, err := Running(); status(err) != http.StatusServiceUnavailable {
		t.Errorf("without a configuration: %v", err)
	}
	t.Run("another's", func(t *testing.T) {
		load(t, []byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`))
		if _, err := Running(); status(err) != http.StatusNotFound {
			t.Errorf("without a gateway: %v", err)
		}
	})
	load(t, appConfig(goodApp))
	app, err := Running()
	if err != nil || app.ManyProjects() || app.Logger() == nil || app.Fleet() == nil || app.Engine().Ledger() == nil || app.KeySets().Sets != 0 || len(app.View().Regions) != 2 {
		t.Errorf("%+v, %v", app, err)
	}
}

// The handler says that the app is missing, and checks its options.
func TestHandlerConfig(t *testing.T) {
	site := func(handler string) string {
		return `"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"edge_functions"` + handler + `}]}]}}}`
	}
	with := func(handler string) []byte { return appConfig(goodApp + `,` + site(handler)) }
	without := func(apps string) []byte { return []byte(`{"admin":{"disabled":true},"apps":{` + apps + `}}`) }
	for name, tc := range map[string]struct {
		config []byte
		want   string
	}{
		"good":                          {with(`,"html":"keep","expose":["X-Sum"],"cors":{"origins":["https://app.example"]}`), ""},
		"HTML of another kind":          {with(`,"html":"pdf"`), "html "},
		"an origin that is none":        {with(`,"cors":{"origins":["app"]}`), "cors: "},
		"a header of no such name":      {with(`,"expose":["a b"]`), "expose: "},
		"a handler without the app":     {without(site("")), "the edge_functions global option is missing"},
		"a handler of an app like that": {appConfig(strings.Replace(goodApp, `{`, `{"max_body":-1,`, 1) + `,` + site("")), "must not be negative"},
	} {
		if got := refused(t, tc.config); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// Requests that come before the first start has ended wait for it, and for no client that is gone.
func TestRequestsWaitForTheStart(t *testing.T) {
	app := &App{engine: billing.NewEngine(t.TempDir()), started: make(chan struct{})}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	app.awaitStart(gone) // or it waits for ten seconds
	waited := make(chan struct{})
	go func() { app.awaitStart(t.Context()); close(waited) }()
	select {
	case <-waited:
		t.Error("a request goes on before the start")
	default:
	}
	close(app.started)
	<-waited
}

func TestVersion(t *testing.T) {
	t.Cleanup(func() { version = "" })
	version = ""
	if got := Version(); got != "devel" {
		t.Errorf("%q of a test", got)
	}
	version = "1.2.3"
	if got := Version(); got != "1.2.3" {
		t.Errorf("%q of a release", got)
	}
}

// What edgegate projects check judges by is in the configuration alone.
func TestProjectRules(t *testing.T) {
	rules, err := ProjectRules(sourceApp(`{"source":"text","text":"not read"}`))
	if err != nil || rules.Apex != "example.com" || len(rules.Regions) != 1 || rules.Regions[0] != "us-east-1" || len(rules.Plans) != 4 || rules.PrivateKeySets {
		t.Errorf("%+v, %v", rules, err)
	}
	for name, tc := range map[string]struct{ config, want string }{
		"no JSON":                 {`{`, "reading the configuration: "},
		"another configuration":   {`{"apps":{"http":{}}}`, "the configuration has no edge_functions global option"},
		"options of another type": {`{"apps":{"edge_functions":{"apex":7}}}`, "reading the configuration of edge_functions: "},
		"no regions":              {`{"apps":{"edge_functions":{}}}`, "no regions: add"},
	} {
		if _, err := ProjectRules([]byte(tc.config)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
