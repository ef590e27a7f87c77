package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/admin"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// recorded writes an invocation into the ledger of the running gateway.
func recorded(t *testing.T, function string, status int, at time.Time) {
	t.Helper()
	ledger := running(t).Engine().Ledger()
	s, err := ledger.Subject(metering.Subject{Project: "default", Function: function})
	if err != nil {
		t.Fatal(err)
	}
	region, err := ledger.Region("us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	call := metering.Invocation{Subject: s, Region: region, At: at}
	seq, err := ledger.Admit(call)
	if err == nil {
		err = ledger.Done(seq, call, metering.Ending{Status: status, Duration: 1500 * time.Microsecond})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvocations(t *testing.T) {
	load(t, withApp(t, goodApp))
	now := time.Now()
	recorded(t, "hello", 200, now.Add(-2*time.Hour))
	recorded(t, "hello", 502, now.Add(-time.Minute))
	running(t).Refused().Add(&invocations.Refusal{At: now, Project: "default", Function: "nope", Status: 404, Code: "NOT_FOUND"})
	got := answer(t, "/edge_functions/invocations")
	fields(t, "answer", got, "invocations", "since", "records_from", "refusals_from", "read", "findings")
	if n := len(got["invocations"].([]any)); n != 3 || got["records_from"] == nil {
		t.Errorf("%d invocations: %v", n, got)
	}
	failed := answer(t, "/edge_functions/invocations?status=5xx&since=1h&project=default&function=hello&region=us-east-1&slow=1ms&limit=10")
	one := fields(t, "invocations[0]", first(t, "invocations", failed["invocations"]), "timestamp", "gateway", "project_ref", "function", "region", "region_reason",
		"status", "outcome", "cut", "execution_time_ms", "attempts", "bytes_in", "bytes_out", "sb_request_id", "sb_error_code", "ledger_record_id", "units")
	if len(failed["invocations"].([]any)) != 1 || one["status"] != 502.0 || one["execution_time_ms"] != 1.5 || one["sb_request_id"] != nil {
		t.Errorf("failed: %v", failed)
	}
	// Only requests that were refused have this name.
	if refused := answer(t, "/edge_functions/invocations?function=nope"); len(refused["invocations"].([]any)) != 1 {
		t.Errorf("refused: %v", refused)
	}
	if none := answer(t, "/edge_functions/invocations?region=eu-west-1"); len(none["invocations"].([]any)) != 0 {
		t.Errorf("of a region without records: %v", none)
	}
}

func TestInvocationsRefuses(t *testing.T) {
	load(t, withApp(t, goodApp))
	recorded(t, "hello", 200, time.Now())
	for query, want := range map[string]string{
		"status=5x":                 `status "5x": must be a status such as 502, or a class such as 5xx`,
		"since=yesterday":           `since "yesterday": must be a duration such as 1h or 7d, or a time such as 2026-11-20T12:00:00Z`,
		"until=-1h":                 `until "-1h"`,
		"slow=2":                    `slow "2": must be a duration such as 2s`,
		"limit=0":                   `limit "0": must be a number from 1 to 10000`,
		"limit=10001":               `limit "10001"`,
		"follow=yes":                `follow "yes": allowed are true, false`,
		"functoin=x":                `parameter "functoin"`,
		"function=helo":             `function "helo": no such function is configured, and none has records (did you mean "hello"?)`,
		"function=helo&follow=true": `did you mean "hello"?`,
		"project=defualt":           `(did you mean "default"?)`,
		"region=us-east-11":         `(did you mean "us-east-1"?)`,
	} {
		_, err := ask(t, http.MethodGet, "/edge_functions/invocations?"+query, "")
		checkAPIError(t, err, http.StatusBadRequest, want)
	}
	_, err := ask(t, http.MethodPost, "/edge_functions/invocations", "")
	checkAPIError(t, err, http.StatusMethodNotAllowed, "only GET is allowed")
}

// An answer that follows has a line for what was there, and for each that ends later, also after a reload.
func TestInvocationsFollow(t *testing.T) {
	config := withApp(t, goodApp)
	load(t, config)
	recorded(t, "first", 200, time.Now())
	routes := new(admin.API).Routes()
	i := slices.IndexFunc(routes, func(r caddy.AdminRoute) bool { return r.Pattern == "/edge_functions/invocations" })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := routes[i].Handler.ServeHTTP(w, r); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/edge_functions/invocations?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		t.Helper()
		var one invocations.Invocation
		if !lines.Scan() {
			t.Fatalf("the answer ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		return *one.Function
	}
	if got := next(); got != "first" || resp.Header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("it begins with %s, %s", got, resp.Header.Get("Content-Type"))
	}
	recorded(t, "second", 200, time.Now())
	if got := next(); got != "second" {
		t.Errorf("%s follows", got)
	}
	if err := caddy.Load([]byte(strings.Replace(string(config), "eu-west-1", "eu-west-2", 1)), true); err != nil {
		t.Fatal(err)
	}
	recorded(t, "third", 200, time.Now())
	if got := next(); got != "third" {
		t.Errorf("%s follows the reload", got)
	}
	// A server that stops does not wait for it: each reload stops that of the admin API.
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server waited for the answer: %v", err)
	}
	recorded(t, "fourth", 200, time.Now())
	if got := next(); got != "fourth" {
		t.Errorf("%s follows the end of the server", got)
	}
}

// Over HTTP/2 nothing can be taken over, and the answer goes on all the same.
func TestInvocationsFollowHTTP2(t *testing.T) {
	load(t, withApp(t, goodApp))
	recorded(t, "first", 200, time.Now())
	routes := new(admin.API).Routes()
	i := slices.IndexFunc(routes, func(r caddy.AdminRoute) bool { return r.Pattern == "/edge_functions/invocations" })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := routes[i].Handler.ServeHTTP(w, r); err != nil {
			t.Error(err)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/edge_functions/invocations?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{"first", "second"} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) || resp.ProtoMajor != 2 {
			t.Fatalf("HTTP/%d, %s, %v", resp.ProtoMajor, lines.Text(), lines.Err())
		}
		recorded(t, "second", 200, time.Now())
	}
}

func TestTop(t *testing.T) {
	load(t, withApp(t, goodApp))
	now := time.Now()
	recorded(t, "hello", 200, now.Add(-2*time.Hour))
	recorded(t, "hello", 502, now.Add(-time.Minute))
	recorded(t, "pay", 200, now.Add(-time.Minute))
	got := answer(t, "/edge_functions/top?by=errors&each=region&since=1h&limit=1")
	fields(t, "answer", got, "rows", "all", "total", "since", "records_from", "gateways", "read", "findings")
	row := fields(t, "rows[0]", first(t, "rows", got["rows"]), "project", "function", "region", "invocations", "errors", "error_share", "p50_ms", "p95_ms",
		"p99_ms", "bytes_in", "bytes_out", "cut", "unfinished", "cold")
	if row["function"] != "hello" || row["region"] != "us-east-1" || row["invocations"] != 1.0 || row["errors"] != 1.0 || got["total"] != 2.0 || row["cold"] != nil {
		t.Errorf("top: %v", got)
	}
	for query, want := range map[string]string{
		"by=size":      `by "size": allowed are calls, errors, p95, bytes`,
		"each=gateway": `each "gateway": allowed are function, project, region`,
		"status=5xx":   `parameter "status"`,
		"project=shop": `project "shop": no such project`,
	} {
		_, err := ask(t, http.MethodGet, "/edge_functions/top?"+query, "")
		checkAPIError(t, err, http.StatusBadRequest, want)
	}
}
