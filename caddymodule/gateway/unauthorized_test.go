package gateway

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

// Contract 7.8: with count_unauthorized, requests that are refused with 401 are usage in the region -, once each, and take nothing of
// a hard quota; without it they are not. Names that a stranger makes up are counted together.
func TestCountUnauthorized(t *testing.T) {
	const strangers, quota = 30, 4
	for _, on := range []bool{false, true} {
		option := ""
		if on {
			option = "count_unauthorized on\n"
		}
		s := serve(t, "store embedded "+t.TempDir()+"\nplan tight {\nquota "+fmt.Sprint(quota)+"\nspend_cap on\n}\n"+
			"project default {\norganization acme\nplan tight\njwt_secret a-secret-of-thirty-two-bytes-or-more-for-tests\n"+option+
			"function hello\nfunction * {\nverify_jwt on\n}\nfunction open {\nverify_jwt off\n}\n}\n", "", functions)
		status := func(method, path string, want int) {
			t.Helper()
			if got := s.call(t, method, path, ""); got.StatusCode != want {
				t.Fatalf("%s %s is answered %d, want %d", method, path, got.StatusCode, want)
			}
		}
		for i := range strangers {
			status("POST", "/functions/v1/hello", http.StatusUnauthorized)
			status("GET", fmt.Sprintf("/functions/v1/made-up-%d", i), http.StatusUnauthorized)
			status("HEAD", "/functions/v1/hello", http.StatusMethodNotAllowed)
		}
		for range quota {
			status("GET", "/functions/v1/open", http.StatusOK)
		}
		status("GET", "/functions/v1/open", http.StatusPaymentRequired)

		engine := runningApp(t).engine
		want := map[string]uint64{"open eu-central-1": quota}
		if on {
			want["hello -"], want["* -"] = strangers, strangers
		}
		within(t, func() string {
			answer, err := engine.Usage(t.Context(), billing.UsageQuery{Query: billing.Query{Organization: "acme"}})
			if err != nil {
				return err.Error()
			}
			got := map[string]uint64{}
			for _, f := range answer.Organizations[0].Projects[0].Functions {
				got[f.Slug+" "+f.Region] = f.Invocations
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || answer.Organizations[0].Unfinished != 0 {
				return fmt.Sprintf("used %v, %d unfinished, want %v", got, answer.Organizations[0].Unfinished, want)
			}
			if n := answer.Organizations[0].Refused["401"]; n != 2*strangers {
				return fmt.Sprintf("%d refused with 401, want %d", n, 2*strangers)
			}
			return ""
		})
		state, err := engine.Quota(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		if q := state.Organizations[0]; q.Used != quota || *q.Remaining != 0 {
			t.Errorf("on %t: %d of the quota used, %d remaining", on, q.Used, *q.Remaining)
		}
		bill, err := engine.Bill(t.Context(), billing.Query{Organization: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		billed := int64(quota)
		if on {
			billed += 2 * strangers
		}
		if got := bill.Organizations[0].Invocations; got != billed {
			t.Errorf("on %t: billed %d, want %d", on, got, billed)
		}
		reconciled, err := engine.Reconcile(t.Context(), billing.ReconcileQuery{Query: billing.Query{Organization: "acme"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, level := range reconciled.Levels {
			if level.Difference != 0 {
				t.Errorf("on %t: %+v", on, level)
			}
		}
	}
}
