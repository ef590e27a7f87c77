package regions

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestNewNetwork(t *testing.T) {
	set := newSet(t, region(t, first, "http://a", "http://b"), region(t, second, "http://c"))
	n := NewNetwork(NetworkConfig{Set: set, States: newState(t)})
	var got []string
	for _, r := range set.All() {
		for _, u := range n.Upstreams(r) {
			got = append(got, r.Name+" "+u.Backend.Address)
		}
	}
	if want := []string{first + " http://a", first + " http://b", second + " http://c"}; !slices.Equal(got, want) {
		t.Errorf("Upstreams() in order: %q, want %q", got, want)
	}
	v := n.View()
	if v.Ranked || v.Location.Source != LocationUnknown || len(v.Regions) != 2 || v.Regions[0].State != StateUnknown {
		t.Errorf("before anything is known: %+v", v)
	}
}

// Of two backends the less loaded one is asked first; of three, the most
// loaded one never is: it loses against whatever is drawn beside it.
func TestChooseByLoad(t *testing.T) {
	for _, tc := range []struct {
		name  string
		load  []int64
		never int
	}{
		{"first of two", []int64{5, 0}, 0},
		{"second of two", []int64{0, 1}, 1},
		{"middle of three", []int64{3, 9, 0}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addresses := []string{"http://a", "http://b", "http://c"}[:len(tc.load)]
			w := newWorld(t, region(t, first, addresses...))
			all := w.Upstreams(w.set[first])
			for i, u := range all {
				u.calls.Store(tc.load[i])
				defer u.calls.Store(0)
			}
			for range 300 {
				order := w.order(first)
				if order[0] == all[tc.never] {
					t.Fatal("the most loaded backend is first")
				}
				checkPermutation(t, order, all)
			}
		})
	}
}

// With equal loads each backend gets to be first.
func TestChooseSpreads(t *testing.T) {
	w := newWorld(t, region(t, first, "http://a", "http://b", "http://c"))
	firsts := make(map[*Upstream]int)
	for range 3000 {
		firsts[w.order(first)[0]]++
	}
	for _, u := range w.Upstreams(w.set[first]) {
		if firsts[u] < 500 {
			t.Errorf("%s is first in %d of 3000", u.Backend.Address, firsts[u])
		}
	}
}

// Backends that are held back come last, however idle.
func TestChooseHeldBack(t *testing.T) {
	w := newWorld(t, region(t, first, "http://a", "http://b", "http://c", "http://d"))
	all := w.Upstreams(w.set[first])
	for _, u := range all {
		u.calls.Store(7)
		defer u.calls.Store(0)
	}
	held := []*Upstream{all[1], all[2]}
	for _, u := range held {
		u.calls.Store(0)
		hold(t, u)
	}
	for range 200 {
		order := w.order(first)
		checkPermutation(t, order, all)
		for _, u := range order[:2] {
			if slices.Contains(held, u) {
				t.Fatal("a backend that is held back is asked before one that is not")
			}
		}
	}
}

// A backend that is much farther than the others of its region comes after them.
func TestChooseOutlier(t *testing.T) {
	w := newWorld(t, region(t, first, "http://a", "http://b"))
	all := w.Upstreams(w.set[first])
	for _, tc := range []struct {
		name       string
		mine, its  time.Duration
		comesLater bool
	}{
		{"three times as far", 61 * time.Millisecond, 20 * time.Millisecond, true},
		{"twice as far", 40 * time.Millisecond, 20 * time.Millisecond, false},
		{"both near", 4 * time.Millisecond, time.Millisecond, false},
		{"the other is not measured", time.Second, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all[0].far.Store(int64(tc.mine))
			all[1].far.Store(int64(tc.its))
			firsts := 0
			for range 200 {
				if w.order(first)[0] == all[0] {
					firsts++
				}
			}
			if (firsts == 0) != tc.comesLater {
				t.Errorf("it comes first %d times of 200", firsts)
			}
		})
	}
}

// order returns the backends of a region in the order in which a call asks them.
func (w *world) order(name string) []*Upstream {
	list, now := w.members[w.set[name]].list.Load(), time.Now()
	asked := list.first(now, false)
	return append([]*Upstream{asked}, list.others(now, asked)...)
}

func checkPermutation(t *testing.T, order, all []*Upstream) {
	t.Helper()
	if len(order) != len(all) {
		t.Fatalf("%d backends to ask, want %d", len(order), len(all))
	}
	for _, u := range all {
		if !slices.Contains(order, u) {
			t.Fatalf("%s is never asked", u.Backend.Address)
		}
	}
}

// Contract 2.6: a region is given up only when all of its backends refuse.
func TestSeveralBackends(t *testing.T) {
	alive := &recorder{}
	w := newWorld(t, region(t, first, dead(t), serve(t, alive), dead(t)), region(t, second, serve(t, &recorder{})))
	for i := range 20 {
		x, text, err := w.get(t, w.nearest(first, second))
		if err != nil || text != "done" {
			t.Fatalf("%q, %v", text, err)
		}
		if x.Region.Name != first || x.Reason != ReasonNearest || x.Attempts < 1 || x.Attempts > 3 {
			t.Errorf("call %d: region %s, reason %s, %d attempts", i, x.Region.Name, x.Reason, x.Attempts)
		}
	}
	if n := len(alive.got()); n != 20 {
		t.Errorf("the one that lives got %d of 20 requests", n)
	}
	v := w.Refresh(time.Now())
	if i, _ := v.Lookup(first); !v.Regions[i].Reachable() {
		t.Errorf("the region is %s though a backend accepts", v.Regions[i].State)
	}
}

// Sockets are backends like any other, side by side in a region too: their
// pools must not be shared.
func TestUnixSockets(t *testing.T) {
	paths := []string{socketPath(t), socketPath(t)}
	recorders := []*recorder{{}, {}}
	for i, path := range paths {
		serveSocket(t, path, recorders[i])
	}
	w := newWorld(t, region(t, first, "unix/"+paths[0], "unix/"+paths[1]))
	all := w.Upstreams(w.set[first])
	for i, u := range all {
		other := all[1-i]
		other.calls.Store(1)
		if _, text, err := w.get(t, w.plan(ReasonExplicit, true, first)); err != nil || text != "done" {
			t.Errorf("%q, %v", text, err)
		}
		other.calls.Store(0)
		got := recorders[i].got()
		if len(got) != 1 || got[0].uri != "/hello/a%2Fb?x=1" || got[0].method != http.MethodGet {
			t.Errorf("socket %d was sent %+v", i, got)
		}
		if state := u.View(time.Now()).State; state != StateUp {
			t.Errorf("socket %d is %s", i, state)
		}
	}
}
