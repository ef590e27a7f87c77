package jwks

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// still is a PoolConfig without jitter.
func still() PoolConfig { return PoolConfig{random: func() float64 { return 0.5 }} }

func remote(s *source) *Remote { return NewPool(still()).Get(s) }

// current is what a request gets, and how long it waited for it.
func current(r *Remote) (set *Set, waited time.Duration) {
	before := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	set = r.Current(ctx)
	return set, time.Since(before)
}

// Contract 3.14: the first user waits, and all who come meanwhile with it.
func TestFirstUseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: time.Second}
		r := remote(s)
		if got, overdue := r.Poll(); got != nil || !overdue {
			t.Errorf("Poll = %v, %v before the first fetch", got, overdue)
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if got, waited := current(r); got.Len() != 1 || waited != time.Second {
					t.Errorf("%d keys after %s", got.Len(), waited)
				}
			})
		}
		group.Wait()
		if s.count() != 1 {
			t.Errorf("%d fetches, want 1", s.count())
		}
		if err := r.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

// Contract 3.14: a set in use is refreshed in the background.
func TestRefreshInBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: time.Second}
		r := remote(s)
		first, _ := current(r)
		s.serve(set(ec("a"), ec("b")))

		time.Sleep(5*time.Minute - time.Nanosecond)
		if got, waited := current(r); got != first || waited != 0 || s.count() != 1 {
			t.Errorf("before the interval: %d fetches, waited %s", s.count(), waited)
		}
		time.Sleep(time.Nanosecond)
		for range 10 {
			if got, waited := current(r); got != first || waited != 0 {
				t.Errorf("the old set did not serve during the fetch: waited %s", waited)
			}
			if got, overdue := r.Poll(); got != first || overdue {
				t.Errorf("Poll: overdue %v during the fetch", overdue)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, _ := current(r); got.Len() != 2 || s.count() != 2 {
			t.Errorf("after the fetch: %d keys by %d fetches, want 2 by 2", got.Len(), s.count())
		}
	})
}

// Contract 3.14: a set that nobody used for long is not served unseen.
func TestIdleSetIsFetchedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: time.Second}
		r := remote(s)
		current(r)
		s.serve(set(ec("b")))
		time.Sleep(10 * time.Minute)
		if _, overdue := r.Poll(); !overdue {
			t.Error("Poll does not say that the set is too old")
		}
		if got, waited := current(r); got.Candidates(ES256, "b") == nil || waited != time.Second {
			t.Errorf("served the old set after %s", waited)
		}

		// The server is gone: the wait is bounded, happens once, and the last good
		// set serves.
		s.serve("")
		s.delay = time.Hour
		time.Sleep(10 * time.Minute)
		if got, waited := current(r); got.Candidates(ES256, "b") == nil || waited != 5*time.Second {
			t.Errorf("without a server: waited %s", waited)
		}
		synctest.Wait()
		for range 3 {
			time.Sleep(time.Hour)
			if got, waited := current(r); got.Candidates(ES256, "b") == nil || waited != 0 {
				t.Errorf("the last good set is gone, or waited %s for a server that is down", waited)
			}
		}
		time.Sleep(time.Minute) // the last fetch ends
	})
}

// Contract 3.14: the last good set serves while its URL is down, which is asked
// ever less often.
func TestDownServesTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &source{name: "x", body: set(ec("a"))}
		pool := NewPool(still())
		r := pool.Get(s)
		first, _ := current(r)
		s.serve("")
		var tries []time.Duration
		for time.Since(start) < 30*time.Minute {
			before := s.count()
			if got, waited := current(r); got != first || waited != 0 {
				t.Fatalf("after %s: the last good set is gone, or waited %s", time.Since(start), waited)
			}
			synctest.Wait()
			if s.count() > before {
				tries = append(tries, time.Since(start))
			}
			time.Sleep(time.Second)
		}
		at := 300 * time.Second
		want := []time.Duration{at}
		for _, pause := range []int{10, 20, 40, 80, 160, 300, 300, 300, 300} {
			if at += time.Duration(pause) * time.Second; at < 30*time.Minute {
				want = append(want, at)
			}
		}
		if len(tries) != len(want) {
			t.Fatalf("asked at %v, want %v", tries, want)
		}
		for i := range want {
			if tries[i] != want[i] {
				t.Errorf("asked at %v, want %v", tries, want)
				break
			}
		}
		status := pool.Status()
		if status.Failing != 1 || status.OldestAge < 29*time.Minute || status.Remotes[0].Error != errDown.Error() || status.Remotes[0].Keys != 1 {
			t.Errorf("status %+v", status)
		}

		s.serve(set(ec("b")))
		time.Sleep(5 * time.Minute)
		current(r)
		synctest.Wait()
		if got, _ := current(r); got.Candidates(ES256, "b") == nil || pool.Status().Failing != 0 {
			t.Error("it did not recover")
		}
	})
}

// Contract 3.14: without any set tokens are refused, after one fetch in 10 s.
func TestNeverFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", delay: time.Second}
		r := remote(s)
		for i := range 20 {
			for range 10 {
				got, waited := current(r)
				if got != nil {
					t.Fatal("a set from nowhere")
				}
				if waited > time.Second {
					t.Fatalf("waited %s", waited)
				}
			}
			if err := r.Ready(t.Context()); err == nil || err.Error() != errDown.Error() {
				t.Fatalf("Ready: %v", err)
			}
			if s.count() != i+1 {
				t.Fatalf("%d fetches in %d times 11 s", s.count(), i+1)
			}
			time.Sleep(10 * time.Second)
		}
		s.serve(set())
		if got, _ := current(r); got == nil || got.Len() != 0 {
			t.Errorf("an empty set is a set: %v", got)
		}
	})
}

