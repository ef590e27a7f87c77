package projects

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore is a store in memory. Its calls take no time unless told.
type fakeStore struct {
	mu      sync.Mutex
	hashes  map[string]map[string]string
	away    error // of every call
	noWatch error // of Watch
	takes   time.Duration
	reads   []time.Time // of the projects
	watches int
	watch   *Watch
	lost    chan error
}

func newFakeStore() *fakeStore {
	return &fakeStore{hashes: make(map[string]map[string]string), lost: make(chan error)}
}

func (s *fakeStore) HashAll(ctx context.Context, key string) (map[string]string, error) {
	s.mu.Lock()
	if key == ProjectsKey {
		s.reads = append(s.reads, time.Now())
	}
	s.mu.Unlock()
	// Not under the lock: a bubble's time stands still while somebody waits for one.
	sleep(ctx, s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	fields := make(map[string]string)
	maps.Copy(fields, s.hashes[key])
	return fields, ctx.Err()
}

func (s *fakeStore) Watch(ctx context.Context, watch Watch) error {
	s.mu.Lock()
	s.watches++
	err := errors.Join(s.away, s.noWatch)
	if err == nil {
		s.watch = &watch
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	watch.Changed()
	watch.Problem("")
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-s.lost:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = nil
	return err
}

// set writes a field, or deletes it if value is "", without a word.
func (s *fakeStore) set(key, field, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hashes[key] == nil {
		s.hashes[key] = make(map[string]string)
	}
	if s.hashes[key][field] = value; value == "" {
		delete(s.hashes[key], field)
	}
}

func (s *fakeStore) tell() {
	s.mu.Lock()
	watch := s.watch
	s.mu.Unlock()
	if watch != nil {
		watch.Changed()
	}
}

func (s *fakeStore) setAway(err error) {
	s.mu.Lock()
	s.away = err
	s.mu.Unlock()
	if err != nil {
		select {
		case s.lost <- err:
		default:
		}
	}
}

func (s *fakeStore) readCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reads)
}

// followed is what a Follower did.
type followed struct {
	*Follower
	mu      sync.Mutex
	applied []Input
	states  []FollowState
}

// follow runs a Follower in a bubble's virtual time while body runs.
func follow(t *testing.T, store *fakeStore, body func(t *testing.T, f *followed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store.lost = make(chan error) // of the bubble
		f := new(followed)
		var err error
		f.Follower, err = NewFollower(FollowerConfig{
			Store: store,
			Apply: func(in Input) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.applied = append(f.applied, in)
			},
			State: func(state FollowState) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.states = append(f.states, state)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { f.Run(ctx) })
		body(t, f)
		cancel()
		wg.Wait()
	})
}

// after lets virtual time pass and returns how often something was applied.
func (f *followed) after(d time.Duration) int {
	sleep(context.Background(), d)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.applied)
}

// last lists what was applied last: path, key and JSON of each record.
func (f *followed) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.applied) == 0 {
		return "nothing"
	}
	in := f.applied[len(f.applied)-1]
	var b strings.Builder
	for _, r := range append(in.Organizations, in.Projects...) {
		fmt.Fprintf(&b, "%s|%s|%s\n", r.Path, r.Key, r.JSON)
	}
	if !in.KeepGood {
		b.WriteString("all or nothing")
	}
	return b.String()
}

func TestNewFollowerRefuses(t *testing.T) {
	_, err := NewFollower(FollowerConfig{})
	if err == nil || !strings.Contains(err.Error(), "no store") || !strings.Contains(err.Error(), "nobody to apply") {
		t.Errorf("error %v", err)
	}
}

