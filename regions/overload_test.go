package regions

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
)

var (
	me     = capacity.Tenant{Project: "me", Share: 80}
	others = capacity.Tenant{Project: "others", Share: 80}
)

// fill has a tenant hold n places until the test ends.
func fill(t *testing.T, room *capacity.Room, who capacity.Tenant, n int) {
	t.Helper()
	for i := range n {
		seat, why := room.Enter(&who)
		if why != "" {
			t.Fatalf("place %d of %s: %s", i, who.Project, why)
		}
		t.Cleanup(seat.Leave)
	}
}

// Contract 9.6, 2.5, 2.7: a region that has no room for a call is passed over for those that may take it, and once something
// failed for any; what is named is never left. Each region has a capacity of ten, of which "me" may hold eight.
func TestRoomIsTaken(t *testing.T) {
	type plan func(w *world) Plan
	spill := func(names ...string) plan {
		return func(w *world) Plan {
			p := w.nearest(first, second, third)
			for i := range p.Candidates {
				for _, name := range names {
					p.Candidates[i].Spill = p.Candidates[i].Spill || p.Candidates[i].Region.Name == name
				}
			}
			return p
		}
	}
	explicit := plan(func(w *world) Plan { return w.plan(ReasonExplicit, true, first) })
	list := plan(func(w *world) Plan {
		p := w.plan(ReasonExplicitList, true, first, second)
		p.Candidates[0].Spill, p.Candidates[1].Spill = true, true
		return p
	})
	type held struct{ calls, sockets int }
	for _, tc := range []struct {
		name     string
		plan     plan
		backends [3]string
		mine     [3]held // in each region
		theirs   [3]held
		socket   bool
		err      error
		region   string
		reason   Reason
		attempts int
	}{
		{name: "room", plan: spill(), region: first, reason: ReasonNearest, attempts: 1},
		{name: "spill", plan: spill(second), mine: [3]held{{calls: 8}}, region: second, reason: ReasonSpill, attempts: 1},
		{name: "spill, not to the next", plan: spill(third), mine: [3]held{{calls: 8}}, region: third, reason: ReasonSpill, attempts: 1},
		{name: "nowhere to spill", plan: spill(), mine: [3]held{{calls: 8}}, err: errShare, region: first, reason: ReasonNearest},
		{
			name: "where it may spill it is full", plan: spill(second), mine: [3]held{{calls: 8}, {calls: 8}},
			err: errShare, region: first, reason: ReasonNearest,
		},
		{
			name: "spilled, and it fails", plan: spill(second), backends: [3]string{"", "dead", ""}, mine: [3]held{{calls: 8}},
			region: third, reason: ReasonFailover, attempts: 2,
		},
		{
			name: "failover passes a full one over", plan: spill(), backends: [3]string{"dead", "", ""}, mine: [3]held{1: {calls: 8}},
			region: third, reason: ReasonFailover, attempts: 2,
		},
		{
			name: "failover into a full one", plan: spill(), backends: [3]string{"dead", "", "dead"}, mine: [3]held{1: {calls: 8}},
			err: errShare, region: second, reason: ReasonFailover, attempts: 2,
		},
		{name: "named", plan: explicit, mine: [3]held{{calls: 8}}, err: errShare, region: first, reason: ReasonExplicit},
		{name: "a list", plan: list, mine: [3]held{{calls: 8}}, region: second, reason: ReasonExplicitList, attempts: 1},
		{name: "full, and below my share", plan: spill(second), theirs: [3]held{{calls: 8}}, mine: [3]held{{calls: 2}}, region: first, reason: ReasonNearest, attempts: 1},
		{
			name: "full, and at my share", plan: spill(), mine: [3]held{{calls: 5}}, theirs: [3]held{{calls: 5}},
			err: errFair, region: first, reason: ReasonNearest,
		},
		{
			name: "WebSockets do not count as calls", plan: spill(second), mine: [3]held{{sockets: 32}}, theirs: [3]held{{sockets: 8}},
			region: first, reason: ReasonNearest, attempts: 1,
		},
		{
			name: "calls do not count as WebSockets", plan: spill(second), mine: [3]held{{calls: 8}}, theirs: [3]held{{calls: 2}}, socket: true,
			region: first, reason: ReasonNearest, attempts: 1,
		},
		{
			name: "WebSockets have room of their own", plan: spill(), mine: [3]held{{sockets: 32}}, socket: true,
			err: errShare, region: first, reason: ReasonNearest,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rs []Region
			for i, name := range []string{first, second, third} {
				address := dead(t)
				if tc.backends[i] == "" {
					address = serve(t, &recorder{})
				}
				r := region(t, name, address)
				r.Capacity = 10
				rs = append(rs, r)
			}
			w := newWorld(t, rs...)
			w.Network.Apply(nil, nil)
			for i, name := range []string{first, second, third} {
				load := &w.State(w.set[name]).load
				fill(t, &load.Calls, others, tc.theirs[i].calls)
				fill(t, &load.Calls, me, tc.mine[i].calls)
				fill(t, &load.Sockets, me, tc.mine[i].sockets)
				fill(t, &load.Sockets, others, tc.theirs[i].sockets)
			}
			x, ctx := w.begin(t, tc.plan(w), Limits{})
			x.Tenant, x.Socket = me, tc.socket
			_, err := w.exchange(newRequest(ctx, http.MethodGet, nil, 0))
			check(t, x, err, tc.err, tc.region, tc.reason, tc.attempts)
			refused := uint64(0)
			for _, n := range w.State(x.Region).load.Of(tc.socket).Refused() {
				refused += n
			}
			if want := tc.err != nil; (refused == 1) != want || refused > 1 {
				t.Errorf("%d are counted as refused", refused)
			}
		})
	}
}

