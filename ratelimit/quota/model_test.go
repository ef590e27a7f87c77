package quota

import (
	"fmt"
	"testing"
)

// The model is a small world that is walked through completely: two gateways, an authority that may lose its last
// writes, and a network that loses, repeats and delays. The rule of grants is the real one.
const (
	modelLimit   = 2
	modelNumbers = 3 // claims of each gateway
	modelFaults  = 2 // lost, repeated and timed out messages, crashes and losses of the authority, together
)

type modelGateway struct {
	granted, unspent, spent int8
	number                  int8
	waits                   int8 // for the answer to the claim of this number; 0: for none
	joined                  bool // in this epoch, as far as it knows
}

type modelLease struct {
	granted, number [2]int8
	total           int8
	asserted        [2]bool // in this epoch
	recovering      bool    // and grants nothing until all have asserted
}

type modelMessage struct {
	gateway, number, holds, wants int8
	returns, asserts, answer      bool
	granted                       int8 // of an answer
}

// world is all of a state. It is comparable: the walk goes nowhere twice.
type world struct {
	gateways [2]modelGateway
	lease    modelLease
	before   modelLease // what the authority falls back to
	messages [3]modelMessage
	faults   int8
}

// guards are the rules that the proof in docs/counting.md stands on. The test removes each of them.
type guards struct {
	spendGranted  bool // S <= C: a unit is taken only if there is one
	orderClaims   bool // a claim that arrives after a later one changes nothing
	dropBefore    bool // what is given back is nobody's before it is said
	recover       bool // an authority that recovering waits for all
	assertGranted bool // and they say what they were granted
	trustHolder   bool // who knows better than the authority how little it has
}

var allGuards = guards{true, true, true, true, true, true}

// settleModel runs the real rule on the small state.
func settleModel(l *modelLease, m modelMessage, g guards) int8 {
	rule := lease{Total: int64(l.total), Holders: make(map[string]holder)}
	names := [2]string{"0", "1"}
	for i, name := range names {
		rule.Holders[name] = holder{Granted: int64(l.granted[i]), Number: uint64(l.number[i])}
	}
	c := Claim{
		Holder: names[m.gateway],
		Number: uint64(m.number),
		Holds:  int64(m.holds),
		Wants:  int64(m.wants),
	}
	if !g.trustHolder && !m.returns {
		c.Holds = max(c.Holds, int64(l.granted[m.gateway]))
	}
	if !g.orderClaims {
		c.Number = uint64(l.number[m.gateway]) + 1
	}
	if l.recovering && g.recover {
		c.Wants = 0
	}
	rule.settle(c, modelLimit, instant{micro: 1})
	for i, name := range names {
		l.granted[i], l.number[i] = int8(rule.Holders[name].Granted), int8(rule.Holders[name].Number)
	}
	l.total = int8(rule.Total)
	if m.asserts {
		l.asserted[m.gateway] = true
		if l.asserted == [2]bool{true, true} {
			l.recovering = false
		}
	}
	return l.granted[m.gateway]
}

func (w world) send(m modelMessage) (world, bool) {
	for i := range w.messages {
		if w.messages[i] == (modelMessage{}) {
			w.messages[i] = m
			return w, true
		}
	}
	return w, false
}

