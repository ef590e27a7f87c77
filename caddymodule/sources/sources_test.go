package sources_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/routing/projects"
)

// eventually bounds everything a test waits for.
const eventually = 10 * time.Second

const someRef = "abcdefghijklmnopqrst"

// projectJSON is a project with one function.
func projectJSON(slug string) string {
	return fmt.Sprintf(`{"ref":%q,"jwt":{"secret":"super-secret-jwt-token-with-at-least-32-characters-long"},"functions":[{"slug":%q}]}`, someRef, slug)
}

func fileJSON(slug string) string { return `{"projects":[` + projectJSON(slug) + `]}` }

// withSource is the configuration of a gateway with a source.
func withSource(t *testing.T, source string) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},
		"apps":{"edge_functions":{"apex":"example.com","store":{"kind":"embedded","path":%q},
		"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]}],"projects":%s}}}`, t.TempDir(), source)
}

// noLeak fails the test when goroutines outlive it.
func noLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// load runs a configuration until the test ends.
func load(t *testing.T, config []byte) {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func running(t *testing.T) *gateway.App {
	t.Helper()
	app, err := gateway.Running()
	if err != nil {
		t.Fatal(err)
	}
	return app
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

// serves waits until a project in force has the function.
func serves(t *testing.T, slug string) {
	t.Helper()
	within(t, func() string {
		for p := range running(t).Projects() {
			if _, ok := p.Function(slug); ok {
				return ""
			}
		}
		return "no function " + slug
	})
}

// fails waits until the source in force has an error that is right.
func fails(t *testing.T, right func(text string) bool) {
	t.Helper()
	within(t, func() string {
		text := ""
		if e := running(t).Status().Projects.Error; e != nil {
			text = *e
		}
		if right(text) {
			return ""
		}
		return "the error is " + text
	})
}

// sink is a gateway.ProjectSink that passes on what it is given.
type sink struct {
	applied chan projects.Input
	failed  chan error
}

func newSink() *sink {
	return &sink{applied: make(chan projects.Input, 16), failed: make(chan error, 16)}
}

func (s *sink) Apply(input projects.Input) error {
	s.applied <- input
	return nil
}

func (s *sink) Fail(err error) { s.failed <- err }

// receive takes a value out of a channel in time.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(eventually):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
