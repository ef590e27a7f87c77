package sources_test

import (
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/sources"
)

func TestRedisOptions(t *testing.T) {
	for text, want := range map[string]string{
		"redis":                              "",
		"redis redis://127.0.0.1:6379":       "",
		"redis {env.NO_SUCH_REDIS}":          "", // when it is loaded
		"redis a b":                          "wrong number of arguments (2)",
		"redis http://127.0.0.1":             "projects redis: ",
		"redis redis://h {\n\tcolor blue\n}": "color",
	} {
		err := new(sources.Redis).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want in it %q", text, err, want)
		}
	}
}

func TestRedisUsesStore(t *testing.T) {
	t.Setenv("EDGEGATE_TEST_REDIS", "redis://user:password@store:6379")
	shared := &gateway.Store{Kind: "redis", URL: "{env.EDGEGATE_TEST_REDIS}"}
	for name, tc := range map[string]struct {
		url      string
		store    *gateway.Store
		location string
		err      string
	}{
		"the store's":         {"", shared, "redis://store:6379", ""},
		"its own":             {"redis://own:6379", shared, "redis://own:6379", ""},
		"no store":            {"", nil, "", "there is no server"},
		"embedded store":      {"", &gateway.Store{Kind: "embedded"}, "", `the store is "embedded"`},
		"without environment": {"{env.EDGEGATE_TEST_NOTHING}", nil, "", "EDGEGATE_TEST_NOTHING"},
		"not a URL":           {"http://user:password@h", nil, "", "projects redis: "},
	} {
		r := &sources.Redis{URL: tc.url}
		err := r.UseStore(tc.store)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "password") {
				t.Errorf("%s: %v, want in it %q", name, err, tc.err)
			}
			continue
		}
		if err != nil || !strings.Contains(r.Location(), strings.TrimPrefix(tc.location, "redis://")) || strings.Contains(r.Location(), "password") {
			t.Errorf("%s: %v, location %q", name, err, r.Location())
		}
	}
}

// While Redis is away the sink is told; the end of the context ends the source.
func TestRedisAway(t *testing.T) {
	r := &sources.Redis{URL: "redis://127.0.0.1:1"}
	caddyCtx, cleanUp := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cleanUp()
	if err := r.Provision(caddyCtx); err != nil {
		t.Fatal(err)
	}
	if err := r.UseStore(nil); err != nil {
		t.Fatal(err)
	}
	if r.Connection() != nil {
		t.Error("there is a connection before it is followed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, done := newSink(), make(chan struct{})
	go func() {
		r.Follow(ctx, s)
		close(done)
	}()
	if err := receive(t, s.failed); err == nil {
		t.Error("no error")
	}
	if r.Connection() == nil {
		t.Error("there is no connection while it is followed")
	}
	cancel()
	receive(t, done)
}
