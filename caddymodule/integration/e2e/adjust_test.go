//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// fails runs a command that must fail, and returns its exit code and what it says about it.
func (g *gateway) fails(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.binary, append(args, "--address", fmt.Sprintf("127.0.0.1:%d", g.admin))...)
	var both strings.Builder
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	failed := (*exec.ExitError)(nil)
	if !errors.As(err, &failed) {
		t.Errorf("%q: %v: %s", args, err, both.String())
		return 0, both.String()
	}
	return failed.ExitCode(), both.String()
}

// exported are the lines that a gateway bills in a month.
func exported(t *testing.T, g *gateway, month string) (lines []usage.Line) {
	t.Helper()
	for text := range strings.Lines(g.command(t, "usage", "export", "--format", "jsonl", "--period", month)) {
		var l usage.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// lineOf is the line of an hour.
func lineOf(t *testing.T, g *gateway, at time.Time) (usage.Line, bool) {
	t.Helper()
	lines := exported(t, g, at.Format("2006-01"))
	i := slices.IndexFunc(lines, func(l usage.Line) bool { return l.WindowStart.Equal(at.Truncate(time.Hour)) })
	if i < 0 {
		return usage.Line{}, false
	}
	return lines[i], true
}

// reconciled checks that all accounts of a month agree.
func reconciled(t *testing.T, g *gateway, month string) {
	t.Helper()
	g.command(t, "usage", "reconcile", "--deep", "--period", month)
}

const smallPlan = "\t\tplan small {\n\t\t\tquota 10\n\t\t\toverage 2.00 per 10\n\t\t\tspend_cap off\n\t\t}"

// An adjustment is a record with a reason and an operator; bills have it, quotas and what was there do not change.
func TestAdjust(t *testing.T) {
	store, before := t.TempDir(), 3*time.Hour
	usedBefore(t, store, before, 25)
	hour := time.Now().Add(-before).UTC()
	month := hour.Format("2006-01")
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore embedded " + store + "\n" + smallPlan, project: "\t\t\torganization acme\n\t\t\tplan small",
	}
	g := startGateway(t, c)
	line := func(at time.Time) usage.Line {
		t.Helper()
		l, ok := lineOf(t, g, at)
		if !ok {
			t.Fatalf("there is no line of %s", at)
		}
		return l
	}
	waitUntil(t, "the hour is final", func() bool { return line(hour).State == usage.Final })
	final := line(hour)
	where := []string{"--project", "default", "--function", "ok", "--region", "eu-central-1", "--reason", "a client ran amok", "--operator", "ada"}
	adjust := func(units string, at time.Time) []string {
		return append([]string{"usage", "adjust", "acme", units, "--at", at.Format(time.RFC3339)}, where...)
	}
	out := g.command(t, adjust("-12", hour)...)
	if !strings.Contains(out, "-12") || !strings.Contains(out, "a client ran amok") || !strings.Contains(out, "acme is billed 13 invocations in "+month+" now, 25 before.") {
		t.Error(out)
	}
	if l := line(hour); l.Quantity != 13 || l.State != usage.Correction || l.Revision != final.Revision+1 || l.AmountMinor != 200 || l.QuantityVoid != 0 || l.QuantityOrphan != 0 {
		t.Errorf("%+v", l)
	}
	// An hour of which sums are not looked at any more, in which nothing was used.
	old := hour.Add(-100 * time.Hour)
	g.command(t, adjust("4", old)...)
	if l := line(old); l.Quantity != 4 {
		t.Errorf("%+v", l)
	}
	for _, m := range []string{month, old.Format("2006-01")} {
		reconciled(t, g, m)
	}
	for want, args := range map[string][]string{
		"no more than those can be":   adjust("-1000", hour),
		"in the future":               adjust("1", time.Now().Add(time.Hour)),
		`did you mean \"acme\"?`:      append([]string{"usage", "adjust", "acne", "1"}, where...),
		`did you mean \"default\"?`:   append([]string{"usage", "adjust", "acme", "1", "--project", "defualt"}, where[2:]...),
		`did you mean \"ok\"?`:        append([]string{"usage", "adjust", "acme", "1", "--function", "okk", "--project", "default"}, where[4:]...),
		`function \"nope\": project`:  append([]string{"usage", "adjust", "acme", "1", "--function", "nope", "--project", "default"}, where[4:]...),
		`did you mean \"eu-central-1`: append([]string{"usage", "adjust", "acme", "1", "--region", "eu-centrla-1"}, slices.Concat(where[:4], where[6:])...),
		"function: must not have a |": append([]string{"usage", "adjust", "acme", "1", "--project", "default", "--function", "a|b"}, where[4:]...),
	} {
		if code, said := g.fails(t, args...); code != 1 || !strings.Contains(said, want) {
			t.Errorf("%q: %d, %s, want %s", args, code, said, want)
		}
	}
	// Nothing is shown of an organization only where it is one.
	for _, what := range []string{"show", "bill", "export"} {
		if code, said := g.fails(t, "usage", what, "--org", "acne"); code != 1 || !strings.Contains(said, `did you mean \"acme\"?`) || !strings.Contains(said, "lists the organizations") {
			t.Errorf("usage %s: %d, %s", what, code, said)
		}
		g.command(t, "usage", what, "--org", "acme", "--period", "2001-01")
	}
	check := func(when string) {
		t.Helper()
		var shown struct {
			Organizations []struct{ Invocations, Adjusted int64 }
		}
		if err := json.Unmarshal([]byte(g.command(t, "usage", "show", "--period", month, "-o", "json")), &shown); err != nil {
			t.Fatal(err)
		}
		if len(shown.Organizations) != 1 || shown.Organizations[0].Invocations != 25 {
			t.Errorf("%s: %+v", when, shown)
		}
		var quota struct{ Organizations []struct{ Used int64 } }
		if err := json.Unmarshal([]byte(g.command(t, "quota", "show", "-o", "json")), &quota); err != nil {
			t.Fatal(err)
		}
		if time.Now().UTC().Format("2006-01") == month && (len(quota.Organizations) != 1 || quota.Organizations[0].Used != 25) {
			t.Errorf("%s: %+v", when, quota)
		}
		var list struct {
			Adjustments []struct {
				Units                    int64
				Reason, Operator, Region string
				At, Made                 time.Time
			}
		}
		if err := json.Unmarshal([]byte(g.command(t, "usage", "adjust", "--list", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Adjustments) != 2 || list.Adjustments[0].Units != -12 || list.Adjustments[0].Reason != "a client ran amok" || list.Adjustments[0].Operator != "ada" ||
			!list.Adjustments[0].At.Equal(hour.Truncate(time.Second)) || time.Since(list.Adjustments[0].Made) > time.Hour || list.Adjustments[1].Units != 4 {
			t.Errorf("%s: %+v", when, list)
		}
		if n := line(hour).Quantity + line(old).Quantity; n != 17 {
			t.Errorf("%s: %d are billed", when, n)
		}
	}
	check("at once")
	g.stop(syscall.SIGKILL, time.Second)
	g.start(t, c.caddyfile(g.port, g.admin))
	var said any
	adminGet(t, g, "/edge_functions/status", &said)
	check("after a kill")
}

// Gateways that share a store bill what was adjusted on one of them alike, also in hours that Redis does not keep.
func TestAdjustOnOneOfTwo(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL() + "\n" + smallPlan, project: "\t\t\torganization acme\n\t\t\tplan small",
	}
	one, two := startGateway(t, c), startGateway(t, c)
	var said any
	adminGet(t, two, "/edge_functions/status", &said)
	old := time.Now().UTC().Add(-100 * time.Hour)
	where := []string{"--project", "default", "--function", "ok", "--region", "eu-central-1", "--reason", "r", "--operator", "ada", "--at", old.Format(time.RFC3339)}
	one.command(t, append([]string{"usage", "adjust", "acme", "30"}, where...)...)
	waitUntil(t, "the other one knows", func() bool {
		l, ok := lineOf(t, two, old)
		return ok && l.Quantity == 30
	})
	two.command(t, append([]string{"usage", "adjust", "acme", "-18"}, where...)...)
	for i, g := range []*gateway{one, two} {
		waitUntil(t, fmt.Sprintf("gateway %d bills both", i), func() bool {
			l, ok := lineOf(t, g, old)
			return ok && l.Quantity == 12 && l.AmountMinor == 200 && len(strings.Fields(l.SourceInstances)) == 2
		})
	}
	if a, b := exported(t, one, old.Format("2006-01")), exported(t, two, old.Format("2006-01")); !slices.EqualFunc(a, b, func(a, b usage.Line) bool {
		return a.LineID == b.LineID && a.Quantity == b.Quantity
	}) {
		t.Errorf("one says %+v, the other %+v", a, b)
	}
	for _, g := range []*gateway{one, two} {
		reconciled(t, g, old.Format("2006-01"))
	}
	if code, text := one.fails(t, append([]string{"usage", "adjust", "acme", "-13"}, where...)...); code != 1 || !strings.Contains(text, "is billed 12 invocations in") {
		t.Errorf("%d, %s", code, text)
	}
}
