package regions

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	a1 = "10.0.0.1:80"
	a2 = "10.0.0.2:80"
	a3 = "10.0.0.3:80"
)

// A region whose source never gave a list is unknown: nothing is sent there, and the
// first list is in force once AwaitLists returns.
func TestNoListYet(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.fails(errNameServer)
		if f.Ready() {
			t.Error("ready before anything was looked up")
		}
		defer f.run()()
		time.Sleep(time.Second)
		v := &f.View().Regions[0]
		if v.State != StateUnknown || v.Usable() || v.Reachable() {
			t.Errorf("without a list: %s, usable %t, reachable %t", v.State, v.Usable(), v.Reachable())
		}
		if _, err := f.call("/x"); err == nil {
			t.Error("a call was answered by nobody")
		}
		if s := v.Sources[0]; s.Err != errNameServer || s.FailingSince.IsZero() || !s.ListedAt.IsZero() {
			t.Errorf("source %+v", s)
		}
		f.start(a1)
		f.lists(a1)
		f.AwaitLists(t.Context())
		if got := f.spread(3); got[a1] != 3 {
			t.Errorf("calls after the first list: %v", got)
		}
	})
}

// Life of a backend: unknown ones of the first list serve at once. A later one is
// probed, then gets a growing part of the calls. One that leaves gets no new calls;
// its calls end, its WebSockets are closed over 30 s, then it is forgotten with its
// connections.
func TestLifeOfABackend(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1, a2)
		defer f.run()()
		f.only(f.spread(200), a1, a2)

		time.Sleep(10 * time.Second)
		f.lists(a1, a2, a3) // not there yet
		time.Sleep(20 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 down entering")
		if v := f.View().Regions[0]; v.State != StateUp || v.Healthy != 2 || len(v.Backends) != 2 {
			t.Errorf("a backend that never worked counts: %s, %d of %d", v.State, v.Healthy, len(v.Backends))
		}
		f.only(f.spread(200), a1, a2)

		f.start(a3)
		time.Sleep(7 * time.Second) // three probes
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 up entering")
		early := f.spread(2000)[a3]
		time.Sleep(30 * time.Second)
		middle := f.spread(2000)[a3]
		time.Sleep(30 * time.Second)
		late := f.spread(2000)[a3]
		if early < 20 || early > 250 || middle < early+100 || late < 500 || late > 850 {
			t.Errorf("of 2000 calls the new one of three got %d, after 30 s %d, after 60 s %d", early, middle, late)
		}
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 up")

		held := make(chan error, 20)
		for range cap(held) {
			go func() { _, err := f.call("/hold"); held <- err }()
			synctest.Wait()
		}
		gone := f.servers[a3]
		f.lists(a1, a2)
		time.Sleep(6 * time.Second)
		if got := f.spread(300); got[a3] != 0 {
			t.Errorf("one that left got calls: %v", got)
		}
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 up leaving")
		leaving := f.View().Regions[0].Others[0]
		for after, want := range map[time.Duration]float64{0: 0, 15 * time.Second: 0.5, 30 * time.Second: 1} {
			if got := leaving.Closed(leaving.Left.Add(after)); got != want {
				t.Errorf("after %s the part of closed WebSockets is %v, want %v", after, got, want)
			}
		}
		time.Sleep(time.Minute)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up", "http://10.0.0.3:80 up leaving")
		for _, s := range f.servers {
			close(s.holds)
		}
		for range cap(held) {
			if err := <-held; err != nil {
				t.Errorf("a call in flight failed: %v", err)
			}
		}
		time.Sleep(2 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up")
		if n := gone.open(); n != 0 {
			t.Errorf("%d connections to the one that left are open", n)
		}
		if n := f.living.held(); n != 2 {
			t.Errorf("%d backends are held, want 2", n)
		}
	})
}

// The last list is kept while the source fails, hangs or answers nothing.
func TestLastListIsKept(t *testing.T) {
	for name, spoil := range map[string]func(*farm){
		"fails":        func(f *farm) { f.fails(errNameServer) },
		"hangs":        func(f *farm) { f.fails(nil) },
		"nothing":      func(f *farm) { f.lists() },
		"no addresses": func(f *farm) { f.lists("runtime", "nowhere:port") },
	} {
		t.Run(name, func(t *testing.T) {
			newFarm(t, nil, func(t *testing.T, f *farm) {
				f.start(a1)
				f.lists(a1)
				defer f.run()()
				time.Sleep(10 * time.Second)
				spoil(f)
				time.Sleep(10 * time.Minute)
				f.only(f.spread(20), a1)
				s := f.View().Regions[0].Sources[0]
				if s.Err == nil || time.Since(s.ListedAt) < 9*time.Minute || time.Since(s.FailingSince) < 9*time.Minute || s.Backends != 1 {
					t.Errorf("source: %v, listed %s ago, failing for %s, %d backends", s.Err, time.Since(s.ListedAt), time.Since(s.FailingSince), s.Backends)
				}
				f.start(a2)
				f.lists(a2)
				time.Sleep(10 * time.Second)
				f.only(f.spread(20), a2)
				if s := f.View().Regions[0].Sources[0]; s.Err != nil || !s.FailingSince.IsZero() || time.Since(s.ListedAt) > 7*time.Second {
					t.Errorf("the source works again, and is %+v", s)
				}
			})
		})
	}
}

