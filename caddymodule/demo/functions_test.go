package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func call(req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	samples{}.handler("lab").ServeHTTP(rec, req)
	return rec
}

func TestSamples(t *testing.T) {
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		contentType, contains      string
	}{
		{"hello without a body", "GET", "/hello", "", 200, "application/json", `"message":"Hello Functions!","region":"lab"`},
		{"hello with a name", "POST", "/hello", `{"name":"Ada"}`, 200, "application/json", `"message":"Hello Ada!","region":"lab","name":"Ada"`},
		{"hello with a body that is no JSON", "POST", "/hello", `name=Ada`, 200, "application/json", "Hello Functions!"},
		{"hello with a rest of path", "GET", "/hello/a/b", "", 200, "application/json", "Hello"},
		{"page", "GET", "/page", "", 200, "text/html; charset=utf-8", "<h1>Hello from lab</h1>"},
		{"status 418", "GET", "/status/418", "", 418, "application/json", `"status":418`},
		{"status 204 has no body", "GET", "/status/204", "", 204, "", ""},
		{"status 599", "GET", "/status/599", "", 599, "application/json", "599"},
		{"status 199", "GET", "/status/199", "", 400, "application/json", "200 to 599"},
		{"status 600", "GET", "/status/600", "", 400, "application/json", "200 to 599"},
		{"status without a number", "GET", "/status", "", 400, "application/json", "200 to 599"},
		{"slow without a number", "GET", "/slow?ms=x", "", 400, "application/json", "whole number"},
		{"unknown", "GET", "/nobody", "", 404, "application/json", "NOT_FOUND"},
		{"the root", "GET", "/", "", 404, "application/json", "NOT_FOUND"},
		{"another case", "GET", "/Hello", "", 404, "application/json", "NOT_FOUND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := call(httptest.NewRequest(c.method, c.target, strings.NewReader(c.body)))
			if rec.Code != c.status || rec.Header().Get("Content-Type") != c.contentType || !strings.Contains(rec.Body.String(), c.contains) {
				t.Errorf("got %d %q %s", rec.Code, rec.Header().Get("Content-Type"), rec.Body)
			}
		})
	}
}

func TestEchoShowsTheRequestButNoCredential(t *testing.T) {
	req := httptest.NewRequest("PUT", "/echo/a%2Fb?x=1&x=2", strings.NewReader("the body"))
	req.Header.Set("Authorization", "Bearer abcdefSECRET")
	req.Header.Set("Apikey", "sb_pubSECRET")
	req.Header.Set("Cookie", "a=SECRET; b=SECRET")
	req.Header.Add("X-Two", "1")
	req.Header.Add("X-Two", "2")
	rec := call(req)
	if strings.Contains(rec.Body.String(), "SECRET") {
		t.Errorf("a credential is echoed: %s", rec.Body)
	}
	var got struct {
		Method, Path, Query, Region, Body string
		Headers                           map[string]string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.Path != "/echo/a%2Fb" || got.Query != "x=1&x=2" || got.Region != "lab" || got.Body != "the body" {
		t.Errorf("got %+v", got)
	}
	if got.Headers["authorization"] != "Bearer abcdef..." || got.Headers["apikey"] != "sb_pub..." || got.Headers["x-two"] != "1, 2" {
		t.Errorf("headers %v", got.Headers)
	}
}

func TestSlowWaitsAndIsCapped(t *testing.T) {
	for target, want := range map[string]time.Duration{
		"/slow": time.Second, "/slow?ms=250": 250 * time.Millisecond, "/slow?ms=0": 0, "/slow?ms=999999999": maxSlow,
	} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				rec := call(httptest.NewRequest("GET", target, nil))
				if took := time.Since(start); took != want || rec.Code != 200 {
					t.Errorf("%d after %v, want %v", rec.Code, took, want)
				}
			})
		})
	}
}

func TestCrashClosesTheConnectionWithoutAByte(t *testing.T) {
	r, client := serveRegion(t, "eu-central-1", 0)
	res, err := client.Post("http://"+r.addr+"/crash", "", nil)
	if err == nil {
		_ = res.Body.Close()
		t.Fatalf("got an answer: %s", res.Status)
	}
	if !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v", err)
	}
}
