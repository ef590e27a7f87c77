package quota

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// lossNode is a gateway of a lossWorld: what is in its memory, and on its disk.
type lossNode struct {
	name           string
	on, lost       bool // lost: with its disk, and for ever
	replaced       bool // by one with another directory
	joined         int  // the epoch
	seen           int  // the latest epoch, in memory
	granted, spent int64
	number         uint64
	grace          knownGrace
	exhausted      bool
	others         *others
	kept           []byte // of others; on the disk, as spent is
}

func (n *lossNode) unspent() int64 { return n.granted - n.spent }

// lossWorld is gateways and an authority that loses all, or a part, of what it knew, while some of them are off. The rules of
// grants and of what one remembers of others are the real ones.
type lossWorld struct {
	t       *rapid.T
	limit   int64
	length  time.Duration // of a grace
	forgets bool          // nobody remembers what others hold: the rule that is tested, left out
	clock   time.Duration
	wall    int // the clock of the authority, which is set as one likes
	epoch   int // 0: it has lost all, and nobody has asked since
	lease   lease
	copies  []lease // of earlier
	sent    []Claim // in this epoch
	nodes   []*lossNode
	inGrace int64         // units used without a grant
	began   time.Duration // of the grace; -1: it has not begun
	broken  string
}

var lossPeriod = metering.Cycle{}.At(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))

func newLossWorld(t *rapid.T) *lossWorld {
	w := &lossWorld{
		t:      t,
		limit:  rapid.Int64Range(1, 60).Draw(t, "limit"),
		length: time.Duration(rapid.IntRange(0, 20).Draw(t, "grace")) * time.Second,
		clock:  time.Hour,
		epoch:  1,
		lease:  lease{Holders: make(map[string]holder)},
		began:  -1,
	}
	for i := range 4 {
		w.nodes = append(w.nodes, &lossNode{name: fmt.Sprint(i), on: true, joined: 1, seen: 1, others: newOthers()})
	}
	return w
}

func (w *lossWorld) instant() instant {
	return instant{micro: w.clock.Microseconds(), boot: "run", up: w.clock.Microseconds()}
}

func (w *lossWorld) moment() moment {
	return moment{billing: lossPeriod.Start.Add(w.clock), elapsed: w.clock, machine: w.instant()}
}

// settle gives a claim to the authority; nobody is granted anything before it has joined.
func (w *lossWorld) settle(n *lossNode, c Claim) Answer {
	if n.joined != w.epoch {
		c.Wants = 0
	}
	c.Organization, c.Period = "acme", lossPeriod
	limit := w.limit
	if c.Limit == noLimit {
		limit = noLimit
	}
	w.sent = append(w.sent, c)
	return w.lease.settle(c, limit, w.instant())
}

// claim sends what a node holds, and wants in all.
func (w *lossWorld) claim(n *lossNode, wants int64) {
	n.number++
	c := Claim{
		Holder:  n.name,
		Number:  n.number,
		Holds:   n.granted,
		Wants:   wants,
		Starved: wants > n.granted && n.unspent() <= 0,
		Grace:   n.grace.from(w.clock),
	}
	if c.Grace.ID == "" {
		c.Grace = n.others.grace(lossPeriod.ID, "acme", w.clock)
	}
	a := w.settle(n, c)
	if n.joined != w.epoch {
		return
	}
	n.granted = a.Granted
	n.grace.hear(a.Grace, w.clock)
	if n.exhausted = a.Exhausted; n.exhausted && w.began < 0 {
		w.began = w.clock
	}
}

func (w *lossWorld) use(n *lossNode) {
	switch {
	case n.unspent() > 0:
		n.spent++
	case n.exhausted && w.clock-n.grace.at < w.length:
		n.spent++
		n.granted++
		w.inGrace++
		if w.clock-w.began >= w.length+time.Second {
			w.broken = fmt.Sprintf("the grace began at %s, and %s later a call passes", w.began, w.clock-w.began)
		}
	}
	used := int64(0)
	for _, n := range w.nodes {
		used += n.spent
	}
	if used-w.inGrace > w.limit {
		w.broken = fmt.Sprintf("%d were granted and used", used-w.inGrace)
	}
}

