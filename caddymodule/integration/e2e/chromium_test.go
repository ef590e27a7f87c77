//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// chromiumEnv tells the tests with a browser where it is, and where the scripted backend serves pages that are no function's.
func chromiumEnv(t *testing.T, b *scripted) []string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("looking for Chromium, which .ci/install.sh installs: %v", err)
	}
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		t.Fatalf("%v: run .ci/install.sh", err)
	}
	target, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(target.Host)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"E2E_CHROMIUM=" + path, "E2E_SCRIPTED_PORT=" + port}
}

// startProjects starts a gateway in front of the projects of a document.
func startProjects(t *testing.T, c config, doc object) *gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, file, doc)
	c.source = "projects file " + file
	return startGateway(t, c)
}

// Contract 6.3, 6.4 in a real browser, with two projects on hosts under one apex.
func TestChromiumSharedHost(t *testing.T) {
	b := startScripted(t)
	functions := []object{{"slug": "f", "verify_jwt": false}, {"slug": "kept", "verify_jwt": false, "html": "keep"}}
	g := startProjects(t, config{backends: b.backends()}, document(
		object{"ref": firstRef, "organization": "acme", "functions": functions},
		object{"ref": secondRef, "organization": "acme", "functions": functions},
	))
	runJS(t, "sharedhost.browser.mjs", g, append(chromiumEnv(t, b),
		fmt.Sprintf("E2E_FIRST_HOST=%s.example.test:%d", firstRef, g.port),
		fmt.Sprintf("E2E_SECOND_HOST=%s.example.test:%d", secondRef, g.port))...)
}

// Contract 3.15, 4.4, 4.5, 4.7, 4.9 in a real browser: a page of another origin reads every gateway answer.
func TestChromiumReads(t *testing.T) {
	b := startScripted(t)
	open := func(slug string, more ...any) object {
		f := object{"slug": slug, "verify_jwt": false}
		for i := 0; i < len(more); i += 2 {
			f[more[i].(string)] = more[i+1]
		}
		return f
	}
	first := object{
		"ref": firstRef, "organization": "acme", "jwt": object{"secrets": []string{jwtSecret}}, "max_body": 1000, "expose": []string{"x-project"},
		"api_keys": []object{
			{"name": "web", "type": "publishable", "key": publishableKey}, {"name": "ci", "type": "secret", "key": "{env.SECRET_KEY}"},
		},
		"functions": []object{
			open("open", "expose", []string{"x-function"}),
			{"slug": "private"},
			open("own", "cors", "function"), open("removed", "status", "REMOVED"),
			open("held", "status", "THROTTLED"), open("busy"), open("quick", "wall_clock", "500ms"),
			{"slug": "events", "event_source_token": "query"},
		},
	}
	second := object{"ref": secondRef, "organization": "spent", "functions": []object{open("open")}}
	doc := document(first, second)
	doc["organizations"] = append(doc["organizations"].([]object), object{"id": "spent", "quota": 0})
	g := startProjects(t, config{
		options:  "\t\tidle_timeout 1s\n\t\trate_limit project 100000/s\n\t\tin_flight function 2",
		backends: append(b.backends(), backend{region: "us-east-1", address: deadAddress(t)}),
		site:     "\t\texpose x-site",
	}, doc)
	waiting := startGateway(t, config{ // for projects that it cannot read
		options: "\t\tstore redis redis://" + deadAddress(t), source: "projects redis", backends: b.backends(),
	})
	unmetered := startGateway(t, config{ // without a grant of its quota
		options: "\t\tstore redis redis://" + deadAddress(t), project: "\t\t\tplan free\n\t\t\tquota 5", functions: public("open"), backends: b.backends(),
	})
	runJS(t, "readable.browser.mjs", g, append(chromiumEnv(t, b),
		fmt.Sprintf("E2E_WAITING_PORT=%d", waiting.port), fmt.Sprintf("E2E_UNMETERED_PORT=%d", unmetered.port),
		fmt.Sprintf("E2E_GATEWAY_PORT=%d", g.port), "E2E_FIRST_REF="+firstRef, "E2E_SECOND_REF="+secondRef)...)
	const warning = "conflicting Access-Control-Allow-Origin"
	if n := strings.Count(g.output(), warning); n != 2 {
		t.Errorf("contract 4.9: %d warnings, want one for each of two functions", n)
	}
}