// Whoever waits for room waits 100 ms; an eighth of the capacity may, and sixteen at least.
func TestWaitForRoomIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := region(t, first, "http://backend")
		r.Capacity = 10
		w := newWorld(t, r)
		w.Network.Apply(nil, nil)
		fill(t, &w.State(w.set[first]).load.Calls, me, 8)
		ends := make(chan time.Duration)
		for range 20 {
			go func() {
				began := time.Now()
				x, ctx := Begin(t.Context(), w.nearest(first), Limits{})
				defer x.End()
				x.Tenant = me
				if _, err := w.exchange(newRequest(ctx, http.MethodGet, nil, 0)); !errors.Is(err, ErrOverloaded) {
					t.Error(err)
				}
				ends <- time.Since(began)
			}()
		}
		took := make(map[time.Duration]int)
		for range 20 {
			took[<-ends]++
		}
		if took[0] != 4 || took[roomWait] != 16 {
			t.Errorf("they waited %v", took)
		}
	})
}

// A refused call pays for no retry.
func TestRefusedCallsAreNoBudget(t *testing.T) {
	w := newWorld(t, region(t, first, serve(t, &recorder{})))
	room := &w.State(w.set[first]).load.Calls
	room.SetCapacity(1)
	seat, _ := room.Enter(&others)
	for range 3 {
		if _, _, err := w.get(t, w.nearest(first)); !errors.Is(err, ErrOverloaded) {
			t.Fatal(err)
		}
	}
	seat.Leave()
	if _, _, err := w.get(t, w.nearest(first)); err != nil {
		t.Fatal(err)
	}
	if n := sum(&w.Network.budget.requests, time.Now().Unix()); n != 1 {
		t.Errorf("%d requests in the budget", n)
	}
}

// Contract 9.6: `websockets` is four times the capacity by default, and without both there is no limit.
func TestSockets(t *testing.T) {
	for _, tc := range []struct{ capacity, websockets, want int64 }{{0, 0, 0}, {2000, 0, 8000}, {2000, 5, 5}, {0, 5, 5}} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			if got := (&Region{Capacity: tc.capacity, WebSockets: tc.websockets}).Sockets(); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

func TestOverloadedNamesTheReason(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range capacity.Crowdings {
		err := overloaded(c)
		if !errors.Is(err, ErrOverloaded) || seen[err.Error()] {
			t.Errorf("%s: %v", c, err)
		}
		seen[err.Error()] = true
	}
}
