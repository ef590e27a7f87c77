//go:build e2e

package billing

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// copies is a witness of gateways with one Redis, whose directories are copied and set back.
type copies struct {
	t          *testing.T
	url        string
	hard, open string // organizations, with a hard quota of limit and with none
	made       map[string]int64
	gateways   []*gateway
}

// limit is the hard quota.
const limit = 200

var hardQuota = quota.Allowance{Quota: limit, Hard: true}

func (c *copies) start(dir string) *gateway {
	c.t.Helper()
	g := &gateway{NewEngine(dir), c.t}
	g.Use(&plan{accounts: []Account{account(c.hard, hardQuota, pays), account(c.open, soft, pays)}})
	g.store(c.url)
	c.t.Cleanup(g.end)
	c.gateways = append(c.gateways, g)
	return g
}

// try makes a call, if the gateway lets it pass.
func (c *copies) try(g *gateway, organization string, allowance quota.Allowance) error {
	c.t.Helper()
	r := g.Receive()
	err := r.Take(c.t.Context(), organization, &allowance)
	if err == nil {
		d := Dispatch{Subject: metering.Subject{Organization: organization, Project: "p", Function: "f"}, Slug: "f", Region: "eu"}
		if err := r.Send(&d); err != nil {
			c.t.Fatal(err)
		}
		c.made[organization]++
	}
	if err := r.Finish(metering.Ending{Status: 200}); err != nil {
		c.t.Fatal(err)
	}
	return err
}

// call makes calls of both organizations. Those of the hard quota are tried for a while, until they are granted.
func (c *copies) call(g *gateway, n int) {
	c.t.Helper()
	for range n {
		if err := c.try(g, c.open, soft); err != nil {
			c.t.Fatal(err)
		}
		var err error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			if err = c.try(g, c.hard, hardQuota); err == nil || errors.Is(err, quota.ErrExhausted) {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		if err != nil && !errors.Is(err, quota.ErrExhausted) {
			c.t.Fatal(err)
		}
	}
}

// check compares the bill of a gateway that saw nothing of all this with the calls that were made. all says that no unit of
// the quota is held by a gateway that has ended.
func (c *copies) check(all bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); all && c.made[c.hard] < limit && time.Now().Before(deadline); {
		for _, g := range c.gateways {
			if g.Engine != nil {
				_ = c.try(g, c.hard, hardQuota)
			}
		}
	}
	if made := c.made[c.hard]; made > limit || all && made < limit {
		c.t.Errorf("%d calls passed a quota of %d", made, limit)
	}
	witness := c.start(c.t.TempDir())
	for _, g := range append(c.gateways, witness) {
		billed := make(map[string]int64)
		for deadline := time.Now().Add(20 * time.Second); g.Engine != nil && time.Now().Before(deadline); {
			if _, err := g.Update(c.t.Context()); err != nil {
				c.t.Fatal(err)
			}
			clear(billed)
			for l, err := range g.opened.Load().lines.Lines(func(organization, _ string) bool { return c.made[organization] > 0 }) {
				if err != nil {
					c.t.Fatal(err)
				}
				billed[l.AccountID] += l.Quantity
			}
			if billed[c.hard] == c.made[c.hard] && billed[c.open] == c.made[c.open] {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		if g.Engine != nil && (billed[c.hard] != c.made[c.hard] || billed[c.open] != c.made[c.open]) {
			c.t.Errorf("gateway %s bills %v, and %v were made", g.opened.Load().ledger.Instance(), billed, c.made)
		}
	}
}

// sent waits until Redis has all sums of a gateway.
func (c *copies) sent(g *gateway) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		_, err := g.Shared().Mirror().Flush(c.t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatal(err)
		}
	}
}

