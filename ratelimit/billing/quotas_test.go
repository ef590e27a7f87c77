package billing

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// take calls a function of acme under an allowance, and says how many calls were refused.
func (f *fixture) take(n int, allowance quota.Allowance) (refused int) {
	f.t.Helper()
	for range n {
		r := f.Receive()
		err := r.Take(f.t.Context(), "acme", &allowance)
		switch {
		case errors.Is(err, quota.ErrExhausted):
			refused++
		case err != nil:
			f.t.Fatal(err)
		default:
			if err := r.Send(&called); err != nil {
				f.t.Fatal(err)
			}
		}
		if err := r.Finish(metering.Ending{Status: 200}); err != nil {
			f.t.Fatal(err)
		}
	}
	return refused
}

// acmesQuota is the quota of acme.
func (f *fixture) acmesQuota() OrganizationQuota {
	f.t.Helper()
	answer, err := f.Quota(f.t.Context(), "acme")
	if err != nil || len(answer.Organizations) != 1 {
		f.t.Fatalf("%+v, %v", answer, err)
	}
	return answer.Organizations[0]
}

// From four fifths on a quota is near its end; at the end invocations go on under a soft one, and not under a hard one.
func TestQuotaStates(t *testing.T) {
	for _, tt := range []struct {
		name      string
		allowance quota.Allowance
		calls     int
		remaining int64
		state     QuotaState
	}{
		{"of little use", quota.Allowance{Quota: 10}, 7, 3, QuotaOK},
		{"near its end", quota.Allowance{Quota: 10}, 8, 2, QuotaNear},
		{"at its end", quota.Allowance{Quota: 10}, 12, 0, QuotaOver},
		{"hard", quota.Allowance{Quota: 10, Hard: true}, 11, 0, QuotaRestricted},
	} {
		f := newFixture(t, account("", soft, pays), account("acme", tt.allowance, pays))
		used := tt.calls - f.take(tt.calls, tt.allowance)
		q := f.acmesQuota()
		if q.State != tt.state || q.Limit == nil || *q.Limit != 10 || *q.Remaining != tt.remaining || q.Used != uint64(used) {
			t.Errorf("%s: %+v", tt.name, q)
		}
		if q.ID != "acme" || q.Plan != "team" || q.Period != november || q.Hard != tt.allowance.Hard || q.Set {
			t.Errorf("%s: %+v", tt.name, q)
		}
		if all, err := f.Quota(t.Context(), ""); err != nil || len(all.Organizations) != 1 {
			t.Errorf("%s: %+v, %v", tt.name, all, err)
		}
	}
}

// Without a limit nothing remains and nothing is near its end. Invocations of other gateways are used, too.
func TestQuotaWithoutLimit(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(3, called)
	m := &mirror{sums: []metering.Entry{entry(metering.Monthly, "2026-11", 4), entry(metering.Monthly, "2026-10", 9), entry(metering.Hourly, "2026111814", 4)}}
	f.with(m)
	if q := f.acmesQuota(); q.Used != 7 || q.Limit != nil || q.Remaining != nil || q.State != QuotaOK {
		t.Errorf("%+v", q)
	}
	m.fails = map[string]error{"PeerSums": errors.New("away")}
	for _, organization := range []string{"", "acme"} {
		away, err := f.Quota(t.Context(), organization)
		if err != nil || len(away.Organizations) != 1 || away.Organizations[0].Used != 3 || !strings.Contains(away.Partial, "only what this gateway counted") {
			t.Errorf("%+v, %v", away, err)
		}
	}
	if _, err := f.Quota(t.Context(), "acne"); err == nil || err.Error() != `organization "acne": no project in force has it` {
		t.Error(err)
	}
}

