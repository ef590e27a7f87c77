package redisconn

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// asked are the commands that a server got, each as one text.
func asked(s *redistest.ScriptedServer) (list []string) {
	for _, c := range s.Commands() {
		list = append(list, strings.Join(c, " "))
	}
	return list
}

// pairs returns fields as HSCAN answers them.
func pairs(cursor string, fields ...any) []any { return []any{cursor, fields} }

// A hash is read in steps until the cursor is 0, each as large as the fields of the one before allow.
func TestHashAllInSteps(t *testing.T) {
	large := strings.Repeat("v", scanReply/8)
	s := redistest.Scripted(t, func(c []string) any {
		switch {
		case c[0] == "HLEN":
			return 4
		case c[2] == "0":
			return pairs("7", "a", "1", "b", "2")
		case c[2] == "7":
			return pairs("9", "c", large)
		}
		return pairs("0", "d", "")
	})
	got, err := open(t, s.URL()).HashAll(t.Context(), "h")
	if want := map[string]string{"a": "1", "b": "2", "c": large, "d": ""}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%d fields, %v", len(got), err)
	}
	want := []string{"HLEN h", "hscan h 0 count 16", "hscan h 7 count 128", "hscan h 9 count 1023", "HLEN h"}
	if got := asked(s); !slices.EqualFunc(got, want, strings.EqualFold) {
		t.Errorf("asked %q", got)
	}
}

// A read with fewer fields than the hash had is done again, three times at most.
func TestHashAllWithGaps(t *testing.T) {
	for _, tt := range []struct {
		complete int // the read that lacks nothing
		want     error
	}{{1, nil}, {2, nil}, {3, nil}, {4, errChanging}} {
		reads := 0
		s := redistest.Scripted(t, func(c []string) any {
			if c[0] == "HLEN" {
				return 2
			}
			reads++
			if reads == tt.complete {
				return pairs("0", "a", "1", "b", "2")
			}
			return pairs("0", "a", "1")
		})
		fields, err := open(t, s.URL()).HashAll(t.Context(), "h")
		if !errors.Is(err, tt.want) || err == nil && len(fields) != 2 || reads != min(tt.complete, scanRounds) {
			t.Errorf("complete is read %d: %v, %v after %d reads", tt.complete, fields, err, reads)
		}
	}
}

// Each call's error has the key in it, and tells what the server said.
func TestCallsThatFail(t *testing.T) {
	ctx := t.Context()
	script := NewScript("return 1")
	calls := map[string]func(c *Conn) error{
		"HashAll":       func(c *Conn) error { _, err := c.HashAll(ctx, "key"); return err },
		"HashGet":       func(c *Conn) error { _, err := c.HashGet(ctx, "key", "a"); return err },
		"HashSet":       func(c *Conn) error { return c.HashSet(ctx, "key", "a", "1") },
		"HashSetAll":    func(c *Conn) error { return c.HashSetAll(ctx, "key", map[string]string{"a": "1"}) },
		"HashDelete":    func(c *Conn) error { return c.HashDelete(ctx, "key", "a") },
		"Run":           func(c *Conn) error { _, err := c.Run(ctx, script, "key"); return err },
		"Replicas":      func(c *Conn) error { _, err := c.Replicas(ctx); return err },
		"ClockOffset":   func(c *Conn) error { _, _, err := c.ClockOffset(ctx); return err },
		"Settings":      func(c *Conn) error { _, err := c.Settings(ctx, "maxmemory"); return err },
		"TellsRestarts": func(c *Conn) error { _, err := c.TellsRestarts(ctx); return err },
	}
	for name, call := range calls {
		for _, reply := range []error{errors.New("LOADING Redis is loading the dataset in memory"), errors.New("CLUSTERDOWN The cluster is down")} {
			c := open(t, redistest.Scripted(t, func([]string) any { return reply }).URL())
			code, _, _ := strings.Cut(reply.Error(), " ")
			if err := call(c); err == nil || ReplyCode(err) != code {
				t.Errorf("%s: %v", name, err)
			}
			if state := c.State(); state.Health != Down || state.Err == nil {
				t.Errorf("%s: %+v", name, state)
			}
		}
		c := open(t, redistest.Scripted(t, func([]string) any { return redistest.HangUp{} }).URL())
		if err := call(c); err == nil || ReplyCode(err) != "" || c.State().Health != Down {
			t.Errorf("%s without an answer: %v, %+v", name, err, c.State())
		}
	}
	// What a server refuses this user is an answer, and the rest is told without it.
	c := open(t, redistest.Scripted(t, func([]string) any { return errors.New("NOPERM this user has no permissions") }).URL())
	if found, err := c.Settings(ctx, "maxmemory"); err != nil || len(found) != 0 {
		t.Errorf("settings %v, %v", found, err)
	}
	if tells, err := c.TellsRestarts(ctx); err != nil || tells {
		t.Errorf("tells restarts: %v, %v", tells, err)
	}
	if state := c.State(); state.Health != Up {
		t.Errorf("%+v", state)
	}
}