// setBack makes the files of a directory those of a copy. The folders stay, as in a snapshot of the disk.
func setBack(t *testing.T, dir, to string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
	if err == nil {
		err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(to, path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), text, 0o600)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever copies of a directory run, and however old the copy is to which one was set back: each call is billed once, by all
// gateways alike, and a hard quota is not passed.
func TestRedisCopiedDirectories(t *testing.T) {
	t.Parallel()
	histories := map[string]func(c *copies, dir string) (all bool){
		"while it is in use": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			c.sent(original)
			second := c.start(copied(c.t, dir))
			for range 5 {
				c.call(second, 7)
				c.call(original, 3)
			}
			return true
		},
		"an older one, while it is in use": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			older := copied(c.t, dir)
			c.call(original, 40)
			c.sent(original)
			second := c.start(older)
			for range 5 {
				c.call(second, 20)
				c.call(original, 20)
			}
			return true
		},
		"at rest, and both start": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			original.end()
			second, original := c.start(copied(c.t, dir)), c.start(dir)
			for range 5 {
				c.call(second, 20)
				c.call(original, 20)
			}
			return true
		},
		"and the original starts again while the copy counts": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			c.sent(original)
			second := c.start(copied(c.t, dir))
			original.end()
			c.call(second, 30)
			c.sent(second)
			original = c.start(dir)
			c.call(original, 30)
			second.end()
			c.call(original, 100)
			return true
		},
		"and goes on from the copy alone": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			original.end()
			c.call(c.start(copied(c.t, dir)), 180)
			return true
		},
		"set back to an older one, elsewhere": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			older := copied(c.t, dir)
			c.call(original, 40)
			c.sent(original)
			original.end()
			second := c.start(older)
			c.call(second, 200)
			second.end()
			c.call(c.start(older), 20)
			return false
		},
		"set back to an older one, in its place": func(c *copies, dir string) bool {
			original := c.start(dir)
			c.call(original, 20)
			c.sent(original)
			older := copied(c.t, dir)
			c.call(original, 40)
			c.sent(original)
			original.end()
			setBack(c.t, dir, older)
			again := c.start(dir)
			c.call(again, 200)
			if _, err := again.Update(c.t.Context()); err != nil {
				c.t.Fatal(err)
			}
			again.end()
			if found, err := findingsAt(dir); err != nil || len(found) > 0 {
				c.t.Errorf("at rest: %+v, %v", found, err)
			}
			return false
		},
	}
	for store, open := range map[string]func(t *testing.T) string{
		"single":   func(t *testing.T) string { return redistest.Single(t, "appendonly yes").URL() },
		"sentinel": func(t *testing.T) string { return redistest.Sentinel(t, 1).URL() },
		"cluster":  func(t *testing.T) string { return redistest.Cluster(t, 3).URL() },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel() // they wait, mostly
			url, n := open(t), 0
			for name, history := range histories {
				n++
				t.Run(name, func(t *testing.T) {
					c := &copies{
						t:    t,
						url:  url,
						hard: fmt.Sprintf("hard%d", n),
						open: fmt.Sprintf("open%d", n),
						made: make(map[string]int64),
					}
					c.check(history(c, t.TempDir()))
				})
			}
		})
	}
}

// Redis is away when a gateway starts on files that were set back in their place: what was counted is not undone when Redis
// answers again, and no unit of a hard quota is granted; other calls go on. It says so, and what mends it: a start.
func TestRedisCopyFoundLate(t *testing.T) {
	server := redistest.Single(t, "appendonly yes")
	c := &copies{t: t, url: server.URL(), hard: "hard", open: "open", made: make(map[string]int64)}
	dir := t.TempDir()
	g := c.start(dir)
	c.call(g, 20)
	c.sent(g)
	older := copied(t, dir)
	c.call(g, 40)
	c.sent(g)
	g.end()
	setBack(t, dir, older)
	server.Stop()
	g = c.start(dir)
	made := maps.Clone(c.made)
	if err := c.try(g, c.open, soft); err != nil {
		t.Fatal(err)
	}
	server.Start()
	for deadline := time.Now().Add(20 * time.Second); g.Shared().Mirror().Copied() == nil && time.Now().Before(deadline); {
		<-time.After(20 * time.Millisecond)
	}
	if state, err := g.LedgerState(time.Now()); state != StateDegraded || !errors.Is(err, metering.ErrCopied) {
		t.Errorf("the ledger is %s, %v", state, err)
	}
	if err := c.try(g, c.hard, hardQuota); !errors.Is(err, quota.ErrUnavailable) || !errors.Is(err, metering.ErrCopied) {
		t.Errorf("a unit of the hard quota: %v", err)
	}
	if err := c.try(g, c.open, soft); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Update(t.Context()); !errors.Is(err, metering.ErrCopied) {
		t.Errorf("it makes bills: %v", err)
	}
	if err := g.Close(); !errors.Is(err, metering.ErrCopied) {
		t.Errorf("it ends with %v", err)
	}
	g.Engine = nil
	c.made = made // but for what it counted meanwhile
	c.call(c.start(dir), 200)
	c.check(false)
}
