package projects

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
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
	build   atomic.Int64 // how long each Apply takes, a time.Duration
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
				sleep(context.Background(), time.Duration(f.build.Load()))
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
