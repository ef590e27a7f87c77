//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// The suite's two projects. The second one has the same functions and other keys.
const (
	firstRef    = "firstprojectaaaaaaaa"
	secondRef   = "secondprojectbbbbbbb"
	otherSecret = "another-jwt-secret-of-more-than-32-bytes"
)

type object = map[string]any

// projectOf is a project as projects.json has it. Its first functions are behind verify_jwt.
func projectOf(ref string, secrets ...string) object {
	var functions []object
	for i, slug := range []string{"echo", "upload", "slow", "reply", "hello-world", "restful", "sse", "status", "relay-error", "crash", "download"} {
		functions = append(functions, object{"slug": slug, "verify_jwt": i < 6})
	}
	return object{
		"ref": ref, "organization": "acme", "jwt": object{"secrets": secrets}, "functions": functions,
		"api_keys": []object{
			{"name": "web", "type": "publishable", "key": publishableKey}, {"name": "ci", "type": "secret", "key": "{env.SECRET_KEY}"},
		},
	}
}

func document(projects ...object) object {
	return object{"organizations": []object{{"id": "acme", "plan": "pro"}}, "projects": projects}
}

// replaceFile writes a document beside path and renames it there, as careful programs do.
func replaceFile(t *testing.T, path string, doc object) {
	t.Helper()
	if err := os.WriteFile(path+".new", encode(t, doc), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// projectEnv has the JavaScript tests call the first project by its own host.
func projectEnv(g *gateway) []string {
	return []string{
		"NODE_OPTIONS=--import=./tests/hosts.mjs",
		fmt.Sprintf("E2E_URL=http://%s.example.test:%d", firstRef, g.port),
	}
}

// call sends a GET for a function of a project with a token, and returns the status.
func (g *gateway) call(t *testing.T, ref, slug, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/functions/v1/"+slug, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = ref + ".example.test"
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// eventually asks until ask says yes, for at most ten seconds.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	eventuallyWithin(t, 10*time.Second, what, ask)
}

// eventuallyWithin asks until ask says yes, for at most a while.
func eventuallyWithin(t *testing.T, limit time.Duration, what string, ask func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-deadline.C:
			t.Fatalf("after %s: not yet %s", limit, what)
		case <-tick.C:
		}
	}
}

// TestFunctionsJS runs the cases of the functions client against the one project of a Caddyfile, a project of a file and
// one in Redis.
func TestFunctionsJS(t *testing.T) {
	t.Run("one project", func(t *testing.T) {
		runJS(t, "functions-js.test.mjs", startGateway(t, config{}))
	})
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "projects.json")
		replaceFile(t, path, document(projectOf(firstRef, jwtSecret), projectOf(secondRef, otherSecret)))
		g := startGateway(t, config{source: "projects file " + path})
		runJS(t, "functions-js.test.mjs", g, projectEnv(g)...)
		checkTenants(t, g)
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Single(t)
		server.Exec("HSET", "edge:{projects}:organizations", "acme", `{"plan":"pro"}`)
		server.Exec("HSET", "edge:{projects}:projects",
			firstRef, withoutEnv(t, projectOf(firstRef, jwtSecret)), secondRef, withoutEnv(t, projectOf(secondRef, otherSecret)))
		g := startGateway(t, config{source: "projects redis " + server.URL()})
		eventually(t, "in force", func() bool { return g.call(t, firstRef, "echo", anonToken()) == http.StatusOK })
		runJS(t, "functions-js.test.mjs", g, projectEnv(g)...)
		checkTenants(t, g)
	})
}

// withoutEnv is a project's JSON for Redis, where nothing is filled in.
func withoutEnv(t *testing.T, project object) []byte {
	project["api_keys"].([]object)[1]["key"] = secretKey
	return encode(t, project)
}

// checkTenants: contract 3.5, a token is good for the project that signed it and for no other.
func checkTenants(t *testing.T, g *gateway) {
	other := token(`{"role":"service_role"}`, otherSecret)
	for _, tt := range []struct {
		name, ref, token string
		want             int
	}{
		{"its own", firstRef, anonToken(), 200},
		{"the other's own", secondRef, other, 200},
		{"the other's at the first", firstRef, other, 401},
		{"the first's at the other", secondRef, anonToken(), 401},
		{"nobody's project", "nobodysprojectcccccc", anonToken(), 404},
	} {
		t.Run("contract 3.5 "+tt.name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				if got := g.call(t, tt.ref, "echo", tt.token); got != tt.want {
					t.Errorf("status %d, want %d", got, tt.want)
				}
			}
		})
	}
}

// TestSecretRotation follows the runbook of docs/projects-and-keys.md with a file: no valid token is refused on the way.
func TestSecretRotation(t *testing.T) {
	const newSecret = "the-next-jwt-secret-of-more-than-32-bytes"
	path := filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, path, document(projectOf(firstRef, jwtSecret)))
	g := startGateway(t, config{source: "projects file " + path})
	next := token(`{"role":"anon"}`, newSecret)
	statuses := func() []int {
		return []int{g.call(t, firstRef, "echo", anonToken()), g.call(t, firstRef, "echo", next)}
	}
	if got := statuses(); !slices.Equal(got, []int{200, 401}) {
		t.Fatalf("contract 3.14 before: old and new token get %v", got)
	}
	replaceFile(t, path, document(projectOf(firstRef, jwtSecret, newSecret)))
	eventually(t, "both accepted", func() bool {
		got := statuses()
		if got[0] != 200 {
			t.Fatalf("contract 3.14 both secrets listed: the old token gets %d", got[0])
		}
		return got[1] == 200
	})
	replaceFile(t, path, document(projectOf(firstRef, newSecret)))
	eventually(t, "the old one refused", func() bool {
		got := statuses()
		if got[1] != 200 {
			t.Fatalf("contract 3.14 the old secret gone: the new token gets %d", got[1])
		}
		return got[0] == 401
	})
}

// Contract 2.5: a project that is bound to regions of other gateways is answered with what is known of them, and explained.
func TestProjectWithoutRegionHere(t *testing.T) {
	path, before := filepath.Join(t.TempDir(), "projects.json"), time.Now().Truncate(time.Millisecond)
	elsewhere := projectOf(firstRef, jwtSecret)
	elsewhere["regions"] = []string{"ap-east-1"}
	replaceFile(t, path, document(elsewhere))
	g := startGateway(t, config{source: "projects file " + path, backends: []backend{{region: "eu-central-1", address: startWitness(t).address()}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/functions/v1/hello-world", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = firstRef + ".example.test"
	req.Header.Set("Apikey", publishableKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		Code, Region, State string
		Since               time.Time
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 503 || body.Code != "REGION_UNAVAILABLE" || body.Region != "ap-east-1" || body.State != "unknown" {
		t.Errorf("%d, %+v", res.StatusCode, body)
	}
	if body.Since.Before(before) || body.Since.After(time.Now()) {
		t.Errorf("since %s, which is not when the gateway started", body.Since)
	}
	if out := g.command(t, "explain", "--project", firstRef); !strings.Contains(out, "nowhere: this gateway has none of the project's regions (ap-east-1)") || !strings.Contains(out, "eu-central-1") {
		t.Error(out)
	}
}
