//go:build e2e

package sources_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/routing/projects"
)

// TestRedis: real Redis, away at first, changed, and away again, also over a reload.
func TestRedis(t *testing.T) {
	server := redistest.Single(t)
	config := withSource(t, `{"source":"redis","url":"`+server.URL()+`"}`)
	server.Exec("HSET", projects.ProjectsKey, someRef, projectJSON("first"))
	load(t, config)
	serves(t, "first")
	server.Exec("HSET", projects.ProjectsKey, someRef, projectJSON("second"))
	server.Exec("PUBLISH", projects.ChangedChannel, "")
	serves(t, "second")
	server.Stop()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	serves(t, "second") // those of the configuration before
	server.Start()
	server.Exec("HSET", projects.ProjectsKey, someRef, projectJSON("third"))
	server.Exec("PUBLISH", projects.ChangedChannel, "") // the watch may have been back before the write
	serves(t, "third")
	// Emptied, and read by a configuration that has read nothing before.
	server.Exec("DEL", projects.ProjectsKey)
	for range 2 {
		if err := caddy.Load(config, true); err != nil {
			t.Fatal(err)
		}
		fails(t, func(text string) bool { return strings.Contains(text, "no project and no organization any more") })
		serves(t, "third")
	}
	server.Exec("HSET", projects.ProjectsKey, someRef, projectJSON("fourth"))
	server.Exec("PUBLISH", projects.ChangedChannel, "")
	serves(t, "fourth")
	within(t, func() string {
		if store := running(t).Status().Store; store.Kind != "redis" || store.State != "up" {
			return "the store is " + store.Kind + ", " + store.State
		}
		return ""
	})
}
