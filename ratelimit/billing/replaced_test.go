package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// receivers are services and a directory that are told what acme is billed. They know events by their ids for ever, or for as long as
// Stripe does.
type receivers struct {
	t              *testing.T
	web            *fakesinks.Receiver
	stripe, hourly *fakesinks.Stripe
	sinks          []usage.Sink
	files          *usage.Files
	events         map[string]string // what was said under each id
	forgotten      bool              // nobody knows what they were told: who adds up differences has too much
}

func newReceivers(t *testing.T, at *clock) *receivers {
	t.Helper()
	r := &receivers{
		t:      t,
		web:    &fakesinks.Receiver{Path: "/"},
		events: make(map[string]string),
		files:  &usage.Files{Dir: filepath.Join(t.TempDir(), "files"), Format: usage.JSONL},
	}
	meter := func(window, prefix string) (*fakesinks.Stripe, usage.Service) {
		fake := &fakesinks.Stripe{
			Key:       "key",
			Window:    window,
			Meters:    []string{prefix + "calls", prefix + "over"},
			Customers: map[string]bool{"acme": true},
		}
		return fake, stripemeter.New(stripemeter.Config{
			Key:       "key",
			Meter:     prefix + "calls",
			Overage:   prefix + "over",
			Customers: func() map[string]string { return map[string]string{"acme": "acme"} },
			URL:       r.serve(fake),
			Now:       at.now,
		})
	}
	var stripe, hourly usage.Service
	r.stripe, stripe = meter("", "")
	r.hourly, hourly = meter("hour", "h")
	web, err := webhook.New(webhook.Config{Title: "web", URL: r.serve(http.HandlerFunc(r.listen)) + "/", Now: at.now})
	if err != nil {
		t.Fatal(err)
	}
	r.sinks = []usage.Sink{stripe, hourly, web, r.files}
	return r
}

func (r *receivers) serve(h http.Handler) (url string) {
	s := httptest.NewServer(h)
	r.t.Cleanup(s.Close)
	return s.URL
}

