//go:build e2e && soak

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// upgrading is some gateways that are upgraded, the services that they tell, and a witness of all calls.
type upgrading struct {
	*tally
	old      oldPrograms
	gateways []*upgraded
	options  string // global ones, with capital letters where gateways differ
	store    func(dir string) string
	redis    *redistest.Server // once it is the store
	calls    int64             // to be made
	limit    int64             // of the second organization
	began    time.Time
	cycle    time.Time // where the second organization's billing period begins

	stripe             *fakesinks.Stripe
	hook               *fakesinks.Receiver
	stripeURL, hookURL string
	projects           string // the projects file

	past                      int64 // used before the test began, adjusted
	lines                     []usage.Line
	faults, kills, redisKills int
}

// startUpgrade starts gateways of the old build, which have used something some hours ago.
func startUpgrade(t *testing.T, gateways int, calls int64, options string, store func(dir string) string) *upgrading {
	t.Helper()
	old, err := olds()
	if err != nil {
		t.Fatal(err)
	}
	u := &upgrading{
		tally: startTally(t, calls*2+100_000, "ok", "capped"), old: old, options: options, store: store, calls: calls, limit: calls / 20, began: time.Now(),
		stripe: &fakesinks.Stripe{Key: "sk_test_e2e", Meters: []string{"edge_invocations", "edge_invocations_overage"}, Customers: map[string]bool{"cus_acme": true, "cus_globex": true}},
		hook:   &fakesinks.Receiver{Path: "/usage", Secret: hookSecret},
	}
	u.cycle = u.began.Add(-24 * time.Hour).UTC().Truncate(time.Second)
	stripe, hook := httptest.NewServer(u.stripe), httptest.NewServer(u.hook)
	t.Cleanup(stripe.Close)
	t.Cleanup(hook.Close)
	u.stripeURL, u.hookURL = stripe.URL, hook.URL
	u.projects = filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, u.projects, softAndHard(u.limit, u.cycle))
	for i := range gateways {
		g := &upgraded{gateway: prepareGateway(t), of: u, ledger: t.TempDir(), out: filepath.Join(t.TempDir(), "usage")}
		g.file = old.gateway
		uses := []oldUse{{27 * time.Hour, 60 + i}, {3 * time.Hour, 80 + i}}
		old.leave(t, g.ledger, uses...)
		for _, use := range uses {
			u.past += int64(use.invocations)
		}
		g.start(t, g.config().caddyfile(g.port, g.admin))
		u.gateways = append(u.gateways, g)
	}
	return u
}

// by runs a command of a binary against a gateway.
func (g *upgraded) by(t *testing.T, binary string, args ...string) (string, error) {
	t.Helper()
	return said(t, binary, append(args, "--address", fmt.Sprintf("127.0.0.1:%d", g.admin))...)
}

// told waits until the services have so much of the first organization. Whoever it is the turn of sends at once.
func (u *upgrading) told(t *testing.T, binary string, what string, want int64) {
	t.Helper()
	waitLong(t, fmt.Sprintf("%s, %d: services have %d and %d", what, want, u.stripe.Sum("edge_invocations", "cus_acme"), u.hook.Added("acme")), func() bool {
		for _, g := range u.gateways {
			_, _ = g.by(t, binary, "usage", "push") // its exit code says what its state says
		}
		return u.stripe.Sum("edge_invocations", "cus_acme") == want && u.hook.Added("acme") == want
	})
}

