package redisconn

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// subscribable answers as a server with notifications does; refused tells the channels that this user may not subscribe to.
func subscribable(flags string, refused func(channel string) bool) func(c []string) any {
	return func(c []string) any {
		switch c[0] {
		case "SUBSCRIBE":
			all := redistest.Each{}
			for i, channel := range c[1:] {
				if refused(channel) {
					return errors.New("NOPERM No permissions to access a channel")
				}
				all = append(all, []any{"subscribe", channel, i + 1})
			}
			return all
		case "CONFIG":
			return []any{"notify-keyspace-events", flags}
		case "PING":
			return []any{"pong", ""}
		case "EXISTS":
			return 1
		}
		return errors.New("ERR no such command here")
	}
}

func TestWatchTellsChangesAndProblems(t *testing.T) {
	for _, tt := range []struct {
		name, flags string
		refused     func(channel string) bool
		channel     string
		problem     string // in it; "" for none
	}{
		{"notifications", "Kgh", func(string) bool { return false }, "", ""},
		{"all notifications", "KA", func(string) bool { return false }, "written", ""},
		{"no notifications", "", func(string) bool { return false }, "", "notify-keyspace-events is \"\""},
		{"no notifications, but a channel", "", func(string) bool { return false }, "written", "PUBLISH written"},
		{"a channel alone is allowed", "Kgh", func(c string) bool { return c != "written" }, "written", "ACL SETUSER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Scripted(t, subscribable(tt.flags, tt.refused))
			c := open(t, s.URL())
			ctx, cancel := context.WithCancel(t.Context())
			var changes atomic.Int64
			problem := make(chan string, 1)
			ended := make(chan error, 1)
			go func() {
				ended <- c.Watch(ctx, WatchConfig{
					Keys:    []string{"h"},
					Channel: tt.channel,
					Changed: func() { changes.Add(1) },
					Problem: func(text string) { problem <- text },
				})
			}()
			if text := <-problem; (text == "") != (tt.problem == "") || !strings.Contains(text, tt.problem) {
				t.Errorf("problem %q, want in it %q", text, tt.problem)
			}
			if n := changes.Load(); n != 1 {
				t.Errorf("%d changes at the beginning", n)
			}
			s.Push([]any{"message", "__keyspace@0__:h", "hset"})
			within(t, 5*time.Second, "the change is told", func() bool { return changes.Load() == 2 })
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// A watch ends when its server does not have the keys any more, hangs up, or confirms nothing.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	never := func(string) bool { return false }
	for _, tt := range []struct {
		name   string
		answer func(c []string) any
		want   string
	}{
		{"moved", func(c []string) any {
			if c[0] == "EXISTS" {
				return errors.New("MOVED 1 127.0.0.1:1")
			}
			return subscribable("Kgh", never)(c)
		}, errMoved.Error()},
		{"cannot serve", func(c []string) any {
			if c[0] == "EXISTS" {
				return errors.New("LOADING Redis is loading the dataset in memory")
			}
			return subscribable("Kgh", never)(c)
		}, "LOADING"},
		{"refuses", subscribable("Kgh", func(string) bool { return true }), "NOPERM"},
		{"hangs up", func([]string) any { return redistest.HangUp{} }, "EOF"},
		{"confirms nothing", func([]string) any { return redistest.Silence{} }, errAnswer.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := open(t, redistest.Scripted(t, tt.answer).URL())
			err := c.Watch(t.Context(), WatchConfig{Keys: []string{"h"}, Changed: func() {}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want in it %q", err, tt.want)
			}
		})
	}
}

// While a slot is moved, each probe counts as a change.
func TestWatchWhileASlotMoves(t *testing.T) {
	s := redistest.Scripted(t, func(c []string) any {
		if c[0] == "EXISTS" {
			return errors.New("TRYAGAIN Multiple keys request during rehashing of slot")
		}
		return subscribable("Kgh", func(string) bool { return false })(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var changes atomic.Int64
	err := open(t, s.URL()).Watch(ctx, WatchConfig{Keys: []string{"h"}, Changed: func() {
		if changes.Add(1) == 2 { // the first is that of the beginning
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || changes.Load() != 2 {
		t.Errorf("%d changes, %v", changes.Load(), err)
	}
}

// By sentinels, calls and watches go to the master that they tell, and a watch ends when they tell another one.
func TestSentinelsTellTheMaster(t *testing.T) {
	server := subscribable("Kgh", func(string) bool { return false })
	master := redistest.Scripted(t, func(c []string) any {
		if c[0] == "HMGET" {
			return []any{"1"}
		}
		return server(c)
	})
	var moved atomic.Bool
	sentinel := redistest.Scripted(t, func(c []string) any {
		if c[0] != "SENTINEL" {
			return server(c)
		}
		switch strings.ToLower(c[1]) {
		case "get-master-addr-by-name":
			if c[2] != "main" {
				return nil
			}
			host, port, _ := net.SplitHostPort(master.Address)
			if moved.Load() {
				port = "1"
			}
			return []any{host, port}
		}
		return []any{}
	})
	url := func(name string) string { return sentinel.URL() + "?mode=sentinel&master=" + name }
	c := open(t, url("main"))
	if found, err := c.HashGet(t.Context(), "h", "a"); err != nil || found["a"] != "1" {
		t.Errorf("%v, %v", found, err)
	}
	err := c.Watch(t.Context(), WatchConfig{Keys: []string{"h"}, Changed: func() { moved.Store(true) }})
	if !errors.Is(err, errMoved) {
		t.Errorf("a watch of a master that was replaced: %v", err)
	}
	err = open(t, url("unknown")).Watch(t.Context(), WatchConfig{Keys: []string{"h"}, Changed: func() {}})
	if err == nil || !strings.Contains(err.Error(), `knows no master "unknown"`) {
		t.Errorf("a master that no sentinel knows: %v", err)
	}
}

// In a cluster, calls and watches go to the owner of the key's slot.
func TestClusterTellsTheOwner(t *testing.T) {
	server := subscribable("Kgh", func(string) bool { return false })
	owner := redistest.Scripted(t, func(c []string) any {
		if c[0] == "HMGET" {
			return []any{"1"}
		}
		return server(c)
	})
	node := redistest.Scripted(t, func(c []string) any {
		if c[0] == "CLUSTER" {
			host, port, _ := net.SplitHostPort(owner.Address)
			n, _ := strconv.Atoi(port)
			return []any{[]any{0, 16383, []any{host, n, "0123456789"}}}
		}
		return errors.New("ERR it has no slot")
	})
	c := open(t, node.URL()+"?mode=cluster")
	if found, err := c.HashGet(t.Context(), "h", "a"); err != nil || found["a"] != "1" {
		t.Errorf("%v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Watch(ctx, WatchConfig{Keys: []string{"h"}, Changed: cancel})
	if !errors.Is(err, context.Canceled) || !slices.Contains(asked(owner), "SUBSCRIBE __keyspace@0__:h") {
		t.Errorf("%v, the owner was asked %q", err, asked(owner))
	}
	owner.Stop()
	if _, err := c.HashGet(t.Context(), "h", "a"); err == nil || c.State().Health != Down {
		t.Errorf("without the owner: %v, %+v", err, c.State())
	}
}