// A body that is no set is a failure like any other.
func TestBrokenSetIsNoSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a"))}
		r := remote(s)
		first, _ := current(r)
		for _, body := range []string{"<html>", `{"keys":null}`, set(ec("a"))[:40], strings.Repeat(" ", MaxSize+1)} {
			s.serve(body)
			time.Sleep(6 * time.Minute)
			current(r)
			synctest.Wait()
			if r.Set() != first || r.Status().Error == "" {
				t.Errorf("%.20q replaced the last good set", body)
			}
		}
	})
}

// Contract 3.14: an unknown kid has the set fetched again, at most once in 10 s,
// and all who look for it wait for the one fetch.
func TestSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: time.Second}
		r := remote(s)
		have, _ := current(r)
		s.serve(set(ec("a"), ec("b")))
		time.Sleep(time.Second)

		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				before := time.Now()
				got := r.Seek(t.Context(), have, r.Begun())
				if got.Candidates(ES256, "b") == nil || time.Since(before) != time.Second {
					t.Errorf("no key after %s", time.Since(before))
				}
			})
		}
		group.Wait()
		if s.count() != 2 {
			t.Errorf("%d fetches, want 2", s.count())
		}

		// Then at once refused, until 10 s after that fetch began.
		have = r.Set()
		for range 9 {
			before := time.Now()
			if got := r.Seek(t.Context(), have, r.Begun()); got != have || time.Since(before) != 0 {
				t.Fatalf("waited %s for an unknown key within 10 s", time.Since(before))
			}
			time.Sleep(time.Second - time.Nanosecond)
		}
		if s.count() != 2 {
			t.Errorf("%d fetches within 10 s, want 2", s.count())
		}
		time.Sleep(9 * time.Nanosecond)
		if r.Seek(t.Context(), have, r.Begun()); s.count() != 3 {
			t.Errorf("%d fetches after 10 s, want 3", s.count())
		}
	})
}

// A fetch that began before the token came may be too old to have its key.
func TestSeekDoesNotTrustOlderFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: time.Second}
		r := remote(s)
		have, _ := current(r)
		time.Sleep(5 * time.Minute)
		r.Poll()
		synctest.Wait()
		since := r.Begun() // while that fetch is under way
		go func() {
			time.Sleep(1500 * time.Millisecond)
			s.serve(set(ec("a"), ec("b")))
		}()
		if got := r.Seek(t.Context(), have, since); got.Candidates(ES256, "b") == nil || s.count() != 3 {
			t.Errorf("no new fetch: %d", s.count())
		}
		// And one that began afterwards is new enough.
		have, since = r.Set(), r.Begun()
		time.Sleep(6 * time.Minute)
		current(r)
		time.Sleep(time.Second)
		synctest.Wait()
		if r.Seek(t.Context(), have, since); s.count() != 4 {
			t.Errorf("%d fetches, want 4", s.count())
		}
	})
}

// Unknown keys do not hammer a server that is down.
func TestSeekWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a"))}
		r := remote(s)
		have, _ := current(r)
		s.serve("")
		for range 60 {
			if got := r.Seek(t.Context(), have, r.Begun()); got != have {
				t.Fatal("the last good set is gone")
			}
			time.Sleep(time.Second)
		}
		if s.count() != 7 {
			t.Errorf("%d fetches in a minute, want 1 and 6", s.count())
		}
	})
}

// Waiting ends with the caller's patience; the fetch goes on for the others.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{name: "x", body: set(ec("a")), delay: 3 * time.Second}
		r := remote(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if got := r.Current(ctx); got != nil || time.Since(before) != time.Second {
			t.Errorf("%v after %s", got, time.Since(before))
		}
		if err := r.Ready(ctx); err == nil {
			t.Error("Ready without a set")
		}
		if got, waited := current(r); got.Len() != 1 || waited != 2*time.Second || s.count() != 1 {
			t.Errorf("%d keys after %s and %d fetches", got.Len(), waited, s.count())
		}
	})
}

// The interval is spread by a tenth, so that gateways do not ask in step.
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		random float64
		want   time.Duration
	}{{0, 270 * time.Second}, {0.5, 300 * time.Second}, {1, 330 * time.Second}} {
		config := PoolConfig{random: func() float64 { return tt.random }}.withDefaults()
		r := &Remote{config: config}
		if got := r.jitter(5 * time.Minute); got != tt.want {
			t.Errorf("jitter of %v: %s, want %s", tt.random, got, tt.want)
		}
	}
	r := &Remote{config: PoolConfig{}.withDefaults()}
	if a, b := r.jitter(time.Hour), r.jitter(time.Hour); a == b {
		t.Errorf("twice %s by chance", a)
	}
}

func BenchmarkPoll(b *testing.B) {
	r := remote(&source{name: "x", body: set(ec("a"))})
	current(r)
	b.ReportAllocs()
	for b.Loop() {
		r.Poll()
	}
}
