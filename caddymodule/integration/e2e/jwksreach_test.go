//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// reachProjects is a projects file whose only project has its keys at a URL.
func reachProjects(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "projects.json")
	text := fmt.Sprintf(`{"projects":[{"ref":"abcdefghijklmnopqrst","jwt":{"jwks_url":%q},"functions":[{"slug":"hello"}]}]}`, url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKeySetsOfTenants: a jwks_url that a tenant wrote leads to no server inside, whatever name or proxy is in between; the
// option `jwks_private on` allows it.
func TestKeySetsOfTenants(t *testing.T) {
	var reached atomic.Int64
	key := newECKey(t, "old")
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_ = json.NewEncoder(w).Encode(object{"keys": []any{key.jwk()}})
	}))
	defer inside.Close()
	w := startWitness(t)
	backends := []backend{{region: "eu-central-1", address: w.address()}}
	// call waits for the answer to a valid token, which makes the gateway ask for its key.
	call := func(g *gateway) int {
		return exchange(t, g.addr, rawRequest("GET", "/functions/v1/hello", "abcdefghijklmnopqrst.example.test", "",
			"Authorization: Bearer "+key.token("old", `{"role":"anon"}`), "Connection: close")).status
	}
	for name, tt := range map[string]struct{ url, env string }{
		"by its address": {inside.URL + "/keys", ""},
		"by its name":    {strings.Replace(inside.URL, "127.0.0.1", "localhost", 1) + "/keys", ""},
		"by a proxy":     {"http://keys.example.test/keys", "HTTP_PROXY=" + inside.URL},
	} {
		t.Run(name, func(t *testing.T) {
			g := prepareGateway(t)
			g.environment = []string{tt.env}
			g.start(t, config{backends: backends, source: "projects file " + reachProjects(t, tt.url)}.caddyfile(g.port, g.admin))
			if status := call(g); status != http.StatusUnauthorized || reached.Load() != 0 {
				t.Errorf("answered %d, the server inside was reached %d times", status, reached.Load())
			}
			if tt.env != "" {
				return // a name that nobody has: it is the proxy that must not be asked
			}
			eventually(t, "the reason is told", func() bool {
				var said struct {
					Findings []struct{ Check, Message string }
				}
				adminGet(t, g, "/edge_functions/audit", &said)
				for _, f := range said.Findings {
					if f.Check == "jwks_unavailable" && strings.Contains(f.Message, "jwks_private on") {
						return true
					}
				}
				return false
			})
		})
	}
	g := startGateway(t, config{
		backends: backends, source: "projects file " + reachProjects(t, inside.URL+"/keys"), options: "\t\tjwks_private on",
	})
	if status := call(g); status != http.StatusOK || reached.Load() == 0 {
		t.Errorf("with jwks_private on: answered %d, reached %d times", status, reached.Load())
	}
}

// TestRedisClientWritesJSON: what the library of Redis says while its server is away is a line of JSON like all others.
func TestRedisClientWritesJSON(t *testing.T) {
	w, server := startWitness(t), redistest.Single(t)
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("hello"), project: "\t\t\tplan free",
		options: "\t\tstore redis " + strings.Replace(server.URL(), "redis://", "redis://:e2eRedisPassword@", 1),
	})
	server.Stop()
	eventually(t, "the library says something", func() bool {
		_ = exchange(t, g.addr, rawRequest("GET", "/functions/v1/hello", "any.example", "", "Connection: close"))
		return strings.Contains(g.output(), `"msg":"Redis client"`)
	})
	refuseInLog(t, g.process, "e2eRedisPassword")
	for line := range strings.SplitSeq(strings.TrimSpace(g.output()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
