package sockets

import (
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseAll: everyone gets a Close, also who comes late; it returns when all are gone, every time.
func TestCloseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry()
		registry.CloseAll() // of a process without sockets
		registry = NewRegistry()
		var clients sync.WaitGroup
		connect := func() {
			s, client := openSocket(registry)
			clients.Go(func() {
				// A polite client: the connection ends when it has answered.
				if _, err := io.ReadFull(client, make([]byte, len(goodbye))); err != nil {
					t.Errorf("the client reads: %v", err)
				}
				time.Sleep(time.Second)
				_ = s.Close()
				_ = s.Close()
			})
		}
		for range 10 {
			connect()
		}
		if n := registry.Len(); n != 10 {
			t.Errorf("%d sockets are open", n)
		}
		start := time.Now()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(registry.CloseAll)
		}
		synctest.Wait()
		for range 10 {
			clients.Go(connect)
		}
		closers.Wait()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("it took %v", waited)
		}
		clients.Wait()
		registry.CloseAll()
		if n := registry.Len(); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
		if err := registry.Destruct(); err != nil {
			t.Error(err)
		}
		time.Sleep(closeWait) // the timers end
	})
}

// TestLateSockets: sockets come and go while the process stops; waiting for them must not be a race.
func TestLateSockets(t *testing.T) {
	registry := NewRegistry()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 50 {
				s, client := openSocket(registry)
				_, _ = client.Close(), s.Close()
			}
		})
		workers.Go(registry.CloseAll)
	}
	workers.Wait()
	registry.CloseAll()
	if n := registry.Len(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

// TestCloseShare: a drain closes the sockets of its region alone, each once, and all of them in the end.
func TestCloseShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry()
		var clients sync.WaitGroup
		var drained atomic.Int64
		add := func(region string, drainAt float64) {
			s, client := openSocket(registry)
			s.region, s.drainAt = region, drainAt
			clients.Go(func() {
				read, err := io.ReadAll(client)
				if err != nil {
					t.Errorf("the client reads: %v", err)
				}
				if strings.HasSuffix(string(read), reasonDrained) {
					drained.Add(1)
				}
			})
		}
		for i := range 10 {
			add("a", float64(i)/10)
		}
		add("b", 0)
		for _, step := range []struct {
			share float64
			want  int64
		}{{0, 1}, {0.25, 3}, {0.25, 3}, {0.9, 10}, {1, 10}} {
			registry.CloseShare("a", step.share)
			time.Sleep(closeWait) // of the synctest clock
			synctest.Wait()
			if n := drained.Load(); n != step.want {
				t.Errorf("%d sockets are closed at %v, want %d", n, step.share, step.want)
			}
			if left := registry.InRegion("a"); left != 10-int(step.want) {
				t.Errorf("%d sockets are left in the region at %v", left, step.share)
			}
		}
		if n := registry.InRegion("b"); n != 1 || registry.Len() != 1 {
			t.Errorf("%d sockets are left in the other region, %d in all", n, registry.Len())
		}
		registry.CloseAll()
		clients.Wait()
		if n := drained.Load(); n != 10 {
			t.Errorf("%d sockets were drained", n)
		}
	})
}
