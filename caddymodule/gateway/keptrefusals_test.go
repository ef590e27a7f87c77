package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
)

// Each call is listed once: one that was sent by its record in the ledger, one that was refused from memory.
func TestRefusedCallsAreListed(t *testing.T) {
	site := serve(t, "project default {\njwt_secret "+logSecret+"\nfunction hello {\nverify_jwt off\n}\nfunction closes {\nverify_jwt off\n}\nfunction locked\n}", "", functions)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/hello", 200},
		{http.MethodPost, "/closes", 502},
		{http.MethodPost, "/locked", 401},
		{http.MethodPost, "/" + strings.Repeat("x", 5000), 404},
		{http.MethodPost, "/nope", 404},
		{http.MethodPost, "/" + strings.Replace(logKey, "publishable", "secret", 1), 404},
	} {
		if res := site.call(t, c.method, "/functions/v1"+c.path, ""); res.StatusCode != c.status {
			t.Fatalf("%s: %d, want %d: %s", c.path, res.StatusCode, c.status, res.body)
		}
	}
	app, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		function string
		status   int
		recorded bool
	}
	want := map[row]int{{"hello", 200, true}: 1, {"closes", 502, true}: 1, {"locked", 401, false}: 1, {"nope", 404, false}: 1, {"sb_secret_REDACTED", 404, false}: 1}
	var got map[row]int
	for range 500 { // a call ends after its answer has come
		answer, err := invocations.List(context.Background(), app.Engine().Ledger().RecordLogs(), app.Refused(), invocations.Query{Limit: 100})
		if err != nil || len(answer.Findings) > 0 {
			t.Fatal(err, answer.Findings)
		}
		got = make(map[row]int)
		for _, i := range answer.Invocations {
			if i.Status == nil || i.Function == nil || len(*i.Function) > 64 {
				continue
			}
			if len(*i.Function) < 64 {
				got[row{*i.Function, *i.Status, i.LedgerRecordID != nil}]++
			}
			if refused := i.LedgerRecordID == nil; refused && (i.SBRequestID == nil || i.SBErrorCode == nil || *i.ProjectRef != "default") {
				t.Errorf("refused: %+v", i)
			}
		}
		same := len(got) == len(want)
		for r, n := range want {
			same = same && got[r] == n
		}
		if same {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("listed are %v, want %v", got, want)
}
