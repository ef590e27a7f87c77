package regions

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
)

// A new configuration goes on with the last lists and with what is leaving; the state
// of backends stays, and all references end with the configurations.
func TestListsOverConfigurations(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1, a2)
		stop := f.run()
		time.Sleep(10 * time.Second)
		f.fails(errNameServer)
		one, two := f.upstreamOf(a1), f.upstreamOf(a2)

		next := NewNetwork(NetworkConfig{Set: f.Set, States: f.living})
		stop()
		f.Network, f.Transport.Network = next, next
		f.only(f.spread(100), a1, a2) // before it runs, too
		stop = f.run()
		time.Sleep(10 * time.Second)
		f.only(f.spread(100), a1, a2)
		if f.upstreamOf(a1) != one || f.upstreamOf(a2) != two {
			t.Error("the state of a backend was lost")
		}

		two.calls.Add(1)
		f.lists(a1)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up leaving")
		left := f.View().Regions[0].Others[0].Left
		next = NewNetwork(NetworkConfig{Set: f.Set, States: f.living})
		stop()
		f.Network, f.Transport.Network = next, next
		stop = f.run()
		defer func() { stop() }()
		time.Sleep(time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up leaving")
		if again := f.View().Regions[0].Others[0].Left; !again.Equal(left) {
			t.Errorf("it left at %s, after the reload at %s", left, again)
		}
		two.calls.Add(-1)
		time.Sleep(2 * time.Second)
		f.expect("http://10.0.0.1:80 up")
	})
}

// A reload that changes the source leaves the old one's list behind: what leaves the new
// list leaves all the same.
func TestLeavingAfterAnotherSource(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1, a2)
		stop := f.run()
		time.Sleep(10 * time.Second)
		other := *f.Set.All()[0]
		other.Sources = []discovery.Source{{Name: "another", Scheme: "http", Lookup: f.lookup}}
		set, err := NewSet([]Region{other})
		if err != nil {
			t.Fatal(err)
		}
		next := NewNetwork(NetworkConfig{Set: set, States: f.living})
		before := f.upstreamOf(a2)
		f.Network, f.Transport.Network = next, next
		f.set[first] = set.All()[0]
		stopNext := f.run()
		defer func() { stopNext() }()
		f.AwaitLists(t.Context())
		stop()
		if f.upstreamOf(a2) != before {
			t.Error("the state of a backend was lost though both sources list it")
		}
		before.calls.Add(1)
		f.lists(a1)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up leaving")
		before.calls.Add(-1)
	})
}

// Two reloads, of which the first has a source without a list: the state of a backend on
// which a call runs is found again, and when it leaves the call is known to run there.
// Without calls the state goes with the first.
func TestReloadToASourceWithoutAList(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		one := f.start(a1)
		f.start(a2)
		f.lists(a1, a2)
		stop := f.run()
		defer func() { stop() }()
		time.Sleep(10 * time.Second)
		before, other := f.upstreamOf(a1), f.upstreamOf(a2)
		other.calls.Add(50) // so that the held call runs on the first
		done := make(chan struct{})
		go func() { defer close(done); _, _ = f.call("/hold") }()
		synctest.Wait()
		other.calls.Add(-50)

		reload := func(set *Set) {
			next := NewNetwork(NetworkConfig{Set: set, States: f.living})
			stop()
			for _, u := range f.Upstreams(f.set[first]) {
				f.living.Release(first, u.Backend)
			}
			f.Network, f.Transport.Network, f.set[first] = next, next, set.All()[0]
			stop = f.run()
		}
		whole, broken := f.Set, *f.Set.All()[0]
		broken.Sources = []discovery.Source{{Name: "typo", Scheme: "http", Lookup: func(context.Context) ([]discovery.Endpoint, error) { return nil, errNameServer }}}
		set, err := NewSet([]Region{broken})
		if err != nil {
			t.Fatal(err)
		}
		reload(set)
		time.Sleep(time.Minute)
		f.expect()
		if held, kept := f.living.held(), f.living.kept(); held != 0 || kept != 1 {
			t.Errorf("%d backends are held and %d kept, want the one that runs a call to be kept", held, kept)
		}
		reload(whole)
		if f.upstreamOf(a1) != before || f.upstreamOf(a2) == other {
			t.Error("the state of the backend with a call was lost, or that of the other was not")
		}
		time.Sleep(10 * time.Second)
		f.lists(a2)
		time.Sleep(time.Minute)
		f.expect("http://10.0.0.2:80 up", "http://10.0.0.1:80 up leaving")
		if part := f.View().Regions[0].Others[0].Closed(time.Now()); part != 1 {
			t.Errorf("a minute after it left, %v of its WebSockets are to be closed", part)
		}
		close(one.holds)
		<-done
		time.Sleep(2 * time.Second)
		f.expect("http://10.0.0.2:80 up")
		if held, kept := f.living.held(), f.living.kept(); held != 1 || kept != 1 {
			t.Errorf("%d backends are held and %d kept at the end, want 1", held, kept)
		}
		if n := one.open(); n != 0 {
			t.Errorf("%d connections to the one that left are open", n)
		}
	})
}
