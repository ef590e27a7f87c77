//go:build e2e

package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/routing/projects"
)

// TestRedisProjects: real Redis, away at first, changed, and away again, also over a reload.
func TestRedisProjects(t *testing.T) {
	server := redistest.Single(t)
	config := sourceApp(`{"source":"redis","url":"` + server.URL() + `"}`)
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
	serves(t, "third")
	within(t, func() string {
		if store := answer(t, "/edge_functions/status")["store"].(map[string]any); store["kind"] != "redis" || store["state"] != "up" {
			return fmt.Sprintf("the store is %v", store)
		}
		return ""
	})
}

// What stands in Redis others may write too: the gateway's environment and files are none of theirs.
func TestRedisProjectsAreNotFilledIn(t *testing.T) {
	server := redistest.Single(t)
	server.Exec("HSET", projects.ProjectsKey, someRef, projectJSON("first"))
	load(t, sourceApp(`{"source":"redis","url":"`+server.URL()+`"}`))
	serves(t, "first")
	for placeholder, path := range map[string]string{
		`"jwt":{"secret":"{env.PATH}{env.PATH}{env.PATH}{env.PATH}"}`:                     "jwt.secret: {env.PATH} is filled in only",
		`"jwt":{"secrets":["super-secret-jwt-token-with-{file./etc/passwd}-characters"]}`: "jwt.secrets[0]: {file./etc/passwd} is filled in only",
		`"api_keys":[{"type":"secret","key":"sb_secret_{env.HOME}"}]`:                     "api_keys[0].key: {env.HOME} is filled in only",
		`"jwt":{"jwks_file":"/etc/passwd"}`:                                               "jwt.jwks_file: projects from here may not name files",
	} {
		server.Exec("HSET", projects.ProjectsKey, someRef, `{"ref":"`+someRef+`",`+placeholder+`,"functions":[{"slug":"second"}]}`)
		server.Exec("PUBLISH", projects.ChangedChannel, "")
		within(t, func() string {
			status := runningApp(t).projectStatus()
			if status.Error == nil || !strings.Contains(*status.Error, path) {
				return fmt.Sprintf("no error %q: %+v", path, status.Error)
			}
			return ""
		})
		serves(t, "first") // the last good version
	}
}
