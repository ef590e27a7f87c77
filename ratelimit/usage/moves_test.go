package usage_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// counted is what a gateway counted in an hour under a ledger.
type counted struct {
	gateway, ledger string
	hour            int
}

// mover is a gateway that shares a store or is alone, and tells services what it knows.
type mover struct {
	*rig
	name   string
	joiner *usage.Joiner
	ledger string // under which it counts; "shared" in the store
	alone  bool
	own    map[counted]int64
	known  map[counted]int64 // of all
}

// moves are gateways that leave a store and join it again.
type moves struct {
	t      *testing.T
	random *rand.Rand
	conn   *redisconn.Conn
	sinks  []*sink
	all    []*mover
	store  map[counted]int64 // what the store has of all
	ledger int
}

func (m *moves) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// any is one of the gateways.
func (m *moves) any() *mover { return m.all[m.random.IntN(len(m.all))] }

// update brings what a gateway counted to the others, if it shares the store, and its lines up to date.
func (m *moves) update(g *mover) {
	m.t.Helper()
	if !g.alone {
		m.must(g.joiner.Join(g.t.Context(), time.Time{}))
		maps.Copy(m.store, g.own)
		maps.Copy(g.known, m.store)
		m.must(g.joiner.Note(g.t.Context()))
	}
	maps.Copy(g.known, g.own)
	var sums []usage.Sum
	for of, n := range g.known {
		start := g.start.Add(time.Duration(of.hour) * time.Hour)
		sums = append(sums, usage.Sum{
			Key: usage.Key{
				Organization: "acme", Period: "2026-11", Start: start, End: start.Add(time.Hour), Project: "p", Function: "f", Region: "eu",
				Origin: metering.Origin{Ledger: of.ledger, Form: metering.FormPeriod},
			},
			Sources: []usage.Source{{Instance: of.gateway, First: 1, Invocations: n, Completed: n}},
		})
	}
	g.rig.update(sums)
}

// tell is a round of all services at a gateway.
func (m *moves) tell(g *mover) (err error) {
	m.t.Helper()
	m.update(g)
	for _, s := range m.sinks {
		o := g.outbox(s)
		if o.Alone, err = g.store.SharedAs(); err != nil {
			return err
		}
		if !g.alone {
			m.must(g.joiner.Complete(g.t.Context()))
			o.Pages, o.Alone = usage.NewSharedPages(g.store, m.conn), g.joiner.StoreID()
			m.must(o.Recheck(g.t.Context(), s.service))
		}
		_, roundErr := o.Run(g.t.Context(), s.service)
		err = errors.Join(err, roundErr)
	}
	return err
}

// leave has a gateway be alone. It takes with it what all told, and counts under a ledger of its own.
func (m *moves) leave(g *mover) {
	m.t.Helper()
	if g.alone {
		return
	}
	m.update(g)
	for _, s := range m.sinks {
		m.must(usage.NewSharedPages(g.store, m.conn).Follow(g.t.Context(), s.service.Name()))
	}
	m.must(g.joiner.Left())
	m.ledger++
	g.alone, g.ledger = true, fmt.Sprintf("%c%d", "az"[m.random.IntN(2)], m.ledger)
}

// join has a gateway share the store again.
func (m *moves) join(g *mover) {
	g.alone, g.ledger = false, "shared"
	m.update(g)
}

// However gateways leave a store and join it again, also several at once, while services fail: once all share it, each service has
// what is billed, meters that keep the last event of an hour too.
func TestOutboxMoves(t *testing.T) {
	for seed := range uint64(moveSeeds) {
		_, conn := openHashes(t)
		m := &moves{
			t:      t,
			random: rand.New(rand.NewPCG(seed, 14)),
			conn:   conn,
			sinks:  servers(t, same, 3),
			store:  make(map[counted]int64),
		}
		const hours = 20
		for i := range 3 {
			g := &mover{rig: newRig(t, 1), name: fmt.Sprint("g", i), own: make(map[counted]int64), known: make(map[counted]int64)}
			g.hour = hours
			g.joiner = usage.NewJoiner(g.store, conn, "redis")
			m.all = append(m.all, g)
			m.join(g)
		}
		for step := range 5 * hours {
			switch g := m.any(); m.random.IntN(10) {
			case 0:
				m.leave(g)
			case 1:
				m.join(g)
			case 2:
				for _, s := range m.sinks {
					s.faults.Schedule(m.random.Uint64(), 0.3*float64(m.random.IntN(2)))
				}
			case 3, 4, 5:
				_ = m.tell(g)
			default:
				g.own[counted{g.name, g.ledger, step / 5}] += 1 + m.random.Int64N(9)
			}
		}
		m.settle(seed)
	}
}

// settle has all gateways share the store, and compares what services have with what each bills.
func (m *moves) settle(seed uint64) {
	m.t.Helper()
	for _, s := range m.sinks {
		s.faults.Heal()
	}
	for range 2 {
		for _, g := range m.all {
			m.join(g)
		}
	}
	for range 3 {
		for _, g := range m.all {
			m.must(m.tell(g))
		}
	}
	for _, s := range m.sinks {
		for _, g := range m.all {
			want := g.billed("acme", s.name == "stripe" || s.name == "stripehour")
			if got := s.has("acme"); got != want {
				m.t.Errorf("seed %d: %s counted %d, %s bills %d", seed, s.name, got, g.name, want)
			}
		}
	}
}