// listen takes in events, and misses none that says something else under an id that is known.
func (r *receivers) listen(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var events []struct {
		ID   string
		Data json.RawMessage
	}
	if err := errors.Join(err, json.Unmarshal(body, &events)); err != nil {
		r.t.Error(err)
	}
	for _, e := range events {
		r.once(e.ID, string(e.Data))
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	r.web.ServeHTTP(w, q)
}

// once notes what was said under an id.
func (r *receivers) once(id, said string) {
	if before, again := r.events[id]; again && before != said {
		r.t.Errorf("%s was\n%s\nand is\n%s", id, before, said)
	}
	r.events[id] = said
}

// told has everybody be told what is new.
func (r *receivers) told(f *fixture) {
	r.t.Helper()
	for _, fake := range []*fakesinks.Faults{&r.web.Faults, &r.stripe.Faults, &r.hourly.Faults} {
		fake.Set(f.now())
	}
	for _, s := range r.sinks {
		if state := f.export(s); state.failing() || state.result.Rejected > 0 {
			r.t.Fatalf("%s: %+v", s.Name(), state)
		}
	}
}

// check compares what all have with what is billed.
func (r *receivers) check(f *fixture) {
	r.t.Helper()
	var units, over, minor int64
	lines := f.lines()
	for _, l := range lines {
		units, over, minor = units+l.Quantity, over+l.OverageQuantity, minor+l.AmountMinor
	}
	if got, paid := r.web.Added("acme"), r.web.Paid("acme"); !r.forgotten && (got != units || paid != minor) {
		r.t.Errorf("the webhook has added up %d for %d, billed are %d for %d", got, paid, units, minor)
	}
	if got, paid, n := r.web.Latest("acme"); got != units || paid != minor || n != len(lines) {
		r.t.Errorf("the webhook has %d for %d in %d lines, billed are %d for %d in %d", got, paid, n, units, minor, len(lines))
	}
	for prefix, fake := range map[string]*fakesinks.Stripe{"": r.stripe, "h": r.hourly} {
		if r.forgotten && prefix == "" {
			continue
		}
		if got, sold := fake.Sum(prefix+"calls", "acme"), fake.Sum(prefix+"over", "acme"); got != units || sold != over {
			r.t.Errorf("the meters %q have %d and %d, billed are %d and %d", prefix, got, sold, units, over)
		}
	}
	r.checkFiles(lines)
}

// checkFiles compares the lines with those of the highest revisions in files.
func (r *receivers) checkFiles(lines []usage.Line) {
	r.t.Helper()
	latest := make(map[string]usage.Line)
	paths, err := filepath.Glob(filepath.Join(r.files.Dir, "usage-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range paths {
		err := usage.Read(path, usage.JSONL, func(l *usage.Line) error {
			if is, known := latest[l.LineID]; known && is.Revision == l.Revision && is.SHA256 != l.SHA256 {
				r.t.Errorf("%s: %+v was %+v", path, l, is)
			}
			if l.Revision >= latest[l.LineID].Revision {
				latest[l.LineID] = *l
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if len(latest) != len(lines) {
		r.t.Errorf("the files have %d lines, billed are %d", len(latest), len(lines))
	}
	for _, l := range lines {
		if is := latest[l.LineID]; is.Quantity != l.Quantity || is.AmountMinor != l.AmountMinor {
			r.t.Errorf("the files have %+v, billed is %+v", is, l)
		}
	}
}

// adjust counts invocations of acme in an hour, and brings lines up to date.
func (f *fixture) adjust(units int64, at time.Time) {
	f.t.Helper()
	_, err := f.Adjust(f.t.Context(), AdjustOrder{
		Organization: "acme", Units: units, Project: "p", Function: "f", Region: "eu", Reason: "late", Operator: "ann", At: &at,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.lines()
}

// Whatever becomes of the files of bills between corrections that services were told: nobody is told another thing under an id that is
// known, and all that count each id once end with what is billed.
func TestReplacedBills(t *testing.T) {
	remove := func(t *testing.T, dir string, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	recovered := func(t *testing.T, dir string) {
		t.Helper()
		if found, err := metering.Recover(dir); err != nil || len(found) == 0 {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	put := func(t *testing.T, dir, name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const forgotten = "both removed and recovered"
	for name, replace := range map[string]func(t *testing.T, dir string, old map[string][]byte){
		"restarted": func(*testing.T, string, map[string][]byte) {},
		"removed and recovered": func(t *testing.T, dir string, _ map[string][]byte) {
			remove(t, dir, "billing.db")
			recovered(t, dir)
		},
		"an older one put back": func(t *testing.T, dir string, old map[string][]byte) { put(t, dir, "billing.db", old["billing.db"]) },
		"an older one put back, then a restart": func(t *testing.T, dir string, old map[string][]byte) {
			put(t, dir, "billing.db", old["billing.db"])
			f := reopen(t, dir, &clock{began: time.Now()}, account("acme", soft, pays))
			f.end()
		},
		"damaged and recovered": func(t *testing.T, dir string, _ map[string][]byte) {
			text, err := os.ReadFile(filepath.Join(dir, "billing.db"))
			if err != nil {
				t.Fatal(err)
			}
			for at := bytes.Index(text, []byte(`"s":"`)); at >= 0; at = bytes.Index(text, []byte(`"s":"`)) { // of lines
				text[at] ^= 1
			}
			put(t, dir, "billing.db", text)
			recovered(t, dir)
		},
		forgotten: func(t *testing.T, dir string, _ map[string][]byte) {
			remove(t, dir, "billing.db", "told.db")
			recovered(t, dir)
		},
		"what was told removed":       func(t *testing.T, dir string, _ map[string][]byte) { remove(t, dir, "told.db") },
		"what was told, an older one": func(t *testing.T, dir string, old map[string][]byte) { put(t, dir, "told.db", old["told.db"]) },
	} {
		t.Run(name, func(t *testing.T) {
			at, dir := &clock{began: time.Now()}, t.TempDir()
			r := newReceivers(t, at)
			accounts := []Account{account("acme", soft, pays)}
			f := reopen(t, dir, at, accounts...)
			f.lines()
			hour := at.now()
			adjust := func(units int64) { t.Helper(); f.adjust(units, hour) }
			f.final(30)
			r.told(f)
			f.end()
			old := make(map[string][]byte)
			for _, name := range []string{"billing.db", "told.db"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				old[name] = text
			}
			f = reopen(t, dir, at, accounts...)
			f.lines()
			adjust(5)
			r.told(f)
			adjust(-7)
			r.told(f)
			f.final(11)
			r.told(f)
			adjust(4) // nobody is told of it yet
			f.end()
			replace(t, dir, old)
			r.forgotten = name == forgotten
			for range 2 { // Stripe forgets ids meanwhile
				f = reopen(t, dir, at, accounts...)
				f.lines()
				r.told(f)
				r.check(f)
				adjust(4)
				r.told(f)
				f.final(3)
				r.told(f)
				r.check(f)
				at.forward(26 * time.Hour)
				f.end()
			}
		})
	}
}

// A file of bills that another takes the place of while gateways run is noticed, by all of them, before anybody is told anything.
func TestReplacedBillsOfRunningGateways(t *testing.T) {
	for how, put := range map[string]func(path string, text []byte) error{
		"moved there": func(path string, text []byte) error {
			return errors.Join(os.WriteFile(path+".old", text, 0o600), os.Rename(path+".old", path))
		},
		"copied over it": func(path string, text []byte) error {
			now := time.Now().Add(time.Second) // clocks of file systems are coarse
			return errors.Join(os.WriteFile(path, text, 0o600), os.Chtimes(path, now, now))
		},
		"removed, and copied there": func(path string, text []byte) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600))
		},
	} {
		for _, replaced := range []string{"billing.db", "told.db"} {
			for _, gateways := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s %s, %d gateways", replaced, how, gateways), func(t *testing.T) {
					at, dir := &clock{began: time.Now()}, t.TempDir()
					r := newReceivers(t, at)
					var all []*fixture
					for range gateways {
						all = append(all, reopen(t, dir, at, account("acme", soft, pays)))
					}
					f, last := all[0], all[gateways-1]
					hour := at.now()
					f.final(30)
					r.told(f)
					last.adjust(30, hour)
					r.told(f)
					old, err := os.ReadFile(filepath.Join(dir, replaced))
					if err != nil {
						t.Fatal(err)
					}
					last.adjust(20, hour)
					r.told(last)
					at.forward(4 * 24 * time.Hour) // no update looks at that hour any more
					f.adjust(7, at.now())
					at.forward(2 * time.Hour)
					r.told(f)
					if err := put(filepath.Join(dir, replaced), old); err != nil {
						t.Fatal(err)
					}
					for _, units := range []int64{-5, 1} {
						for _, g := range all {
							g.adjust(units, hour)
							r.told(g)
						}
					}
					for _, g := range all {
						g.lines()
					}
					r.told(last)
					r.check(last)
					f.final(3)
					r.told(f)
					r.check(f)
				})
			}
		}
	}
}
