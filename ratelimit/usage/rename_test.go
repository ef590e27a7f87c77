package usage_test

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// A sink with another name is told nothing again, at whatever point it was renamed, and what was not told yet is.
func TestRenamedSinkIsToldNothingAgain(t *testing.T) {
	for told := range 4 {
		fake := &fakesinks.Receiver{Path: "/in", Knows: time.Nanosecond} // whatever comes twice counts twice
		server := httptest.NewServer(fake)
		named := func(title string) *sink {
			service, err := webhook.New(webhook.Config{Title: title, URL: server.URL + "/in", Batch: 3, Now: fake.Now})
			if err != nil {
				t.Fatal(err)
			}
			return &sink{title, service, &fake.Faults, fake.Added}
		}
		former, now := named("webhook "+server.URL+"/in"), named("webhook-0123456789ab")
		r := newRig(t, uint64(told))
		for range told {
			r.pass()
			fake.Set(r.start.Add(time.Duration(r.hour) * time.Hour))
			if _, err := r.outbox(former).Run(t.Context(), former.service); err != nil {
				t.Fatal(err)
			}
		}
		r.pass() // is due when it is renamed
		before, _ := fake.Calls()
		for range 2 { // it may be done again
			if err := r.store.Rename(former.service.Name(), now.service.Name()); err != nil {
				t.Fatal(err)
			}
		}
		if after, _ := fake.Calls(); after != before {
			t.Errorf("renaming called the endpoint %d times", after-before)
		}
		r.settled(now)
		for _, account := range []string{"acme", "globex"} {
			if got, want := fake.Added(account), r.billed(account, false); got != want {
				t.Errorf("after %d rounds: it was told %d of %s, billed is %d", told, got, account, want)
			}
		}
		server.Close()
	}
}

// A new line store and one that knows nothing of a sink stay as they are.
func TestRenameOfNothing(t *testing.T) {
	r := newRig(t, 1)
	if err := r.store.Rename("a", "b"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.path); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	r.pass()
	if err := r.store.Rename("former-name", "new-name"); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(r.path); strings.Contains(string(data), "new-name") {
		t.Error("something was written")
	}
}