// learn has a node ask what others hold.
func (w *lossWorld) learn(n *lossNode) {
	if n.joined != w.epoch || w.forgets {
		return
	}
	news := News{Windows: []WindowNews{w.news()}}
	n.others.learn(&news, w.clock, []string{n.name})
	if text := n.others.text(w.moment()); text != nil {
		n.kept = text
	}
}

// news is what the authority says of all.
func (w *lossWorld) news() WindowNews {
	news := WindowNews{Organization: "acme", Period: lossPeriod.ID, Grants: make(map[string]Grant)}
	for name, h := range w.lease.Holders {
		news.Grants[name] = Grant{Holds: h.Granted, Number: h.Number}
	}
	if g := w.lease.Grace; g != nil {
		now := *g
		now.advance(w.instant())
		news.Grace = now.grace()
	}
	return news
}

// oneShard is an EpochAuthority of which only the shards count.
type oneShard struct{ EpochAuthority }

func (oneShard) Shard(string) int { return 0 }

// join says what a node holds and what it knows of others, and joins the epoch.
func (w *lossWorld) join(n *lossNode) {
	w.claim(n, 0)
	news := w.news()
	for _, c := range n.others.claims(0, oneShard{}, w.moment()) {
		if news.Grants[c.Holder].Number < c.Number || c.Grace.ID != "" && news.Grace.ID == "" {
			w.settle(n, c)
		}
	}
	n.joined = w.epoch
	w.claim(n, 0)
}

// start starts a node on its disk.
func (w *lossWorld) start(n *lossNode) {
	n.on, n.joined, n.seen, n.granted, n.exhausted, n.grace = true, 0, 0, n.spent, false, knownGrace{}
	n.number += 1000 // as Ledger.Numbers
	n.others = parseOthers(n.kept, w.moment())
}

// known reports whether of each node that is off one that is on has on its disk what it was granted last, and of the grace too:
// what the promise assumes.
func (w *lossWorld) known() bool {
	know := func(holder string, number uint64) bool {
		return slices.ContainsFunc(w.nodes, func(n *lossNode) bool {
			o := parseOthers(n.kept, w.moment()).windows[lossPeriod.ID+"|acme"]
			return n.on && o != nil && o.Grants[holder].Number >= number && (w.lease.Grace == nil || o.Grace != nil)
		})
	}
	on := 0
	for _, n := range w.nodes {
		if n.on {
			on++
		} else if h, ok := w.lease.Holders[n.name]; ok && !know(n.name, h.Number) {
			return false
		}
	}
	return on > 0 && (w.lease.Grace == nil || know("", 0))
}

// ask has a node find the epoch of the authority, which begins another one if it knows of none or the node has seen a later one:
// the rule of claim.lua.
func (w *lossWorld) ask(n *lossNode) {
	if w.epoch == 0 || n.seen > w.epoch {
		w.epoch = max(w.wall, n.seen+1)
	}
	n.seen = max(n.seen, w.epoch)
}

// lose sets the authority to what is left, and its clock. All that run say what they know, some of them after a restart, before
// anybody is granted anything.
func (w *lossWorld) lose(left lease) {
	w.lease, w.sent, w.epoch = left, nil, 0
	w.wall = rapid.IntRange(1, 1000).Draw(w.t, "wall")
	for _, n := range w.nodes {
		for n.seen == w.wall {
			w.wall += 1000 // the same microsecond does not come twice
		}
	}
	order := rapid.Permutation(w.nodes).Draw(w.t, "order")
	for _, n := range order {
		if n.on && rapid.Bool().Draw(w.t, "restarts") {
			w.start(n)
		}
	}
	for range 2 { // the first to ask may have seen less than others
		for _, n := range order {
			if !n.on {
				continue
			}
			if w.ask(n); n.joined != w.epoch {
				w.claim(n, n.granted+5) // is granted nothing
				w.join(n)
			}
		}
	}
	for _, n := range w.nodes {
		if n.on && n.joined != n.seen {
			w.broken = fmt.Sprintf("a gateway has seen epoch %d, and is in %d: it is granted nothing", n.seen, n.joined)
		}
	}
}