// What is in the store is applied, sorted and with its place, and only what
// differs is applied again.
func TestFollow(t *testing.T) {
	store := newFakeStore()
	store.set(OrganizationsKey, "acme", `{"plan":"pro"}`)
	store.set(ProjectsKey, "b", `{"ref":"b"}`)
	store.set(ProjectsKey, "a", `{}`)
	follow(t, store, func(t *testing.T, f *followed) {
		if n := f.after(100 * time.Millisecond); n != 1 {
			t.Fatalf("applied %d times", n)
		}
		want := "edge:{projects}:organizations acme|acme|{\"plan\":\"pro\"}\n" +
			"edge:{projects}:projects a|a|{}\nedge:{projects}:projects b|b|{\"ref\":\"b\"}\n"
		if got := f.last(); got != want {
			t.Errorf("applied\n%s, want\n%s", got, want)
		}
		if state := f.State(); !state.Watching || state.Err != nil || state.Synced.IsZero() {
			t.Errorf("state %+v", state)
		}

		store.tell()
		if n := f.after(time.Second); n != 1 {
			t.Errorf("applied %d times, though nothing changed", n)
		}
		store.set(ProjectsKey, "a", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 2 || !strings.Contains(f.last(), `|{"domains":[]}`) {
			t.Errorf("applied %d times: %s", n, f.last())
		}
		// the same value, under another field, or in the other hash, is a change
		store.set(ProjectsKey, "a", "")
		store.set(ProjectsKey, "c", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 3 {
			t.Errorf("applied %d times", n)
		}
		store.set(ProjectsKey, "c", "")
		store.set(OrganizationsKey, "c", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 4 {
			t.Errorf("applied %d times", n)
		}
	})
}

// A field's name may be anything, and must not break a message in two.
func TestFollowPath(t *testing.T) {
	list := records(ProjectsKey, map[string]string{"a\nb": "{}", "é": "{}", "plain": "{}"})
	for i, want := range []string{`"a\nb"`, "plain", `"é"`} {
		if list[i].Path != ProjectsKey+" "+want {
			t.Errorf("path %q, want %q at its end", list[i].Path, want)
		}
	}
}

// Every change is applied within a second, however many there are.
func TestFollowWithinASecond(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		for i := range 40 {
			value := fmt.Sprintf(`{"n":%d}`, i)
			store.set(ProjectsKey, "a", value)
			store.tell()
			for range 9 {
				f.after(100 * time.Millisecond)
				store.tell() // somebody else's change
			}
			f.after(99 * time.Millisecond)
			if got := f.last(); !strings.Contains(got, value) {
				t.Fatalf("a second after %s: %s", value, got)
			}
		}
	})
}

// A burst is read once, a stream of changes four times a second at most.
func TestFollowGathers(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		before := store.readCount()
		for range 20 {
			store.tell()
			f.after(5 * time.Millisecond)
		}
		f.after(time.Second)
		if n := store.readCount() - before; n != 1 {
			t.Errorf("a burst of 100 ms was read %d times", n)
		}
		before = store.readCount()
		for range 1000 {
			store.tell()
			f.after(10 * time.Millisecond)
		}
		if n := store.readCount() - before; n < 10 || n > 40 {
			t.Errorf("10 s of changes were read %d times", n)
		}
	})
}

// Under a stream of changes large content is not read more than once a second,
// and what takes long to read not more than a fifth of the time.
func TestFollowRests(t *testing.T) {
	for _, tc := range []struct {
		name  string
		size  int
		takes time.Duration // of each of the two hashes
		least time.Duration // from one start to the next
	}{
		{"small", 10, 0, restLeast},
		{"large", restLarge + 1, 0, time.Second},
		{"slow", 10, 500 * time.Millisecond, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := newFakeStore()
			store.takes = tc.takes
			store.set(ProjectsKey, "a", strings.Repeat(" ", tc.size))
			follow(t, store, func(t *testing.T, f *followed) {
				for range 2000 {
					store.tell()
					f.after(10 * time.Millisecond)
				}
				store.mu.Lock()
				defer store.mu.Unlock()
				if len(store.reads) < 3 {
					t.Fatalf("%d reads", len(store.reads))
				}
				for i := range store.reads[1:] {
					if d := store.reads[i+1].Sub(store.reads[i]); d < tc.least || d > tc.least+time.Second {
						t.Errorf("read after %v, want about %v", d, tc.least)
					}
				}
			})
		})
	}
}

// A message may get lost: a minute later the change is applied all the same.
func TestFollowResyncs(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		store.set(ProjectsKey, "a", "{}")
		if n := f.after(50 * time.Second); n != 1 {
			t.Fatalf("applied %d times", n)
		}
		if n := f.after(20 * time.Second); n != 2 {
			t.Errorf("applied %d times", n)
		}
		before := store.readCount()
		f.after(10 * time.Minute)
		if n := store.readCount() - before; n < 9 || n > 12 {
			t.Errorf("%d reads in ten quiet minutes", n)
		}
	})
}

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
