//go:build e2e

package redisconn

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

const (
	watched = "edge:{projects}:projects"
	channel = "edge:{projects}:changed"
)

// watching is a Watch that runs until the test or it itself ends.
type watching struct {
	changes atomic.Int64
	ended   chan struct{}
	err     error // once ended

	mu      sync.Mutex
	problem string
}

// watch starts a Watch and waits until it is in place.
func watch(t *testing.T, c *Conn) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{ended: make(chan struct{}), problem: "not told"}
	go func() {
		defer close(w.ended)
		w.err = c.Watch(ctx, WatchConfig{
			Keys:    []string{watched, "edge:{projects}:organizations"},
			Channel: channel,
			Changed: func() { w.changes.Add(1) },
			Problem: func(text string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.problem = text
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-w.ended
	})
	within(t, 10*time.Second, "the watch is in place", func() bool {
		select {
		case <-w.ended:
			t.Fatal(w.err)
		default:
		}
		return w.changes.Load() > 0 && w.said() != "not told"
	})
	return w
}

func (w *watching) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// notices fails unless what do does is noticed within a second.
func (w *watching) notices(t *testing.T, what string, do func()) {
	t.Helper()
	before := w.changes.Load()
	do()
	within(t, time.Second, what, func() bool { return w.changes.Load() > before })
}

func (w *watching) ends(t *testing.T, limit time.Duration) error {
	t.Helper()
	select {
	case <-w.ended:
		return w.err
	case <-time.After(limit):
		t.Fatalf("the watch goes on after %v", limit)
		return nil
	}
}

// Both ways to notice a change, for every kind of change and of server.
func TestWatch(t *testing.T) {
	const notify = "notify-keyspace-events Kgh"
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) (url string, owner, other *redistest.Server)
	}{
		{"single", func(t *testing.T) (string, *redistest.Server, *redistest.Server) {
			s := redistest.Single(t, notify)
			return s.URL(), s, s
		}},
		{"sentinel", func(t *testing.T) (string, *redistest.Server, *redistest.Server) {
			s := redistest.Sentinel(t, 1, notify)
			return s.URL(), s.Master(), s.Master()
		}},
		{"cluster", func(t *testing.T) (string, *redistest.Server, *redistest.Server) {
			c := redistest.Cluster(t, 3, notify)
			for _, other := range c.Nodes {
				if other != c.Owner(watched) {
					return c.URL(), c.Owner(watched), other
				}
			}
			return "", nil, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, owner, other := tt.start(t)
			w := watch(t, open(t, url))
			if w.said() != "" {
				t.Errorf("problem %q", w.said())
			}
			w.notices(t, "HSET", func() { owner.Exec("HSET", watched, "a", "1") })
			w.notices(t, "HDEL of the last field", func() { owner.Exec("HDEL", watched, "a") })
			w.notices(t, "HSET of the other key", func() { owner.Exec("HSET", "edge:{projects}:organizations", "a", "1") })
			w.notices(t, "RENAME", func() {
				owner.Exec("HSET", "edge:{projects}:new", "a", "1")
				owner.Exec("RENAME", "edge:{projects}:new", watched)
			})
			w.notices(t, "DEL", func() { owner.Exec("DEL", watched) })
			w.notices(t, "PUBLISH, at any node", func() { other.Exec("PUBLISH", channel, "whatever") })
		})
	}
}

// Without notifications the operator is told, and PUBLISH alone is noticed.
func TestWatchWithoutNotifications(t *testing.T) {
	for _, tt := range []struct{ name, setting, want string }{
		{"off", "save \"\"", "notify-keyspace-events is \"\""},
		{"events of keys only", "notify-keyspace-events EA", "is \"AE\""},
		{"not of hashes", "notify-keyspace-events Kg", "is \"gK\""},
		{"CONFIG forbidden", "rename-command CONFIG \"\"", "could not be read"},
		{"subscriptions forbidden", "user default on nopass ~* resetchannels &edge:* +@all", "may not subscribe to keyspace notifications"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Single(t, tt.setting)
			w := watch(t, open(t, s.URL()))
			if !strings.Contains(w.said(), tt.want) || !strings.Contains(w.said(), "PUBLISH "+channel) {
				t.Errorf("problem %q, want in it %q", w.said(), tt.want)
			}
			w.notices(t, "PUBLISH", func() { s.Exec("PUBLISH", channel, "") })
		})
	}
}

