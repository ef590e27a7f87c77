package admin_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/regions"
)

// The admin API explains what would be.
func TestExplainSupposes(t *testing.T) {
	load(t, withApp(t, goodApp))
	for query, want := range map[string]string{
		"":                                   `"chosen":"eu-west-1"`,
		"?down=eu-west-1":                    `"chosen":"us-east-1"`,
		"?load=eu-west-1=1":                  `"reason":"spill"`,
		"?region=us-east-1":                  `"reason":"explicit"`,
		"?from=KE&project=default":           `"country":"KE"`,
		"?request_id=abc&load=us-east-1=0.9": `"request_id":"abc"`,
	} {
		w, err := ask(t, http.MethodGet, "/edge_functions/explain"+query, "")
		if err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %v, %s; want in it %s", query, err, w.Body, want)
		}
	}
	for query, want := range map[string]string{
		"?down=mars": `region "mars" is not configured`, "?load=us-east-1": `load "us-east-1": must be a region and its load`,
		"?load=mars=1": `region "mars" is not configured`, "?from=kenya": `from "kenya"`, "?project=nobody": `project "nobody" is not there`,
		"?form=KE": "allowed are region, from", "?region=any,x": "any",
	} {
		if _, err := ask(t, http.MethodGet, "/edge_functions/explain"+query, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want in it %q", query, err, want)
		}
	}
}

// hashes is a fleet.Store in memory.
type hashes map[string]string

func (h hashes) HashAll(context.Context, string) (map[string]string, error) { return h, nil }

func (h hashes) HashSet(_ context.Context, _, field, value string) error {
	h[field] = value
	return nil
}

func (h hashes) HashDelete(context.Context, string, ...string) error { return nil }

// A request is explained as another gateway of the fleet would decide, too.
func TestExplainAt(t *testing.T) {
	load(t, withApp(t, goodApp))
	if _, err := ask(t, http.MethodGet, "/edge_functions/explain?at=tokyo", ""); err == nil || !strings.Contains(err.Error(), "no other gateway is heard") {
		t.Errorf("alone: %v", err)
	}
	beat := fleet.Heartbeat{
		Gateway:  "tokyo",
		Location: fleet.Location{Region: "ap-northeast-1", Source: regions.LocationConfigured},
		At:       time.Now(),
		Regions: map[string]fleet.ObservedRegion{
			"us-east-1": {RTT: new(9.0), State: regions.StateUp},
			"eu-west-1": {State: regions.StateDown},
		},
	}
	if err := running(t).Fleet().Exchange(t.Context(), make(hashes), beat); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"tokyo", "ap-northeast-1"} {
		w, err := ask(t, http.MethodGet, "/edge_functions/explain?at="+at, "")
		if err != nil || !strings.Contains(w.Body.String(), `"chosen":"us-east-1"`) {
			t.Errorf("at %s: %v, %s", at, err, w.Body)
		}
	}
	if _, err := ask(t, http.MethodGet, "/edge_functions/explain?at=tokio", ""); err == nil || !strings.Contains(err.Error(), `did you mean "tokyo"?`) {
		t.Errorf("at nowhere: %v", err)
	}
}
