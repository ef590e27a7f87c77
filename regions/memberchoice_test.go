package regions

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
)

// Fixed backends and a source in one region: all serve alike, and one that both name
// is one.
func TestFixedBesideASource(t *testing.T) {
	newFarm(t, []string{"http://10.0.0.1"}, func(t *testing.T, f *farm) {
		f.start(a2)
		f.lists(a1, a2)
		defer f.run()()
		time.Sleep(10 * time.Second)
		f.expect("http://10.0.0.1 up", "http://10.0.0.2:80 up")
		f.only(f.spread(200), a1, a2)
		f.lists(a2)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1 up", "http://10.0.0.2:80 up")
	})
}

// Weights decide the parts of the calls; only the lowest priority with a healthy
// backend is used.
func TestWeightsAndPriorities(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		for i := 1; i <= 5; i++ {
			f.start(fmt.Sprintf("10.0.0.%d:80", i))
		}
		const a4, a5 = "10.0.0.4:80", "10.0.0.5:80"
		f.answers(
			discovery.Endpoint{Address: a1, Priority: 10, Weight: 60},
			discovery.Endpoint{Address: a2, Priority: 10, Weight: 30},
			discovery.Endpoint{Address: a3, Priority: 10, Weight: 10},
			discovery.Endpoint{Address: a4, Priority: 20, Weight: 0},
			discovery.Endpoint{Address: a5, Priority: 20, Weight: 0},
		)
		defer f.run()()
		time.Sleep(5 * time.Second)
		const calls = 6000
		got := f.spread(calls)
		f.only(got, a1, a2, a3)
		for address, want := range map[string]float64{a1: 0.6, a2: 0.3, a3: 0.1} {
			if part := float64(got[address]) / calls; math.Abs(part-want) > 0.04 {
				t.Errorf("%s got %.3f of the calls, want %.1f", address, part, want)
			}
		}
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 up",
			"http://10.0.0.4:80 up standby", "http://10.0.0.5:80 up standby")
		f.kill(a1)
		f.kill(a2)
		time.Sleep(10 * time.Second)
		f.only(f.spread(200), a3)
		f.kill(a3)
		if got := f.spread(20); got[a4]+got[a5] != 20 { // at once: nothing was sent to the dead one
			t.Errorf("calls after the last of the first priority died: %v", got)
		}
		time.Sleep(10 * time.Second)
		got = f.spread(400)
		f.only(got, a4, a5)
		if part := float64(got[a4]) / 400; math.Abs(part-0.5) > 0.12 {
			t.Errorf("weights of 0 are not equal: %v", got)
		}
		f.expect("http://10.0.0.4:80 up", "http://10.0.0.5:80 up",
			"http://10.0.0.1:80 down", "http://10.0.0.2:80 down", "http://10.0.0.3:80 down")
		for _, b := range f.View().Regions[0].Others {
			if b.Weight != 0 {
				t.Errorf("%s is down, and has the weight %v", b.Address, b.Weight)
			}
		}
		if v := f.View().Regions[0]; v.State != StateUp || v.Healthy != 2 {
			t.Errorf("the second priority does not stand for the region: %s, %d", v.State, v.Healthy)
		}
		f.start(a3)
		time.Sleep(10 * time.Second)
		f.only(f.spread(200), a3)
	})
}

// Weight 0 beside others is very seldom chosen, and so is chosen.
func TestNormalize(t *testing.T) {
	list := []discovered{{priority: 1, weight: 0}, {priority: 1, weight: 300}, {priority: 1, weight: 100}, {priority: 2}, {priority: 2}}
	normalize(list)
	var got []float64
	for _, d := range list {
		got = append(got, math.Round(d.weight*1000)/1000)
	}
	if want := []float64{0.01, 2.25, 0.75, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("weights %v, want %v", got, want)
	}
}

// A backend whose address is the gateway's own is never asked, not even when all others
// are down; when the address is another's it is used.
func TestOwnAddress(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1).own.Store(true)
		f.lists(a1)
		defer f.run()()
		time.Sleep(time.Second)
		v := &f.View().Regions[0]
		if v.Usable() || v.Reachable() || len(v.Backends) != 1 || !v.Backends[0].Own || v.Backends[0].Why == "" {
			t.Errorf("the gateway itself is %+v", v.Backends)
		}
		if got, err := f.call("/x"); err == nil {
			t.Errorf("a call went to %s", got)
		}
		f.servers[a1].own.Store(false)
		time.Sleep(10 * time.Second)
		f.only(f.spread(5), a1)
	})
}