// next returns all worlds that one step leads to.
func (w world) next(g guards) (all []world) {
	add := func(n world, ok bool) {
		if ok {
			all = append(all, n)
		}
	}
	for i := range w.gateways {
		self := &w.gateways[i]
		if self.unspent > 0 || !g.spendGranted && self.spent < modelLimit {
			n := w
			n.gateways[i].unspent--
			n.gateways[i].spent++
			add(n, true)
		}
		if self.waits == 0 && self.number < modelNumbers {
			n := w
			me := &n.gateways[i]
			me.number++
			me.waits = me.number
			add(n.send(modelMessage{
				gateway: int8(i),
				number:  me.number,
				holds:   me.granted,
				wants:   me.spent + 1 + me.unspent,
			}))
			if !self.joined {
				holds := me.granted
				if !g.assertGranted {
					holds = 0
				}
				add(n.send(modelMessage{
					gateway: int8(i),
					number:  me.number,
					holds:   holds,
					asserts: true,
				}))
			}
			if self.unspent > 0 {
				r := n
				back := &r.gateways[i]
				held := back.granted - back.unspent
				if g.dropBefore {
					back.granted, back.unspent = held, 0
				}
				add(r.send(modelMessage{
					gateway: int8(i),
					number:  back.number,
					holds:   held,
					returns: true,
				}))
			}
		}
		if w.faults < modelFaults {
			if self.waits != 0 { // its call timed out; what is under way stays so
				n := w
				n.gateways[i].waits = 0
				n.faults++
				add(n, true)
			}
			n := w // it is killed and starts again: it knows what is in its ledger
			n.gateways[i].granted, n.gateways[i].unspent, n.gateways[i].waits, n.gateways[i].joined = self.spent, 0, 0, false
			n.faults++
			add(n, n != w)
		}
	}
	for k, m := range w.messages {
		if m == (modelMessage{}) {
			continue
		}
		n := w
		n.messages[k] = modelMessage{}
		if m.answer {
			me := &n.gateways[m.gateway]
			if me.waits == m.number {
				me.unspent += m.granted - me.granted
				me.granted, me.waits = m.granted, 0
				me.joined = me.joined || m.asserts
			}
			add(n, true)
			continue
		}
		granted := settleModel(&n.lease, m, g)
		answered := m
		answered.answer, answered.granted = true, granted
		delivered, ok := n.send(answered)
		add(delivered, ok)
		if w.faults < modelFaults {
			n.faults++
			add(n, true) // the answer is lost
			again := delivered
			again.faults = n.faults
			add(again.send(m)) // it arrives once more, later
		}
	}
	if w.lease != w.before {
		n := w // written to the disk, or to the replica
		n.before = w.lease
		add(n, true)
		if w.faults < modelFaults {
			n := w // another server takes over, with what it has; connections end
			n.lease = w.before
			n.lease.asserted, n.lease.recovering = [2]bool{}, true
			n.before = n.lease
			n.messages = [3]modelMessage{}
			n.faults++
			for i := range n.gateways {
				n.gateways[i].waits, n.gateways[i].joined = 0, false
			}
			add(n, true)
		}
	}
	return all
}

// broken says which invariant does not hold.
func (w world) broken() string {
	spent, held := int8(0), int8(0)
	for i, g := range w.gateways {
		spent += g.spent
		held += g.granted
		if g.unspent < 0 || g.spent+g.unspent > g.granted {
			return fmt.Sprintf("gateway %d used more than it was granted", i)
		}
	}
	switch {
	case spent > modelLimit:
		return "more was used than the limit"
	case held > modelLimit:
		return "more is held than the limit"
	case !w.lease.recovering && w.lease.total > modelLimit:
		return "more was granted than the limit"
	case w.lease.total != w.lease.granted[0]+w.lease.granted[1]:
		return "the sum is not that of the grants"
	}
	return ""
}

// walk visits all worlds, or ends at the first that is broken.
func walk(g guards, most int) (visited int, broken string) {
	start := world{}
	for i := range start.gateways {
		start.gateways[i].joined = true
		start.lease.asserted[i] = true
	}
	start.before = start.lease
	seen := map[world]struct{}{start: {}}
	queue := []world{start}
	for len(queue) > 0 && len(seen) < most {
		w := queue[0]
		queue = queue[1:]
		if b := w.broken(); b != "" {
			return len(seen), fmt.Sprintf("%s: %+v", b, w)
		}
		for _, n := range w.next(g) {
			if _, known := seen[n]; !known {
				seen[n] = struct{}{}
				queue = append(queue, n)
			}
		}
	}
	return len(seen), ""
}

// modelStates is the number of worlds to visit; soak tests have more.
var modelStates = 1_000_000

func TestModel(t *testing.T) {
	visited, broken := walk(allGuards, modelStates)
	if broken != "" {
		t.Errorf("after %d worlds: %s", visited, broken)
	}
	t.Logf("%d worlds", visited)
}

// Each of the rules is needed: without it the walk finds a world that is broken.
func TestModelNeedsEachGuard(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*guards){
		"take what is not granted":      func(g *guards) { g.spendGranted = false },
		"take claims in any order":      func(g *guards) { g.orderClaims = false },
		"keep what was given back":      func(g *guards) { g.dropBefore = false },
		"grant before all have joined":  func(g *guards) { g.recover = false },
		"assert less than what is held": func(g *guards) { g.assertGranted = false },
		"have back what was given back": func(g *guards) { g.trustHolder = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := allGuards
			remove(&g)
			if visited, broken := walk(g, 8*modelStates); broken == "" {
				t.Errorf("%d worlds, and none is broken", visited)
			}
		})
	}
}
