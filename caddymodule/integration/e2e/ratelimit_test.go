//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// Contract 5.11: 429 by client address, function, subject and project; what is refused uses nothing up.
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

// Contract 3.20, 9.8: the limit by the client's address is looked at before keys and tokens and takes its token whatever
// follows; the others come after, and lose nothing to calls that are 401. A 429 of it has all headers of one.
func TestClientLimitBeforeKeys(t *testing.T) {
	w := startWitness(t)
	g := startGateway(t, config{
		backends:  []backend{{region: "eu-central-1", address: w.address()}},
		options:   "\t\trate_limit project 1/h burst 3\n\t\trate_limit client_ip 1/h burst 6",
		functions: "\t\t\tfunction private\n",
	})
	good := "Bearer " + token(`{"role":"authenticated","sub":"anna"}`, jwtSecret)
	forged := "Bearer " + token(`{"role":"authenticated","sub":"anna"}`, strings.Repeat("x", 32))
	for i, tt := range []struct {
		method, path, authorization string
		preflight                   bool
		status                      int
		code, state                 string
	}{
		{method: "GET", path: "nobody", status: 404, code: "NOT_FOUND"},
		{method: "GET", path: "private", status: 401, code: "UNAUTHORIZED_NO_AUTH_HEADER", state: `"client_ip";r=5;t=3600`},
		{method: "GET", path: "private", authorization: forged, status: 401, code: "UNAUTHORIZED_LEGACY_JWT", state: `"client_ip";r=4;t=7200`},
		{method: "GET", path: "private", authorization: forged, status: 401, code: "UNAUTHORIZED_LEGACY_JWT", state: `"client_ip";r=3;t=10800`},
		{method: "OPTIONS", path: "private", preflight: true, status: 204},
		{method: "GET", path: "private", authorization: good, status: 200, state: `"project";r=2;t=3600, "client_ip";r=2;t=`},
		{method: "GET", path: "private?forceFunctionRegion=mars", authorization: good, status: 400, code: "INVALID_REGION", state: `"client_ip";r=1;t=`},
		{method: "GET", path: "private", authorization: "Basic eDp5", status: 401, code: "UNAUTHORIZED_INVALID_JWT_FORMAT", state: `"client_ip";r=0;t=`},
		{method: "GET", path: "private", authorization: forged, status: 429, code: "RATE_LIMIT_EXCEEDED", state: `"client_ip";r=0;t=`},
		{method: "GET", path: "private", status: 429, code: "RATE_LIMIT_EXCEEDED", state: `"client_ip";r=0;t=`},
		{method: "GET", path: "private", authorization: good, status: 429, code: "RATE_LIMIT_EXCEEDED", state: `"client_ip";r=0;t=`},
		{method: "OPTIONS", path: "private", preflight: true, status: 204},
		{method: "TRACE", path: "private", status: 405, code: "METHOD_NOT_ALLOWED"},
	} {
		req, err := http.NewRequest(tt.method, g.url+"/functions/v1/"+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://app.test")
		if tt.authorization != "" {
			req.Header.Set("Authorization", tt.authorization)
		}
		if tt.preflight {
			req.Header.Set("Access-Control-Request-Method", "POST")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		state := res.Header.Get("RateLimit")
		if res.StatusCode != tt.status || res.Header.Get("Sb-Error-Code") != tt.code || !strings.HasPrefix(state, tt.state) || tt.state == "" && state != "" {
			t.Errorf("%d: %s %s: %d with %v", i, tt.method, tt.path, res.StatusCode, res.Header)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d: a page cannot read it: %v", i, res.Header)
		}
		if policy := res.Header.Get("RateLimit-Policy"); (policy == `"project";q=1;w=3600, "client_ip";q=1;w=3600`) != (tt.state != "") {
			t.Errorf("%d: RateLimit-Policy %s", i, policy)
		}
		if after, _ := strconv.Atoi(res.Header.Get("Retry-After")); tt.status == http.StatusTooManyRequests && (after < 3000 || after > 3600) {
			t.Errorf("%d: Retry-After %q", i, res.Header.Get("Retry-After"))
		}
	}
	if w.calls.Load() != 1 {
		t.Errorf("the function was called %d times", w.calls.Load())
	}
}

// Contract 9.7: gateways with one Redis share the limit of a subject, whose bucket has a hashed name of one length there, keyed by
// a secret that lies there too. When Redis loses all, they share again.
func TestFleetSharesLimitsOfSubjects(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	var gateways []*gateway
	for range 2 {
		gateways = append(gateways, startGateway(t, config{
			backends:  []backend{{region: "eu-central-1", address: w.address()}},
			options:   "\t\trate_limit subject 1/d burst 6 strict\n\t\tstore redis " + redis.URL(),
			functions: "\t\t\tfunction private\n",
		}))
	}
	passed := func(subject string) (n int) {
		t.Helper()
		authorization := "Bearer " + token(`{"sub":"`+subject+`"}`, jwtSecret)
		for i := range 14 {
			req, err := http.NewRequest(http.MethodGet, gateways[i%2].url+"/functions/v1/private", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", authorization)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			switch res.StatusCode {
			case http.StatusOK:
				n++
			case http.StatusTooManyRequests:
			default:
				t.Errorf("%s: %d", subject[:10], res.StatusCode)
			}
		}
		return n
	}
	long := strings.Repeat("anna@example.org/", 300)
	if n := passed(long); n != 6 {
		t.Errorf("%d passed, want 6", n)
	}
	names, _ := redis.Exec("KEYS", "*:r:*").([]any)
	if name := fmt.Sprint(names...); len(names) != 1 || len(name) > 60 || strings.Contains(name, "anna") {
		t.Errorf("buckets in Redis: %q", names)
	}
	secret := redis.Exec("GET", "gw:secret")
	redis.Exec("FLUSHALL")
	waitUntil(t, "the secret is put back", func() bool { return redis.Exec("EXISTS", "gw:secret") == int64(1) })
	if again := redis.Exec("GET", "gw:secret"); again != secret {
		t.Error("another secret is put back")
	}
	if n := passed("berta" + long); n != 6 {
		t.Errorf("after the loss %d passed, want 6", n)
	}
}