// A backend that sends the headers of requests back is not taken for the gateway
// (contract section 9): a function can do that.
func TestEchoedProbe(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1).echoes.Store(true)
		f.lists(a1)
		defer f.run()()
		time.Sleep(10 * time.Second)
		f.expect("http://10.0.0.1:80 up")
		f.only(f.spread(5), a1)
	})
}

// A new backend gets its growing part and no more, however far or busy the old ones are;
// once it has entered, those that are far are asked after it. Shares says how the calls of
// an idle region are spread.
func TestNewBackendBesideSlowOnes(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		for _, a := range []string{a1, a2, a3} {
			f.start(a)
		}
		f.lists(a1, a2)
		defer f.run()()
		time.Sleep(10 * time.Second)
		far := func(address string, rtt time.Duration) {
			u := f.upstreamOf(address)
			u.mu.Lock()
			u.distance = Estimator{}
			u.distance.Observe(time.Now(), rtt)
			u.far.Store(int64(rtt))
			u.mu.Unlock()
		}
		const calls = 4000
		expect := func(when string) map[string]int {
			t.Helper()
			far(a1, 400*time.Millisecond)
			far(a2, 20*time.Millisecond)
			r := &f.Refresh(time.Now()).Regions[0]
			got := f.spread(calls)
			for i, share := range r.Shares() {
				address := r.Backends[i].Address[len("http://"):]
				if part := float64(got[address]) / calls; math.Abs(part-share) > 0.04 {
					t.Errorf("%s: %s got %.3f of the calls, its share is %.3f", when, address, part, share)
				}
			}
			return got
		}
		if got := expect("two old ones"); got[a1] != 0 {
			t.Errorf("the far one of two got %d of %d calls", got[a1], calls)
		}
		f.lists(a1, a2, a3)
		time.Sleep(7 * time.Second)
		far(a2, 400*time.Millisecond)
		far(a3, 5*time.Millisecond)
		if got := f.spread(calls)[a3]; got < calls/100 || got > calls/6 {
			t.Errorf("a new one beside two that are far got %d of %d calls, want about a fifteenth", got, calls)
		}
		expect("one is new")
		for _, a := range []string{a1, a2} {
			f.upstreamOf(a).calls.Add(100)
		}
		if got := f.spread(calls)[a3]; got < calls/100 || got > calls/6 {
			t.Errorf("a new one beside two that are busy got %d of %d calls", got, calls)
		}
		for _, a := range []string{a1, a2} {
			f.upstreamOf(a).calls.Add(-100)
		}
		time.Sleep(2 * time.Minute)
		if got := expect("all are old"); got[a1] != 0 || got[a3] < calls/3 {
			t.Errorf("calls beside the far one: %v", got)
		}
	})
}

// WebSockets and calls are balanced each by themselves, and a new backend gets no more
// than its part because old ones are busy.
func TestIdleWebSocketsDoNotWeigh(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1)
		defer f.run()()
		time.Sleep(10 * time.Second)
		f.upstreamOf(a1).sockets.Add(6)
		defer f.upstreamOf(a1).sockets.Add(-6)
		f.upstreamOf(a1).calls.Add(1)
		f.lists(a1, a2)
		time.Sleep(7 * time.Second)
		if got := f.spread(2000); got[a2] < 100 || got[a2] > 500 {
			t.Errorf("a new backend beside a busy one got %d of 2000 calls, want about a tenth", got[a2])
		}
		f.upstreamOf(a1).calls.Add(-1)
		time.Sleep(2 * time.Minute)
		if got := f.spread(2000); got[a2] < 900 || got[a2] > 1100 {
			t.Errorf("beside idle WebSockets of the other a backend got %d of 2000 calls", got[a2])
		}
		list := f.members[f.set[first]].list.Load()
		if u := list.first(time.Now(), true); u != f.upstreamOf(a2) {
			t.Error("a WebSocket goes to the backend that has more")
		}
	})
}
