//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// BEHAVIOUR section 5: 429 by client address, function, subject and project; what is refused uses nothing up.
func TestRateLimits(t *testing.T) {
	w := startWitness(t)
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}},
		options: "\t\trate_limit project 1/h burst 12\n\t\trate_limit function 1/h burst 6\n" +
			"\t\trate_limit client_ip 1000/s\n\t\trate_limit subject 1/h burst 2\n\t\trate_limit project 1/10h shadow",
		functions: public("a", "b") + "\t\t\tfunction private\n",
	})
	call := func(slug, subject string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, g.url+"/functions/v1/"+slug, nil)
		if err != nil {
			t.Fatal(err)
		}
		if subject != "" {
			req.Header.Set("Authorization", "Bearer "+token(`{"role":"authenticated","sub":"`+subject+`"}`, jwtSecret))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests && string(body) != `{"code":"RATE_LIMIT_EXCEEDED","message":"Rate limit exceeded"}` {
			t.Errorf("429 with %s", body)
		}
		return res
	}
	passes := func(slug, subject string, most int) int {
		t.Helper()
		for n := range most {
			if res := call(slug, subject); res.StatusCode != http.StatusOK {
				if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 3000 || after > 3600 || res.Header.Get("Sb-Error-Code") != "RATE_LIMIT_EXCEEDED" {
					t.Errorf("%d with %v", res.StatusCode, res.Header)
				}
				return n
			}
		}
		return most
	}
	first := call("a", "")
	if got := first.Header.Get("RateLimit-Policy"); got != `"project";q=1;w=3600, "function";q=1;w=3600, "client_ip";q=1000;w=1, "subject";q=1;w=3600, "project-10h0m0s";q=1;w=36000` {
		t.Errorf("RateLimit-Policy: %s", got)
	}
	if got := first.Header.Get("RateLimit"); !strings.HasPrefix(got, `"project";r=11;t=3600, "function";r=5;t=3600, "client_ip";r=999;t=1, "project-10h0m0s";r=0;t=36000`) {
		t.Errorf("RateLimit: %s", got)
	}
	for i, tt := range []struct {
		slug, subject string
		want          int
	}{
		{"a", "", 5},           // of the function's 6
		{"b", "", 6},           // another function
		{"a", "", 0},           // still none
		{"private", "anna", 0}, // the project's 12 are gone
	} {
		if n := passes(tt.slug, tt.subject, 20); n != tt.want {
			t.Errorf("%d: %s %s: %d, want %d", i, tt.slug, tt.subject, n, tt.want)
		}
	}
	if w.calls.Load() != 12 {
		t.Errorf("the functions were called %d times", w.calls.Load())
	}
	// A reload resets nothing; another limit is in force at once.
	c := config{
		backends:  []backend{{region: "eu-central-1", address: w.address()}},
		options:   "\t\trate_limit subject 1/h burst 2",
		functions: public("a", "b") + "\t\t\tfunction private\n",
	}
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
		t.Fatal(body)
	}
	for _, subject := range []string{"anna", "berta"} {
		if n := passes("private", subject, 5); n != 2 {
			t.Errorf("%s: %d, want 2", subject, n)
		}
	}
	if n := passes("a", "", 30); n != 30 {
		t.Errorf("without a limit: %d", n)
	}
	if n := passes("private", "anna", 5); n != 0 {
		t.Errorf("anna again: %d", n)
	}
}