// A server that goes ends the watch, one that falls silent after three seconds.
func TestWatchLosesServer(t *testing.T) {
	s := redistest.Single(t)
	c := open(t, s.URL())
	w := watch(t, c)
	s.Stop()
	if err := w.ends(t, 2*time.Second); err == nil || c.State().Health != Down {
		t.Errorf("ended by %v, state %+v", err, c.State())
	}
	if err := c.Watch(t.Context(), WatchConfig{Keys: []string{"k"}, Changed: func() {}}); err == nil {
		t.Error("a stopped server is watched")
	}
	s.Start()
	w = watch(t, c)
	s.Pause()
	defer s.Resume()
	if err := w.ends(t, 6*time.Second); err == nil {
		t.Error("ended without an error")
	}
}

func TestWatchEndsWithContext(t *testing.T) {
	c := open(t, redistest.Single(t).URL())
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Watch(ctx, WatchConfig{Keys: []string{"k"}, Changed: cancel})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
	if err := c.Watch(t.Context(), WatchConfig{}); err == nil {
		t.Error("watches nothing")
	}
}

// A failover ends the watch, and the next one is at the new master, also when
// the old one lives on.
func TestWatchFailover(t *testing.T) {
	s := redistest.Sentinel(t, 2, "notify-keyspace-events Kgh")
	c := open(t, s.URL())
	w := watch(t, c)
	master := s.Failover()
	if err := w.ends(t, 5*time.Second); err == nil {
		t.Error("ended without an error")
	}
	noticesAgain(t, c, "HSET at the new master", func() { master.Exec("HSET", watched, "a", "1") })

	master.Stop()
	master = s.Failover()
	if err := w.ends(t, 5*time.Second); err == nil {
		t.Error("ended without an error")
	}
	noticesAgain(t, c, "HSET at the third master", func() { master.Exec("HSET", watched, "a", "2") })
}

// noticesAgain fails unless a watch notices what do does. As long as a server that was the master has not heard that it is none any
// more, a watch may be there; that ends within seconds, and the next is tried.
func noticesAgain(t *testing.T, c *Conn, what string, do func()) {
	t.Helper()
	for range 5 {
		w := watch(t, c)
		before, ended := w.changes.Load(), false
		do()
		within(t, 10*time.Second, what+" or the end of the watch", func() bool {
			select {
			case <-w.ended:
				ended = true
			default:
			}
			return ended || w.changes.Load() > before
		})
		if !ended {
			return
		}
	}
	t.Fatalf("no watch notices %s", what)
}

// Keyspace notifications are told by the owner of the slot alone: when it moves
// the watch ends, and the next is at the new owner. While the slot is on its way
// changes are noticed too.
func TestWatchSlotMigration(t *testing.T) {
	s := redistest.Cluster(t, 3, "notify-keyspace-events Kgh")
	c := open(t, s.URL())
	s.Owner(watched).Exec("HSET", watched, "a", "1")
	w := watch(t, c)
	for range 3 {
		owner := s.Migrate(watched, func(*redistest.Server) {
			before := w.changes.Load()
			within(t, 3*time.Second, "a change on the way", func() bool { return w.changes.Load() > before+1 })
			if fields, err := c.HashAll(t.Context(), watched); err != nil || fields["a"] != "1" {
				t.Errorf("on the way: %v, %v", fields, err)
			}
		})
		if err := w.ends(t, 5*time.Second); !errors.Is(err, errMoved) {
			t.Errorf("ended by %v", err)
		}
		within(t, 5*time.Second, "the client knows the new owner", func() bool {
			w = watch(t, c)
			before := w.changes.Load()
			owner.Exec("HSET", watched, "a", "1")
			timeout := time.After(300 * time.Millisecond)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-timeout:
					return false
				case <-tick.C:
					if w.changes.Load() > before {
						return true
					}
				}
			}
		})
		if fields, err := c.HashAll(t.Context(), watched); err != nil || fields["a"] != "1" {
			t.Errorf("at the new owner: %v, %v", fields, err)
		}
	}
}
