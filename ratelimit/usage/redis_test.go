package usage_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// hashes is a Redis that knows hashes and does what leader.lua and terms.lua do.
type hashes struct {
	mu     sync.Mutex // guards all below
	all    map[string]map[string]string
	broken bool
	faster []string
}

func openHashes(t *testing.T) (*hashes, *redisconn.Conn) {
	t.Helper()
	h := &hashes{all: make(map[string]map[string]string)}
	config, err := redisconn.Parse(redistest.Scripted(t, h.answer).URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return h, conn
}

func (h *hashes) answer(c []string) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return errors.New("ERR no")
	}
	switch strings.ToUpper(c[0]) {
	case "HLEN":
		return len(h.all[c[1]])
	case "HSCAN":
		fields := []any{}
		for name, value := range h.all[c[1]] {
			fields = append(fields, name, value)
		}
		return []any{"0", fields}
	case "HMGET":
		values := []any{}
		for _, name := range c[2:] {
			if value, ok := h.all[c[1]][name]; ok {
				values = append(values, value)
			} else {
				values = append(values, nil)
			}
		}
		return values
	case "HSET":
		if h.all[c[1]] == nil {
			h.all[c[1]] = make(map[string]string)
		}
		for i := 2; i+1 < len(c); i += 2 {
			h.all[c[1]][c[i]] = c[i+1]
		}
		return 1
	case "HDEL":
		for _, name := range c[2:] {
			delete(h.all[c[1]], name)
		}
		return 1
	case "EVALSHA":
		if c[3] == "gw:terms" {
			return h.change(c[3], c[4:])
		}
		if c[3] != "gw:exporters" {
			return h.swap(c[3], c[4], c[5], c[6])
		}
		if len(c) == 6 {
			delete(h.all[c[3]], c[4])
			return c[5]
		}
		return h.lead(c[3], c[4], c[5])
	}
	return errors.New("ERR unknown command " + c[0])
}

// swap does what told.lua does.
func (h *hashes) swap(key, field, read, text string) any {
	if is, ok := h.all[key][field]; ok && is != read && is != text {
		return is
	}
	if h.all[key] == nil {
		h.all[key] = make(map[string]string)
	}
	h.all[key][field] = text
	return ""
}

// lead keeps the leader for ever: time is for the test with a real Redis.
func (h *hashes) lead(key, service, gateway string) any {
	if h.all[key] == nil {
		h.all[key] = make(map[string]string)
	}
	if h.all[key][service] == "" {
		h.all[key][service] = gateway
	}
	return h.all[key][service]
}

// change is terms.lua. faster is what other gateways write before.
func (h *hashes) change(key string, args []string) any {
	if h.all[key] == nil {
		h.all[key] = make(map[string]string)
	}
	if len(h.faster) > 0 {
		h.all[key][args[0]], h.faster = h.faster[0], h.faster[1:]
	}
	if has := h.all[key][args[0]]; has != args[1] {
		return has
	}
	h.all[key][args[0]], h.all[key]["|changed"] = args[2], args[3]
	return args[2]
}

func (h *hashes) breakDown(broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken
}

func (h *hashes) empty() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = make(map[string]map[string]string)
}

// copied returns a copy of everything; back puts one in the place of what is there.
func (h *hashes) copied() map[string]map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string]map[string]string)
	for key, hash := range h.all {
		all[key] = maps.Clone(hash)
	}
	return all
}

func (h *hashes) back(all map[string]map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = all
}

// What gateways share of the pages: the next leader reads them, also after Redis was emptied, and after the sink was renamed.
func TestSharedPages(t *testing.T) {
	redis, conn := openHashes(t)
	one, two := newRig(t, 1), newRig(t, 2)
	first, second := usage.NewSharedPages(one.store, conn), usage.NewSharedPages(two.store, conn)
	keys := make([]usage.PageKey, 40)
	pages := make(map[usage.PageKey][]byte)
	for i := range keys {
		keys[i] = usage.PageKey{Account: "account " + strconv.Itoa(i), Period: "2026-11", Span: "2026-11-" + strconv.Itoa(10+i/2)}
		pages[keys[i]] = fmt.Appendf(nil, `{"sent":{"item":{"r":1,"v":%d}}}`, i)
	}
	if others, err := first.Save(t.Context(), "sink", pages); err != nil || len(others) != 0 {
		t.Fatal(others, err)
	}
	check := func(when, service string, p usage.SharedPages, want int) {
		t.Helper()
		found, err := p.Load(t.Context(), service, keys)
		if err != nil || len(found) != want {
			t.Errorf("%s: %d pages, %v", when, len(found), err)
		}
		for key, text := range found {
			if string(text) != string(pages[key]) {
				t.Errorf("%s: %v has %q", when, key, text)
			}
		}
	}
	check("the next leader", "sink", second, 40)
	n := 0
	if err := second.Each(t.Context(), "sink", func(usage.PageKey, []byte) error { n++; return nil }); err != nil || n != 40 {
		t.Errorf("%d pages, %v", n, err)
	}
	if err := second.Follow(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	if err := usage.RenamePages(t.Context(), conn, "sink", "renamed"); err != nil {
		t.Fatal(err)
	}
	check("renamed", "renamed", second, 40)
	if err := second.Forget(t.Context(), "renamed", time.Date(2026, 11, 20, 5, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	check("without the old ones", "renamed", second, 20)
	redis.empty()
	check("from the copy", "sink", second, 40)
	redis.breakDown(true)
	none := func(usage.PageKey, []byte) error { return nil }
	_, loadErr := first.Load(t.Context(), "sink", keys)
	_, saveErr := first.Save(t.Context(), "sink", pages)
	for name, err := range map[string]error{
		"load":   loadErr,
		"save":   saveErr,
		"each":   first.Each(t.Context(), "sink", none),
		"follow": first.Follow(t.Context(), "sink"),
		"forget": first.Forget(t.Context(), "sink", time.Now()),
		"rename": usage.RenamePages(t.Context(), conn, "sink", "renamed"),
		"lead":   usage.Lead(t.Context(), conn, "sink", "one"),
		"leave":  usage.Leave(t.Context(), conn, "sink", "one"),
		"join":   usage.NewJoiner(one.store, conn, "redis").Join(t.Context(), time.Time{}),
		"others": usage.NewJoiner(one.store, conn, "redis").Complete(t.Context()),
	} {
		if err == nil || errors.Is(err, usage.ErrNotLeader) {
			t.Errorf("%s without Redis: %v", name, err)
		}
	}
}

// One gateway leads; each service has a leader of its own.
func TestOneLeads(t *testing.T) {
	_, conn := openHashes(t)
	for _, tt := range []struct {
		service, gateway string
		leads            bool
	}{{"stripe", "one", true}, {"stripe", "two", false}, {"hook", "two", true}, {"stripe", "one", true}} {
		err := usage.Lead(t.Context(), conn, tt.service, tt.gateway)
		if tt.leads && err != nil || !tt.leads && !errors.Is(err, usage.ErrNotLeader) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
