//go:build e2e && soak

package e2e

import (
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// witnessed is how many calls are made through the upgrade of three gateways.
var witnessed = flag.Int64("witnessed", 1_000_000, "calls that TestSoakUpgrade makes")

// Contract 7.3, 7.4, 7.5: gateways of the build before lines had billing periods share a Redis and have told services what hours
// that are over used. Under load they are killed, and one after the other starts again as this build. Gateways and Redis are
// killed before, between and afterwards. No call is lost or counted twice, the quota that was half used before is exact,
// lines keep their ids, and no service is told anything again.
func TestSoakUpgrade(t *testing.T) {
	redis := redistest.Single(t, "appendonly yes")
	u := startUpgrade(t, 3, *witnessed, upgradeOptions, func(dir string) string { return "redis " + redis.URL() + " " + dir })
	u.redis = redis
	u.pastIsTold(t)
	u.callUnderKills(t, 3, 10)
	u.keepLines(t)
	for i := range u.gateways {
		u.upgrade(t, i)
		u.callUnderKills(t, int64(4+i), 10)
	}
	u.setRight(t)
	u.callUnderKills(t, 10, 10)
	u.check(t)
}

// The same of a gateway with an embedded store, which moves to Redis afterwards.
func TestSoakUpgradeEmbedded(t *testing.T) {
	redis := redistest.Single(t, "appendonly yes")
	u := startUpgrade(t, 1, *witnessed/20, upgradeOptions, func(dir string) string { return "embedded " + dir })
	u.pastIsTold(t)
	u.callUnderKills(t, 3, 10)
	u.keepLines(t)
	u.upgrade(t, 0)
	u.callUnderKills(t, 6, 10)
	u.setRight(t)
	u.store = func(dir string) string { return "redis " + redis.URL() + " " + dir }
	g := u.gateways[0]
	if status, said := load(t, g.gateway, g.config().caddyfile(g.port, g.admin)); status != 200 {
		t.Fatal(said)
	}
	u.redis = redis
	u.callUnderKills(t, 10, 10)
	u.check(t)
}

// upgraded is a gateway that begins as one of the old build.
type upgraded struct {
	*gateway
	of          *upgrading
	ledger, out string
	oldFiles    []string // exported by the old build, which wrote a line again for each of its changes
}

// config is that of now.
func (g *upgraded) config() config {
	return config{
		backends: []backend{backendOf("eu-central-1", g.of.Server)}, source: "projects file " + g.of.projects,
		options: strings.NewReplacer("STORE", g.of.store(g.ledger), "OUT", g.out, "HOOK", g.of.hookURL, "STRIPE", g.of.stripeURL).Replace(g.of.options),
	}
}

// upgradeOptions have files too, and a webhook whose name comes from its address, in another way than in the old build.
var upgradeOptions = strings.Replace(oldOptions, "name billing", "", 1) + `		export file OUT {
			format jsonl
		}
`

// callUnderKills makes part of so many parts of all calls, while gateways and Redis are killed. The quota is used up at the
// same rate.
func (u *upgrading) callUnderKills(t *testing.T, part, parts int64) {
	t.Helper()
	const clients = 3
	all, some := u.calls*part/parts, u.limit*part/parts
	running := new(sync.WaitGroup)
	began := time.Now()
	before := u.arrived["ok"].Load()
	for _, g := range u.gateways {
		for range clients {
			u.keepCalling(t, running, g.gateway, firstRef+".example.test", "ok", func(int) bool { return u.arrived["ok"].Load() < all })
		}
		u.keepCalling(t, running, g.gateway, secondRef+".example.test", "capped", func(int) bool {
			return u.arrived["capped"].Load() < min(some, u.limit) && u.arrived["ok"].Load() < all
		})
	}
	for {
		next := min(all, u.arrived["ok"].Load()+u.calls/110)
		for u.arrived["ok"].Load() < next && !t.Failed() {
			<-time.After(20 * time.Millisecond)
		}
		if next == all || t.Failed() {
			break
		}
		u.fault(t)
	}
	running.Wait()
	t.Logf("%d of %d calls, %.0f a second, %d kills of gateways and %d of Redis: %v", u.arrived["ok"].Load(), u.calls,
		float64(u.arrived["ok"].Load()-before)/time.Since(began).Seconds(), u.kills, u.redisKills, u.tally)
	if t.Failed() {
		t.FailNow()
	}
}

// fault kills a gateway, or Redis.
func (u *upgrading) fault(t *testing.T) {
	t.Helper()
	u.faults++
	switch {
	case u.redis != nil && u.faults%6 == 0:
		u.redis.Stop()
		u.redis.Start()
		u.redisKills++
	case u.redis != nil && u.faults%6 == 3:
		u.redis.Pause()
		<-time.After(time.Second)
		u.redis.Resume()
	default:
		u.restart(t, rand.IntN(len(u.gateways)))
	}
}

// restart kills a gateway and starts it again.
func (u *upgrading) restart(t *testing.T, i int) {
	t.Helper()
	g := u.gateways[i]
	g.stop(syscall.SIGKILL, time.Second)
	g.start(t, g.config().caddyfile(g.port, g.admin))
	u.kills++
}

// upgrade kills a gateway of the old build under load, and starts this build in its place.
func (u *upgrading) upgrade(t *testing.T, i int) {
	t.Helper()
	running := new(sync.WaitGroup)
	enough := u.arrived["ok"].Load() + u.calls/100
	for _, g := range u.gateways {
		u.keepCalling(t, running, g.gateway, firstRef+".example.test", "ok", func(int) bool { return u.arrived["ok"].Load() < enough })
	}
	g := u.gateways[i]
	g.stop(syscall.SIGKILL, time.Second)
	g.file, g.oldFiles = "", g.files(t)
	g.start(t, g.config().caddyfile(g.port, g.admin))
	u.kills++
	running.Wait()
	t.Logf("gateway %d is of this build", i)
}

// months are those in which anything was used.
func (u *upgrading) months() (all []string) {
	for _, at := range []time.Time{u.began.Add(-27 * time.Hour), u.began.Add(-3 * time.Hour), time.Now()} {
		if month := at.UTC().Format("2006-01"); len(all) == 0 || all[len(all)-1] != month {
			all = append(all, month)
		}
	}
	return all
}

// files are what a gateway exported into files.
func (g *upgraded) files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(g.out, "usage-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
