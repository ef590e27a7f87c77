package regions

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestNewNetwork(t *testing.T) {
	set := newSet(t, region(t, first, "http://a", "http://b"), region(t, second, "http://c"))
	var asked []string
	n := NewNetwork(set, func(name string, b Backend) *Upstream {
		asked = append(asked, name+" "+b.Address)
		return NewUpstream(b)
	})
	want := []string{first + " http://a", first + " http://b", second + " http://c"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	var got []string
	for _, r := range set.All() {
		for _, u := range n.Upstreams(r) {
			got = append(got, r.Name+" "+u.Backend.Address)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Upstreams() in order: %q, want %q", got, want)
	}
}

// A region is up while a backend is and down when every one is; since is when
// it became so.
func TestRegionState(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(state State, minutes int) health {
		return health{state: state, since: start.Add(time.Duration(minutes) * time.Minute)}
	}
	for _, tc := range []struct {
		name     string
		backends []health
		want     State
		minutes  int
	}{
		{"one unknown", []health{at(StateUnknown, 1)}, StateUnknown, 1},
		{"one up", []health{at(StateUp, 2)}, StateUp, 2},
		{"one down", []health{at(StateDown, 3)}, StateDown, 3},
		{"up since the first", []health{at(StateUp, 5), at(StateUp, 2), at(StateUp, 7)}, StateUp, 2},
		{"down since the last", []health{at(StateDown, 5), at(StateDown, 8), at(StateDown, 2)}, StateDown, 8},
		{"up beside down", []health{at(StateDown, 1), at(StateUp, 4), at(StateDown, 9)}, StateUp, 4},
		{"up beside unknown", []health{at(StateUnknown, 1), at(StateUp, 4)}, StateUp, 4},
		{"up before unknown", []health{at(StateUp, 4), at(StateUnknown, 1)}, StateUp, 4},
		{"unknown beside down", []health{at(StateUnknown, 1), at(StateDown, 4)}, StateUnknown, 1},
		{"down before unknown", []health{at(StateDown, 4), at(StateUnknown, 1)}, StateUnknown, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addresses := []string{"http://a", "http://b", "http://c"}[:len(tc.backends)]
			w := newWorld(t, region(t, first, addresses...))
			for i, u := range w.Upstreams(w.set[first]) {
				u.health.Store(&tc.backends[i])
			}
			state, since := w.State(w.set[first])
			if want := start.Add(time.Duration(tc.minutes) * time.Minute); state != tc.want || !since.Equal(want) {
				t.Errorf("%s since %v, want %s since %v", state, since, tc.want, want)
			}
		})
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
				u.inFlight.Store(tc.load[i])
				defer u.inFlight.Store(0)
			}
			for range 300 {
				order := w.choose(w.set[first])
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
		firsts[w.choose(w.set[first])[0]]++
	}
	for _, u := range w.Upstreams(w.set[first]) {
		if firsts[u] < 500 {
			t.Errorf("%s is first in %d of 3000", u.Backend.Address, firsts[u])
		}
	}
}

// Backends that refused a connection just now come last, however idle.
func TestChooseAvoids(t *testing.T) {
	w := newWorld(t, region(t, first, "http://a", "http://b", "http://c", "http://d"))
	all := w.Upstreams(w.set[first])
	refused := []*Upstream{all[1], all[2]}
	for _, u := range all {
		u.inFlight.Store(7)
		defer u.inFlight.Store(0)
	}
	for _, u := range refused {
		u.inFlight.Store(0)
		u.accepted(false)
	}
	for range 200 {
		order := w.choose(w.set[first])
		checkPermutation(t, order, all)
		for _, u := range order[:2] {
			if slices.Contains(refused, u) {
				t.Fatal("a backend that refused is asked before one that did not")
			}
		}
	}
	w.advance(avoidDown)
	for range 200 {
		if slices.Contains(refused, w.choose(w.set[first])[0]) {
			return
		}
	}
	t.Error("a second later they are still never first")
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

// BEHAVIOUR 2.6: a region is given up only when all of its backends refuse.
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
	if state, _ := w.State(w.set[first]); state != StateUp {
		t.Errorf("the region is %s", state)
	}
	if w.avoided(w.set[first]) {
		t.Error("the region is avoided though a backend accepts")
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
		other.inFlight.Store(1)
		if _, text, err := w.get(t, w.plan(ReasonExplicit, true, first)); err != nil || text != "done" {
			t.Errorf("%q, %v", text, err)
		}
		other.inFlight.Store(0)
		got := recorders[i].got()
		if len(got) != 1 || got[0].uri != "/hello/a%2Fb?x=1" || got[0].method != http.MethodGet {
			t.Errorf("socket %d was sent %+v", i, got)
		}
		if state, _ := u.State(); state != StateUp {
			t.Errorf("socket %d is %s", i, state)
		}
	}
}
