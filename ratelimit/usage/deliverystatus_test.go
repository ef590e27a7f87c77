package usage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// A gateway that stands by explains the same differences as the one that sends: what is held or on its way. It explains
// nothing that the one that sends takes for delivered.
func TestCompareOnStandby(t *testing.T) {
	for _, s := range servers(t, same, 100) {
		leader, other := newRig(t, 1), newRig(t, 1)
		pages := leader.store.Pages()
		compared := func(r *rig) (all []string) {
			o := &usage.Outbox{Store: r.store, Pages: pages, Now: s.faults.Now}
			err := o.Compare(t.Context(), s.service, func(string, string) bool { return true }, func(item *usage.Item, told int64, pending bool) {
				all = append(all, fmt.Sprint(item.ID, item.Value, told, told == item.Value || pending))
				if told != item.Value && !pending {
					t.Errorf("%s: told %d of %+v, and nothing explains it", s.name, told, item)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		for range 4 {
			leader.pass()
			other.pass()
			if a, b := compared(leader), compared(other); len(a) == 0 || !slices.Equal(a, b) {
				t.Errorf("%s, before the round: %q and %q", s.name, a, b)
			}
			s.faults.Heal()
			if _, err := (&usage.Outbox{Store: leader.store, Pages: pages, Now: s.faults.Now}).Run(t.Context(), s.service); err != nil {
				t.Fatal(err)
			}
			if a, b := compared(leader), compared(other); !slices.Equal(a, b) {
				t.Errorf("%s, after it: %q and %q", s.name, a, b)
			}
		}
	}
}

// A rejected event of a webhook is listed by the id that the endpoint saw.
func TestRejectedEventsHaveTheirIDs(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var events []struct{ ID string }
		if err := json.NewDecoder(req.Body).Decode(&events); err != nil {
			t.Error(err)
		}
		for _, e := range events {
			seen = append(seen, e.ID)
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
	}))
	defer server.Close()
	service, err := webhook.New(webhook.Config{Title: "hook", URL: server.URL, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1)
	r.pass()
	outbox := &usage.Outbox{Store: r.store, Pages: r.store.Pages(), Now: time.Now}
	if _, err := outbox.Run(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	status, err := outbox.Status(t.Context(), service)
	if err != nil || len(seen) == 0 || len(status.Reasons) != len(seen) {
		t.Fatalf("%q were seen, %+v, %v", seen, status, err)
	}
	for _, reason := range status.Reasons {
		if id, _, _ := strings.Cut(reason, " "); !slices.Contains(seen, id) {
			t.Errorf("%q is none of %q", id, seen)
		}
	}
}