// A limit that is set is in force at once, until the configured one is again.
func TestSetQuota(t *testing.T) {
	f := newFixture(t, account("acme", quota.Allowance{Quota: 10}, pays))
	f.call(4, called)
	for _, tt := range []struct {
		limit *int64
		want  int64
		state QuotaState
		set   bool
	}{{new(int64(4)), 4, QuotaOver, true}, {new(int64(0)), 0, QuotaOver, true}, {nil, 10, QuotaOK, false}} {
		answer, err := f.SetQuota(t.Context(), QuotaOrder{Organization: "acme", Limit: tt.limit})
		if err != nil || len(answer.Organizations) != 1 {
			t.Fatalf("%+v, %v", answer, err)
		}
		if q := answer.Organizations[0]; q.Limit == nil || *q.Limit != tt.want || q.State != tt.state || q.Set != tt.set {
			t.Errorf("%+v, want %+v", q, tt)
		}
		if q := answer.Organizations[0]; q.Included == nil || *q.Included != pays.Included {
			t.Errorf("bills include something else: %+v", q)
		}
		f.call(1, called)
		if lines := f.lines(); lines[0].Included != pays.Included {
			t.Errorf("%+v", lines[0])
		}
	}
	for want, o := range map[string]QuotaOrder{
		"limit: must be a whole number from 0":            {Organization: "acme", Limit: new(int64(-1))},
		`organization "acne": no project in force has it`: {Organization: "acne"},
		`release: no gateway "gone" has units in quotas`:  {Release: "gone"},
	} {
		if _, err := f.SetQuota(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f.with(new(mirror))
	if _, err := f.SetQuota(t.Context(), QuotaOrder{Release: "gone"}); !errors.Is(err, quota.ErrNotShared) {
		t.Error(err)
	}
}

// The log of a gateway is gone, and quotas.db knows of it: what it was granted is in the answer with the command that gives it back,
// and that works.
func TestQuotaOfALogThatIsGone(t *testing.T) {
	f := newFixture(t, account("acme", quota.Allowance{Quota: 10, Hard: true}, pays))
	const id = "4f1c2a9b7d3e"
	gone := quota.Claim{
		Holder:       id,
		Organization: "acme",
		Period:       metering.Cycle{}.At(f.clock.now()),
		Limit:        10,
		Number:       1,
		Holds:        4,
	}
	if _, err := quota.NewEmbedded(f.Dir(), f.clock.now).Claim(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	answer, err := f.Quota(t.Context(), "acme")
	if err != nil || answer.Partial != "" || len(answer.Organizations[0].Held) != 1 {
		t.Fatalf("%+v, %v", answer, err)
	}
	held := answer.Organizations[0].Held[0]
	if held.Gateway != id || held.Units != 4 || held.Command != "edgegate quota release "+id || !strings.Contains(held.Why, "not in the directory") {
		t.Errorf("%+v", held)
	}
	answer, err = f.SetQuota(t.Context(), QuotaOrder{Release: id})
	if err != nil || answer.Released == nil || len(answer.Released.Quotas) != 1 || answer.Released.Quotas[0].Units != 4 ||
		len(answer.Organizations[0].Held) != 0 {
		t.Errorf("%+v, %v", answer, err)
	}
	if _, err := f.SetQuota(t.Context(), QuotaOrder{Release: f.open.ledger.Instance()}); !errors.Is(err, quota.ErrNotShared) {
		t.Errorf("its own: %v", err)
	}
}

// On a copy of a directory the log names no command that the embedded store refuses.
func TestCopyWithTheEmbeddedStore(t *testing.T) {
	f := newFixture(t, account("acme", quota.Allowance{Quota: 10}, pays))
	f.call(1, called)
	original, dir := f.open.ledger.Instance(), t.TempDir()
	f.end()
	if err := os.CopyFS(dir, os.DirFS(f.Dir())); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, "inst", original, "place")
	if _, err := os.Stat(place); err != nil {
		t.Skip("this file system does not tell when a directory was made")
	}
	if err := os.WriteFile(place, []byte("elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = reopen(t, dir, f.clock)
	if named, wrong := f.logs.count("is a copy", original), f.logs.count("quota release"); named != 1 || wrong != 0 {
		t.Errorf("%d lines name the original, %d a command that fails", named, wrong)
	}
}

// A gateway on a copy does not give back what the original holds, and the answer does not say that it will come back by itself.
func TestHeldByTheOriginal(t *testing.T) {
	q := &OrganizationQuota{ID: "acme", Period: Period{ID: "2026-11"}, Hard: true}
	for _, h := range []quota.HeldUnits{{Left: true}, {Seen: time.Now(), Silent: time.Hour}} {
		h.Organization, h.Period, h.Gateway, h.Units = "acme", "2026-11", "4f1c2a9b7d3e", 5
		for _, h.Copied = range []bool{false, true} {
			held := heldOf(q, []quota.HeldUnits{h})
			if len(held) != 1 || strings.Contains(held[0].Why, "starts again") == h.Copied || strings.Contains(held[0].Why, "copy of its directory") != h.Copied {
				t.Errorf("%+v: %+v", h, held)
			}
		}
	}
}

// Whatever happens to quotas.db: what is set is in the answer, or the answer says that it may not be, and names the file.
func TestQuotaOfADamagedFile(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"flipped": func(path string) error {
			text, err := os.ReadFile(path)
			for i := range text {
				text[i] ^= 0x55
			}
			return errors.Join(err, os.WriteFile(path, text, 0o600))
		},
		"cut":     func(path string) error { return os.Truncate(path, 1000) },
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"missing": os.Remove,
	} {
		f := newFixture(t, account("acme", quota.Allowance{Quota: 10}, pays))
		if _, err := f.SetQuota(t.Context(), QuotaOrder{Organization: "acme", Limit: new(int64(4))}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(f.Dir(), "quotas.db")
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		for _, organization := range []string{"acme", ""} {
			answer, err := f.Quota(t.Context(), organization)
			if err != nil || len(answer.Organizations) != 1 {
				t.Fatalf("%s: %+v, %v", name, answer, err)
			}
			if says := strings.Contains(answer.Partial, path); says == (name == "nothing") {
				t.Errorf("%s: partial %q", name, answer.Partial)
			}
		}
		state, why := f.QuotaState(f.now())
		if good := name == "nothing"; (state == StateUp) != good || (state == StateDegraded) == good || !good && !strings.Contains(why.Error(), path) {
			t.Errorf("%s: quotas are %s, %v", name, state, why)
		}
		if answer, err := f.Quota(t.Context(), "acme"); err != nil || *answer.Organizations[0].Limit != 4 {
			t.Errorf("%s: the limit that was set is not in force: %+v, %v", name, answer, err)
		}
		answer, err := f.SetQuota(t.Context(), QuotaOrder{Organization: "acme", Limit: new(int64(5))})
		if set := err == nil && *answer.Organizations[0].Limit == 5; set != (name == "nothing") || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
	}
}
