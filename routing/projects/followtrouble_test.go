package projects

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The store is away at the start, and later: it is tried for ever and not too
// often, the projects in force stay, and its return is noticed within seconds.
func TestFollowAway(t *testing.T) {
	away := errors.New("connection refused")
	store := newFakeStore()
	store.away = away
	store.set(ProjectsKey, "a", "{}")
	follow(t, store, func(t *testing.T, f *followed) {
		if n := f.after(time.Hour); n != 0 {
			t.Fatalf("applied %d times", n)
		}
		if n := store.readCount(); n < 720 || n > 4000 {
			t.Errorf("%d attempts in an hour", n)
		}
		if state := f.State(); state.Watching || !errors.Is(state.Err, away) || !state.Synced.IsZero() {
			t.Errorf("state %+v", state)
		}
		if n := len(f.states); n != 1 {
			t.Errorf("told of %d states, want one", n)
		}
		store.setAway(nil)
		if n := f.after(6 * time.Second); n != 1 {
			t.Errorf("applied %d times after its return", n)
		}
		if state := f.State(); !state.Watching || state.Err != nil || state.Synced.IsZero() {
			t.Errorf("state %+v", state)
		}

		store.setAway(away)
		if n := f.after(time.Hour); n != 1 {
			t.Errorf("applied %d times while it was away", n)
		}
		if state := f.State(); state.Watching || !errors.Is(state.Err, away) || time.Since(state.Synced) < 50*time.Minute {
			t.Errorf("state %+v", state)
		}
		store.set(ProjectsKey, "b", "{}")
		store.setAway(nil)
		if n := f.after(6 * time.Second); n != 2 || !strings.Contains(f.last(), "|b|") {
			t.Errorf("applied %d times after its return: %s", n, f.last())
		}
	})
}

// A watch that is lost is put up again at once, and what happened meanwhile is
// read.
func TestFollowWatchLost(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		for i := range 5 {
			store.set(ProjectsKey, "a", fmt.Sprint(i))
			store.lost <- errors.New("failover")
			if n := f.after(time.Second); n != i+2 || store.watches != i+2 {
				t.Fatalf("applied %d times, %d watches", n, store.watches)
			}
		}
		if state := f.State(); !state.Watching || state.Err != nil {
			t.Errorf("state %+v", state)
		}
	})
}

// A store that can be read and not watched is read every few seconds.
func TestFollowWithoutWatch(t *testing.T) {
	store := newFakeStore()
	store.noWatch = errors.New("NOPERM")
	follow(t, store, func(t *testing.T, f *followed) {
		if n := f.after(time.Second); n != 1 {
			t.Fatalf("applied %d times", n)
		}
		f.after(time.Minute)
		store.set(ProjectsKey, "a", "{}")
		if n := f.after(6 * time.Second); n != 2 {
			t.Errorf("applied %d times", n)
		}
		if state := f.State(); state.Watching || !errors.Is(state.Err, store.noWatch) || time.Since(state.Synced) > 6*time.Second {
			t.Errorf("state %+v", state)
		}
	})
}

// A store that has come back without its data takes no project away; one that
// has lost its last project, but not the organizations, does.
func TestFollowLostData(t *testing.T) {
	store := newFakeStore()
	store.set(OrganizationsKey, "acme", "{}")
	store.set(ProjectsKey, "a", "{}")
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		store.set(OrganizationsKey, "acme", "")
		store.set(ProjectsKey, "a", "")
		store.tell()
		if n := f.after(time.Minute); n != 1 {
			t.Errorf("applied %d times: %s", n, f.last())
		}
		if state := f.State(); !errors.Is(state.Err, errLost) {
			t.Errorf("state %+v", state)
		}
		store.set(OrganizationsKey, "acme", "{}")
		store.tell()
		if n := f.after(time.Second); n != 2 || strings.Contains(f.last(), "|a|") {
			t.Errorf("applied %d times: %s", n, f.last())
		}
		if state := f.State(); state.Err != nil {
			t.Errorf("state %+v", state)
		}
	})
}

// An empty store is a catalogue without projects, as long as nothing else is in
// force.
func TestFollowEmpty(t *testing.T) {
	follow(t, newFakeStore(), func(t *testing.T, f *followed) {
		if n := f.after(5 * time.Minute); n != 1 || f.last() != "" {
			t.Errorf("applied %d times: %s", n, f.last())
		}
		if state := f.State(); state.Err != nil {
			t.Errorf("state %+v", state)
		}
	})
}

// What the watch has to say reaches the operator, once.
func TestFollowProblem(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		told := len(f.states)
		for range 3 {
			store.watch.Problem("notifications are off")
		}
		if state := f.State(); state.Problem != "notifications are off" || len(f.states) != told+1 {
			t.Errorf("state %+v, told %d times", state, len(f.states)-told)
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	hash := make(map[string]string)
	for i := range 10_000 {
		hash[fmt.Sprintf("%020d", i)] = strings.Repeat("x", 12<<10)
	}
	p := newFingerprint()
	b.SetBytes(int64(p.of(hash).size))
	b.ReportAllocs()
	for b.Loop() {
		p.of(hash)
	}
}
