package admin_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/admin"
)

func TestEvents(t *testing.T) {
	load(t, withApp(t, goodApp))
	if _, err := ask(t, http.MethodPost, "/edge_functions/drain", `{"region":"eu-west-1","over":"0s"}`); err != nil {
		t.Fatal(err)
	}
	drained := func(target string) bool {
		w, err := ask(t, http.MethodGet, target, "")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(w.Body.String(), `"what":"region","name":"eu-west-1","from":"unknown","to":"drained","why":"ordered by`)
	}
	for deadline := time.Now().Add(30 * time.Second); !drained("/edge_functions/events"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no event of the drain")
		}
	}
	if !drained("/edge_functions/events?what=region&since=1h") || drained("/edge_functions/events?what=store") || drained("/edge_functions/events?since=1ns") {
		t.Error("what or since is not heeded")
	}
	for target, want := range map[string]string{
		"/edge_functions/events?what=regoin": `what "regoin": allowed are region, backend,`,
		"/edge_functions/events?since=long":  `since "long": must be a duration`,
		"/edge_functions/events?since=-1h":   `since "-1h": must be a duration`,
		"/edge_functions/events?kind=region": `parameter "kind"`,
	} {
		_, err := ask(t, http.MethodGet, target, "")
		checkAPIError(t, err, http.StatusBadRequest, want)
	}
	_, err := ask(t, http.MethodPost, "/edge_functions/events", "")
	checkAPIError(t, err, http.StatusMethodNotAllowed, "only GET is allowed")
}

// The stream has each event from the time on that it begins, and ends when another configuration takes over.
func TestEventsAsTheyCome(t *testing.T) {
	load(t, withApp(t, goodApp))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, route := range new(admin.API).Routes() {
			if route.Pattern == r.URL.Path {
				if err := route.Handler.ServeHTTP(w, r); err != nil {
					t.Error(err)
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/edge_functions/events?what=region", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %s", got)
	}
	if _, err := ask(t, http.MethodPost, "/edge_functions/drain", `{"region":"us-east-1","over":"0s"}`); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(res.Body)
	seen := false
	for !seen && lines.Scan() {
		seen = strings.HasPrefix(lines.Text(), "data: {") && strings.Contains(lines.Text(), `"name":"us-east-1","from":"unknown","to":"drained"`)
	}
	if !seen {
		t.Fatalf("no event of the drain: %v", lines.Err())
	}
	load(t, withApp(t, goodApp))
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream does not end with its configuration: %v", err)
	}
}