func (l *lease) clone() lease {
	c := *l
	c.Holders = maps.Clone(l.Holders)
	if l.Grace != nil {
		c.Grace = new(*l.Grace)
	}
	return c
}

func (w *lossWorld) node(which func(*lossNode) bool) *lossNode {
	some := slices.DeleteFunc(slices.Clone(w.nodes), func(n *lossNode) bool { return !which(n) })
	if len(some) == 0 {
		w.t.Skip("no such node")
	}
	return rapid.SampledFrom(some).Draw(w.t, "node")
}

func isOn(n *lossNode) bool { return n.on }

func (w *lossWorld) run() {
	w.t.Repeat(map[string]func(*rapid.T){
		"use": func(t *rapid.T) {
			n := w.node(isOn)
			for range rapid.IntRange(1, 9).Draw(t, "calls") {
				w.use(n)
			}
		},
		"claim":     func(t *rapid.T) { n := w.node(isOn); w.claim(n, n.spent+rapid.Int64Range(1, 20).Draw(t, "more")) },
		"give back": func(*rapid.T) { n := w.node(isOn); n.granted = n.spent; w.claim(n, 0) },
		"learn":     func(*rapid.T) { w.learn(w.node(isOn)) },
		"all learn": func(*rapid.T) {
			for _, n := range w.nodes {
				if n.on {
					w.learn(n)
				}
			}
		},
		"end":  func(*rapid.T) { n := w.node(isOn); n.granted = n.spent; w.claim(n, 0); n.on = false },
		"kill": func(*rapid.T) { w.node(isOn).on = false },
		"return": func(*rapid.T) {
			n := w.node(func(n *lossNode) bool { return !n.on && !n.lost })
			w.start(n)
			w.ask(n)
			w.join(n)
		},
		"new": func(*rapid.T) { // one with another directory takes the place of one that is lost
			w.node(func(n *lossNode) bool { return n.lost && !n.replaced }).replaced = true
			n := &lossNode{name: fmt.Sprint(len(w.nodes)), on: true, others: newOthers()}
			w.nodes = append(w.nodes, n)
			w.ask(n)
			w.join(n)
		},
		"lost": func(*rapid.T) { w.node(func(n *lossNode) bool { return !n.on }).lost = true },
		"pass": func(t *rapid.T) { w.clock += time.Duration(rapid.IntRange(1, 9).Draw(t, "seconds")) * time.Second },
		"repeat": func(t *rapid.T) { // a claim arrives once more, late
			if len(w.sent) > 0 {
				w.lease.settle(rapid.SampledFrom(w.sent).Draw(t, "claim"), w.limit, w.instant())
			}
		},
		"copy": func(*rapid.T) { w.copies = append(w.copies, w.lease.clone()) },
		"flush": func(*rapid.T) {
			if w.forgets || w.known() {
				w.lose(lease{Holders: make(map[string]holder)})
			}
		},
		"restore": func(t *rapid.T) {
			if len(w.copies) > 0 && (w.forgets || w.known()) {
				left := rapid.SampledFrom(w.copies).Draw(t, "copy")
				w.lose(left.clone())
			}
		},
		"": func(t *rapid.T) {
			if w.broken != "" && !w.forgets {
				t.Fatal(w.broken)
			}
		},
	})
}

// However an authority loses what it knew, and whoever is off then, returns or never does: nobody is granted more than the
// limit, and the grace ends when it should.
func TestModelOfLosses(t *testing.T) {
	for range 20 {
		rapid.Check(t, func(t *rapid.T) { newLossWorld(t).run() })
	}
}

// If nobody remembered what others hold, the same walk would find more granted than the limit.
func TestModelOfLossesNeedsMemory(t *testing.T) {
	broken := 0
	for range 20 {
		rapid.Check(t, func(t *rapid.T) {
			w := newLossWorld(t)
			w.forgets = true
			if w.run(); w.broken != "" {
				broken++
			}
		})
	}
	if broken == 0 {
		t.Error("nothing is broken without it")
	}
}