// Calls without anything to do send nothing.
func TestCallsOfNothing(t *testing.T) {
	s := redistest.Scripted(t, func([]string) any { return errors.New("ERR nothing was to be asked") })
	c := open(t, s.URL())
	none, err := c.HashGet(t.Context(), "h")
	if err := errors.Join(err, c.HashSetAll(t.Context(), "h", nil), c.HashDelete(t.Context(), "h")); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	if n := len(asked(s)); n != 0 {
		t.Errorf("%d commands", n)
	}
	if err := c.Watch(t.Context(), WatchConfig{Keys: []string{"h"}}); err == nil || !strings.Contains(err.Error(), "nobody to tell") {
		t.Errorf("a watch that tells nobody: %v", err)
	}
}

// Settings, replicas, restarts and the clock are read from what servers answer.
func TestAnswersAboutTheServer(t *testing.T) {
	ahead := time.Hour
	info := map[string]string{
		"server":      "# Server\r\nredis_version:8.0.0\r\nrun_id:0123\r\n",
		"replication": "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nmaster_replid:4567\r\n",
	}
	s := redistest.Scripted(t, func(c []string) any {
		switch c[0] {
		case "TIME":
			now := time.Now().Add(ahead)
			return []any{fmt.Sprint(now.Unix()), fmt.Sprint(now.Nanosecond() / 1000)}
		case "INFO":
			return info[c[1]]
		case "CONFIG":
			if c[2] == "maxmemory" {
				return []any{"maxmemory", "0"}
			}
			return []any{}
		case "EVALSHA":
			return errors.New("NOSCRIPT No matching script.")
		}
		return []any{c[1], c[4]} // EVAL
	})
	c := open(t, s.URL())
	if offset, within, err := c.ClockOffset(t.Context()); err != nil || (offset-ahead).Abs() > within+time.Millisecond {
		t.Errorf("%s ahead, within %s, %v", offset, within, err)
	}
	if n, err := c.Replicas(t.Context()); err != nil || n != 2 {
		t.Errorf("%d replicas, %v", n, err)
	}
	if tells, err := c.TellsRestarts(t.Context()); err != nil || !tells {
		t.Errorf("tells restarts: %v, %v", tells, err)
	}
	if found, err := c.Settings(t.Context(), "maxmemory", "unknown"); err != nil || !maps.Equal(found, map[string]string{"maxmemory": "0"}) {
		t.Errorf("%v, %v", found, err)
	}
	if reply, err := c.Run(t.Context(), NewScript("return ARGV"), "key", "x"); err != nil || fmt.Sprint(reply) != "[return ARGV x]" {
		t.Errorf("a script that the server does not know: %v, %v", reply, err)
	}
	info = map[string]string{}
	if n, err := c.Replicas(t.Context()); err != nil || n != 0 {
		t.Errorf("%d replicas, %v", n, err)
	}
	if tells, err := c.TellsRestarts(t.Context()); err != nil || tells {
		t.Errorf("tells restarts: %v, %v", tells, err)
	}
}

// A refused write is down until one is taken, whatever is read meanwhile.
func TestStateOfARefusedWrite(t *testing.T) {
	refuses := true
	s := redistest.Scripted(t, func(c []string) any {
		switch {
		case c[0] != "HSET":
			return []any{"1"}
		case refuses:
			return errors.New("ERR Error running script: -OOM command not allowed when used memory > 'maxmemory'.")
		}
		return 1
	})
	c := open(t, s.URL())
	if c.State().Health != Unknown || c.Config().Addresses[0] != s.Address {
		t.Errorf("%+v of %v", c.State(), c.Config())
	}
	if err := c.HashSet(t.Context(), "h", "a", "1"); ReplyCode(err) != "OOM" {
		t.Errorf("refused with %q: %v", ReplyCode(err), err)
	}
	if _, err := c.HashGet(t.Context(), "h", "a"); err != nil || c.State().Health != Down {
		t.Errorf("after a read %+v, %v", c.State(), err)
	}
	refuses = false
	if err := c.HashSet(t.Context(), "h", "a", "1"); err != nil || c.State().Health != Up {
		t.Errorf("after a write %+v, %v", c.State(), err)
	}
}

// The library's messages go where they are told to; after nil nowhere.
func TestSetLogger(t *testing.T) {
	var got []string
	l := logger(func(message string) { got = append(got, message) })
	l.Printf(t.Context(), "new master %s", "h1:6379")
	logger(nil).Printf(t.Context(), "nobody hears this")
	if !slices.Equal(got, []string{"new master h1:6379"}) {
		t.Errorf("%q", got)
	}
}