// waitLong is waitUntil for what a busy machine takes minutes for.
func waitLong(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(4 * time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// pastIsTold waits until the old build has told the services of the past, and an adjustment of it.
func (u *upgrading) pastIsTold(t *testing.T) {
	t.Helper()
	u.told(t, u.old.gateway, "the past", u.past)
	u.adjust(t, u.old.gateway, "-7")
	u.past -= 7
	u.told(t, u.old.gateway, "the past with an adjustment", u.past)
}

// adjust changes what the first gateway used three hours before the test began.
func (u *upgrading) adjust(t *testing.T, binary, units string) {
	t.Helper()
	_, err := u.gateways[0].by(t, binary, "usage", "adjust", "acme", units, "--at", u.began.Add(-3*time.Hour).Format(time.RFC3339),
		"--project", firstRef, "--function", "ok", "--region", "eu-central-1", "--reason", "a test", "--operator", "ada")
	if err != nil {
		t.Fatal(err)
	}
}

// setRight adjusts the same hour by this build: only the difference is told.
func (u *upgrading) setRight(t *testing.T) {
	t.Helper()
	u.adjust(t, shared.binary, "5")
	u.past += 5
	waitLong(t, "the correction is told", func() bool {
		for _, g := range u.gateways {
			_, _ = g.by(t, shared.binary, "usage", "push")
		}
		return u.hook.Added("acme") >= u.past && u.stripe.Sum("edge_invocations", "cus_acme") >= u.past
	})
}

// export is what a gateway bills in all months of the test.
func (u *upgrading) export(t *testing.T, g *upgraded, binary string) []usage.Line {
	t.Helper()
	lines, err := u.tryExport(t, g, binary)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func (u *upgrading) tryExport(t *testing.T, g *upgraded, binary string) (lines []usage.Line, err error) {
	t.Helper()
	for _, month := range u.months() {
		out, err := g.by(t, binary, "usage", "export", "--format", "jsonl", "--period", month)
		if err != nil {
			return nil, err
		}
		lines = append(lines, linesOf(t, out)...)
	}
	return lines, nil
}

// keepLines keeps what the old build says of hours that are over.
func (u *upgrading) keepLines(t *testing.T) {
	t.Helper()
	for _, l := range u.export(t, u.gateways[0], u.old.gateway) {
		if l.State != usage.Provisional {
			u.lines = append(u.lines, l)
		}
	}
	if len(u.lines) < 2 {
		t.Fatalf("the old build has %d lines of hours that are over", len(u.lines))
	}
}

// spendAll uses up the hard quota, and checks that it is one.
func (u *upgrading) spendAll(t *testing.T) {
	t.Helper()
	running := new(sync.WaitGroup)
	deadline := time.Now().Add(3 * time.Minute)
	for _, g := range u.gateways {
		refused := 0
		u.keepCalling(t, running, g.gateway, secondRef+".example.test", "capped", func(last int) bool {
			if last == http.StatusPaymentRequired && (u.arrived["capped"].Load() >= u.limit || time.Now().After(deadline)) {
				refused++
			}
			return refused < 20
		})
	}
	running.Wait()
	// Calls that were counted when a gateway was killed, and had not left it, are of the quota too.
	if least, most := u.between("capped"); least > u.limit || most < u.limit {
		t.Errorf("%d to %d calls were made of a quota of %d", least, most, u.limit)
	}
}

// check checks that all accounts agree with the witness, and with one another.
func (u *upgrading) check(t *testing.T) {
	t.Helper()
	u.spendAll(t)
	least, most := u.between("ok")
	leastCapped, mostCapped := u.between("capped")
	sums := func(lines []usage.Line) (acme, globex int64) {
		for _, l := range lines {
			switch l.AccountID {
			case "acme":
				acme += l.Quantity
			case "globex":
				globex += l.Quantity
			}
		}
		return acme - u.past, globex
	}
	lines := make([][]usage.Line, len(u.gateways))
	said := make([]string, len(u.gateways))
	defer func() { t.Logf("the gateways bill %q; %v", said, u.tally) }()
	waitLong(t, fmt.Sprintf("all gateways bill %d to %d, and %d to %d", least, most, leastCapped, mostCapped), func() bool {
		for i, g := range u.gateways {
			var err error
			if lines[i], err = u.tryExport(t, g, shared.binary); err != nil { // Redis may be slow for a moment
				return false
			}
			acme, globex := sums(lines[i])
			said[i] = fmt.Sprint(acme, globex)
			if acme < least || acme > most || globex < leastCapped || globex > mostCapped || said[i] != said[0] {
				return false
			}
		}
		return true
	})
	acme, globex := sums(lines[0])
	t.Logf("lost: %d; counted twice: %d; billed %d of %d calls that arrived; of the quota of %d, %d of %d; %d lines, %d kills of gateways, %d of Redis",
		max(0, least-acme)+max(0, leastCapped-globex), max(0, acme-most)+max(0, globex-mostCapped), acme, least, u.limit, globex, leastCapped, len(lines[0]), u.kills, u.redisKills)
	for i := range lines {
		for n, l := range lines[i] {
			if n >= len(lines[0]) || content(l) != content(lines[0][n]) {
				t.Errorf("gateway %d has the line\n%+v\n%+v, gateway 0 has", i, l, lines[0][min(n, len(lines[0])-1)])
			}
		}
	}
	u.linesAreTheSame(t, lines[0])
	u.sinksHave(t, lines[0])
	for _, g := range u.gateways {
		for _, month := range u.months() {
			if _, err := g.by(t, shared.binary, "usage", "reconcile", "--deep", "--period", month); err != nil {
				t.Error(err)
			}
		}
		if _, err := g.by(t, shared.binary, "usage", "verify"); err != nil {
			t.Error(err)
		}
	}
}

// content is what all gateways say of a line. How often it changed before depends on when each heard of the others.
func content(l usage.Line) usage.Line {
	l.Revision, l.SHA256 = min(l.Revision, 1), ""
	if l.State == usage.Correction {
		l.State = usage.Final
	}
	return l
}

// linesAreTheSame checks that those of the old build keep their ids, and that there are new ones.
func (u *upgrading) linesAreTheSame(t *testing.T, lines []usage.Line) {
	t.Helper()
	now, schemas := make(map[string]usage.Line), make(map[string]int)
	for _, l := range lines {
		if _, twice := now[l.LineID]; twice {
			t.Errorf("two lines have the id of %+v", l)
		}
		now[l.LineID] = l
		schemas[l.Schema]++
		if !l.Intact() {
			t.Errorf("the digest of %+v is wrong", l)
		}
	}
	if schemas[usage.SchemaV1] == 0 || schemas[usage.Schema] == 0 {
		t.Errorf("lines have the schemas %v", schemas)
	}
	for _, before := range u.lines {
		after := now[before.LineID]
		adjusted := before.WindowStart.Equal(u.began.Add(-3 * time.Hour).UTC().Truncate(time.Hour))
		if adjusted && before.Quantity+5 == after.Quantity && before.Revision < after.Revision {
			continue
		}
		if adjusted || before != after && before.CumBefore == after.CumBefore {
			t.Errorf("before: %+v\nafter: %+v", before, after)
		}
	}
}

// sinksHave checks that each service has what is billed of hours that are over, once.
func (u *upgrading) sinksHave(t *testing.T, lines []usage.Line) {
	t.Helper()
	want := make(map[string]int64)
	for _, l := range lines {
		if l.State != usage.Provisional {
			want[l.AccountID] += l.Quantity
		}
	}
	u.told(t, shared.binary, "what is billed of hours that are over", want["acme"])
	if n := u.stripe.Sum("edge_invocations", "cus_globex"); n != want["globex"] {
		t.Errorf("Stripe has %d of globex, billed are %d", n, want["globex"])
	}
	for organization, n := range want {
		if latest, _, _ := u.hook.Latest(organization); latest != n || u.hook.Added(organization) != n {
			t.Errorf("the webhook has %d of %s, %d by differences, billed are %d", latest, organization, u.hook.Added(organization), n)
		}
	}
	for i, g := range u.gateways {
		latest, revisions := make(map[string]usage.Line), make(map[string]string)
		for _, file := range g.files(t) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range linesOf(t, string(text)) {
				name := fmt.Sprint(l.LineID, l.Revision)
				if before := revisions[name]; before != "" && !slices.Contains(g.oldFiles, file) {
					t.Errorf("gateway %d has %s in %s and in %s", i, name, before, file)
				}
				revisions[name] = fmt.Sprintf("%s as %+v", file, l)
				if l.Revision > latest[l.LineID].Revision {
					latest[l.LineID] = l
				}
			}
		}
		got := make(map[string]int64)
		for _, l := range latest {
			got[l.AccountID] += l.Quantity
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("gateway %d has %v in files, billed are %v", i, got, want)
		}
	}
}