// A list that is without a part is used, and says so until a look-up finds all.
func TestListWithoutAPart(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1)
		f.without(errNameServer)
		defer f.run()()
		time.Sleep(10 * time.Second)
		source := func() SourceView { return f.View().Regions[0].Sources[0] }
		if s := source(); s.Incomplete != errNameServer || s.Err != nil || !s.FailingSince.IsZero() || s.Backends != 1 {
			t.Errorf("%+v", s)
		}
		f.only(f.spread(20), a1)

		f.lists(a1, "nowhere:port")
		time.Sleep(10 * time.Second)
		if s := source(); s.Incomplete == nil || !strings.Contains(s.Incomplete.Error(), `"nowhere:port", which is no IP:PORT`) || s.Backends != 1 {
			t.Errorf("%+v", s)
		}
		f.fails(errNameServer)
		time.Sleep(10 * time.Second)
		if s := source(); s.Incomplete != nil || s.Err != errNameServer || s.Backends != 1 {
			t.Errorf("%+v", s)
		}
		f.lists(a2)
		time.Sleep(10 * time.Second)
		if s := source(); s.Incomplete != nil || s.Err != nil || s.Backends != 1 {
			t.Errorf("%+v", s)
		}
		f.only(f.spread(20), a2)
	})
}

// Of one that leaves and comes back the state is kept: it serves at once. After it was
// forgotten it is new.
func TestLeaveAndReturn(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.start(a2)
		f.lists(a1, a2)
		defer f.run()()
		time.Sleep(10 * time.Second)
		f.mu.Lock()
		two := f.servers[a2]
		f.mu.Unlock()
		done := make(chan struct{})
		f.upstreamOf(a1).calls.Add(50) // so that the held call runs on the other
		go func() { defer close(done); _, _ = f.call("/hold") }()
		synctest.Wait()
		f.upstreamOf(a1).calls.Add(-50)
		before := f.upstreamOf(a2)
		f.lists(a1)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up leaving")
		f.lists(a1, a2)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up")
		if f.upstreamOf(a2) != before {
			t.Error("its state was lost")
		}
		close(two.holds)
		<-done
		f.lists(a1)
		time.Sleep(10 * time.Second)
		f.lists(a1, a2)
		time.Sleep(6 * time.Second)
		f.expect("http://10.0.0.1:80 up", "http://10.0.0.2:80 up entering")
	})
}

// upstreamOf returns the state of a listed backend.
func (f *farm) upstreamOf(address string) *Upstream {
	for _, u := range f.Upstreams(f.set[first]) {
		if u.Backend.DialAddress == address {
			return u
		}
	}
	f.t.Fatalf("%s is not listed", address)
	return nil
}

// A configuration that is refused, or only validated, looks nothing up.
func TestNewNetworkLooksNothingUp(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		time.Sleep(time.Minute)
		f.View()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.lookups != 0 {
			t.Errorf("%d look-ups", f.lookups)
		}
	})
}

// A list that is replaced as a whole: the old backends serve on until a new one works,
// but for no longer than five seconds.
func TestAllAreReplaced(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.lists(a1)
		defer f.run()()
		time.Sleep(10 * time.Second)
		f.lists(a2) // which boots
		for f.View().Regions[0].Sources[0].ListedAt.IsZero() || len(f.View().Regions[0].Others) == 0 {
			f.only(f.spread(1), a1)
			time.Sleep(100 * time.Millisecond)
		}
		f.expect("http://10.0.0.1:80 up leaving", "http://10.0.0.2:80 unknown entering")
		time.Sleep(3 * time.Second)
		f.only(f.spread(50), a1)
		f.start(a2)
		time.Sleep(7 * time.Second)
		f.only(f.spread(50), a2)

		f.lists(a3) // which never works
		time.Sleep(13 * time.Second)
		if got, err := f.call("/x"); err == nil {
			t.Errorf("13 s after it left the list a call went to %s", got)
		}
	})
}

// The WebSockets of backends that serve on after their list was replaced are closed over
// 30 s from the end of that, also if a reload comes in between.
func TestSocketsOfThoseThatServedOn(t *testing.T) {
	newFarm(t, nil, func(t *testing.T, f *farm) {
		f.start(a1)
		f.lists(a1)
		stop := f.run()
		defer func() { stop() }()
		time.Sleep(10 * time.Second)
		f.upstreamOf(a1).sockets.Add(1)
		f.lists(a2) // which never works
		leaves := func() bool {
			others := f.View().Regions[0].Others
			return len(others) > 0 && others[len(others)-1].Phase == PhaseLeaving
		}
		var last time.Time
		for !leaves() {
			if _, err := f.call("/x"); err == nil {
				last = time.Now()
			}
			time.Sleep(50 * time.Millisecond)
		}
		for range 2 {
			others := f.View().Regions[0].Others
			one := others[len(others)-1]
			if one.Phase != PhaseLeaving {
				t.Fatalf("%s is %s", one.Address, one.Phase)
			}
			if served := one.Stopped.Sub(one.Left); served < 4*time.Second || served > stayFor {
				t.Errorf("it served on for %s", served)
			}
			for after, want := range map[time.Duration]float64{0: 0, 15 * time.Second: 0.5, 30 * time.Second: 1} {
				if got := one.Closed(last.Add(after)); math.Abs(got-want) > 0.02 {
					t.Errorf("%s after the last call %v of its WebSockets are to be closed, want %v", after, got, want)
				}
			}
			next := NewNetwork(NetworkConfig{Set: f.Set, States: f.living})
			stop()
			f.Network, f.Transport.Network = next, next
			stop = f.run()
			time.Sleep(time.Second)
		}
	})
}
