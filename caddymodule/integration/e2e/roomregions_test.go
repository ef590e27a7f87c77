//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Contract 9.6, 2.5, 2.7: what a project has no room for in one region runs in the next as `spill`, unless it named the region;
// then it is 503 there and nowhere else. Those who hold little stay where they are nearest.
func TestRoomOfEachRegion(t *testing.T) {
	w := startTenants(t, "", "capacity 10", "capacity 100")
	near, far := regionNames[0], regionNames[1]
	eventually(t, "the near region is the nearest", func() bool {
		res, err := w.ask(t.Context(), http.MethodGet, quiet, "nap")
		return err == nil && endOf(res) == "200  "+near+" nearest"
	})
	end := w.hang(12, noisy, "hang", "X-Region", near)
	defer end()
	w.holds(t, 8, 0)
	for _, tc := range []struct{ what, ref, named, want string }{
		{"noisy, unnamed", noisy, "", "200  " + far + " spill"},
		{"noisy, named", noisy, near, "503 GATEWAY_OVERLOADED " + near + " explicit"},
		{"noisy, a list", noisy, near + "," + far, "200  " + far + " explicit_list"},
		{"noisy, a list that ends in any", noisy, near + ",any", "200  " + far + " spill"},
		{"quiet, unnamed", quiet, "", "200  " + near + " nearest"},
		{"quiet, named", quiet, near, "200  " + near + " explicit"},
	} {
		res, err := w.ask(t.Context(), http.MethodGet, tc.ref, "nap", "X-Region", tc.named)
		if err != nil || endOf(res) != tc.want || res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v, %v; want %s", tc.what, endOf(res), err, tc.want)
		}
	}
	if said := w.command(t, "explain", "--project", noisy, "--region", near); !strings.Contains(said, "it holds 8 of 10 places, and one may hold 8 (capacity_share)") {
		t.Errorf("explain says\n%s", said)
	}
	var explained struct{ Chosen, Reason string }
	if err := json.Unmarshal([]byte(w.command(t, "explain", "--project", quiet, "-o", "json")), &explained); err != nil || explained.Chosen != near {
		t.Errorf("explain chooses %+v for the quiet project, %v", explained, err)
	}
	if got := metricOf(t, w.gateway, `edgegate_region_refused_total{reason="capacity_share",region="`+near+`",room="calls"}`); got == "" || got == "0" {
		t.Errorf("the metric of refused calls is %q", got)
	}
}

// Contract 9.6: plans have weights. Full, a region still takes calls of a project of weight 4 when one of weight 1, that holds
// as much, is refused.
func TestRoomByWeight(t *testing.T) {
	w := startTenants(t, "plan pro {\nweight 4\n}", "capacity 10")
	path := strings.TrimPrefix(w.config.source, "projects file ")
	functions := []object{{"slug": "hang", "verify_jwt": false}}
	replaceFile(t, path, object{
		"organizations": []object{{"id": "acme", "plan": "pro"}, {"id": "small", "plan": "free"}},
		"projects": []object{
			{"ref": noisy, "organization": "small", "functions": functions},
			{"ref": quiet, "organization": "small", "functions": functions},
			{"ref": refOf(2), "organization": "acme", "functions": functions},
		},
	})
	eventually(t, "the new projects", func() bool { return w.call(t, refOf(3), "nap", "") == http.StatusNotFound })
	defer w.hang(7, noisy, "hang")()
	w.holds(t, 7, 0)
	defer w.hang(3, quiet, "hang")()
	w.holds(t, 10, 0)
	// Two more fit beyond the capacity, for those below their share: of weight 1 beside 1 and 4 that is 10/6.
	if res, err := w.ask(t.Context(), http.MethodGet, noisy, "hang"); err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more of weight 1: %v, %v", res, err)
	}
	defer w.hang(2, refOf(2), "hang")()
	w.holds(t, 12, 0)
}

// What runs counts on over a reload, and what the new configuration says holds at once.
func TestRoomOverReload(t *testing.T) {
	w := startTenants(t, "", "capacity 10")
	eventually(t, "the projects are there", func() bool { return w.call(t, quiet, "nap", "") == http.StatusOK })
	end := w.hang(8, noisy, "hang")
	defer end()
	w.holds(t, 8, 0)
	c := w.config
	c.options, c.backends[0].more = "\t\tcapacity_share 50%", "\t\t\tcapacity 20\n\t\t\twebsockets 2\n"
	if status, text := load(t, w.gateway, c.caddyfile(w.port, w.admin)); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, text)
	}
	eventually(t, "the new capacity", func() bool { r := w.said(t)[0]; return r.Capacity != nil && *r.Capacity == 20 && r.InFlight == 8 })
	more := w.hang(5, noisy, "hang")
	w.holds(t, 10, 0) // half of 20
	conn, status := w.open(t, noisy)
	defer conn.Close()
	if status != http.StatusSwitchingProtocols {
		t.Errorf("the first WebSocket got %d", status)
	}
	second, status := w.open(t, noisy)
	defer second.Close()
	if status != http.StatusServiceUnavailable { // half of 2
		t.Errorf("the second WebSocket got %d", status)
	}
	end()
	more()
	w.holds(t, 0, 1)
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	conn.Close()
	w.holds(t, 0, 0)
}

// Contract 3.30, 9.6: a call that finds no room takes nothing from a quota, however small that is.
func TestRefusedForRoomCostsNothing(t *testing.T) {
	w := startTenants(t, "plan pro {\nquota 4\nspend_cap on\n}", "capacity 2")
	eventually(t, "the projects are there", func() bool { return w.call(t, quiet, "nothing", "") == http.StatusNotFound })
	end := w.hang(1, noisy, "hang") // 80 % of two, rounded down
	w.holds(t, 1, 0)
	for range 10 {
		if res, err := w.ask(t.Context(), http.MethodGet, noisy, "nap"); err != nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("beside the one that hangs: %v, %v", res, err)
		}
	}
	end()
	w.holds(t, 0, 0)
	for n, want := range []int{200, 200, 200, 402} {
		if got := w.call(t, noisy, "nap", ""); got != want {
			t.Errorf("call %d of what is left: %d, want %d", n+2, got, want)
		}
	}
}
