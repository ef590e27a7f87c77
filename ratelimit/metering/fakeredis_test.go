package metering

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// hashes is a Redis that knows hashes and does what flush.lua and identity.lua do.
type hashes struct {
	t      *testing.T
	mu     sync.Mutex // guards all below
	all    map[string]map[string]string
	ahead  time.Duration
	broken error // the answer to every command
	// lost reports whether the answer to a command does not arrive, and whether the command does. Optional.
	lost func(c []string) (answer, command bool)
}

func (h *hashes) open() *redisconn.Conn {
	h.t.Helper()
	config, err := redisconn.Parse(redistest.Scripted(h.t, h.answer).URL())
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *hashes) answer(c []string) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return h.broken
	}
	if h.lost != nil {
		if answer, command := h.lost(c); answer {
			if !command {
				h.do(c)
			}
			return errors.New("ERR the answer is lost")
		}
	}
	return h.do(c)
}

// do does what a command says. The caller holds mu.
func (h *hashes) do(c []string) any {
	switch strings.ToUpper(c[0]) {
	case "TIME":
		now := time.Now().Add(h.ahead)
		return []any{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)}
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
			if value, there := h.all[c[1]][name]; there {
				values = append(values, value)
			} else {
				values = append(values, nil)
			}
		}
		return values
	case "HSET":
		h.set(c[1], c[2:])
		return 1
	case "HDEL":
		for _, name := range c[2:] {
			delete(h.all[c[1]], name)
		}
		return 1
	case "EVALSHA":
		if c[3] == "gw:meta" {
			return h.identity(c[3], c[4])
		}
		return h.flush(c[3], c[4:])
	}
	h.t.Errorf("unexpected command %q", c)
	return errors.New("ERR unknown command")
}

func (h *hashes) set(key string, fields []string) {
	if h.all == nil {
		h.all = make(map[string]map[string]string)
	}
	if h.all[key] == nil {
		h.all[key] = make(map[string]string)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		h.all[key][fields[i]] = fields[i+1]
	}
}

func (h *hashes) identity(key, own string) any {
	if h.all[key]["ledger"] == "" {
		h.set(key, []string{"ledger", own, "since", strconv.FormatInt(time.Now().UnixMicro(), 10)})
	}
	since, err := strconv.ParseInt(h.all[key]["since"], 10, 64)
	if err != nil {
		return []any{h.all[key]["ledger"], "-1"}
	}
	return []any{h.all[key]["ledger"], strconv.FormatInt(max(-1, time.Now().UnixMicro()-since), 10)}
}

func (h *hashes) flush(key string, args []string) any {
	believed, _ := strconv.ParseUint(args[0], 10, 64)
	high, _ := strconv.ParseUint(args[1], 10, 64)
	part, push := args[2], args[3]
	current, _ := strconv.ParseUint(h.all[key]["_h"], 10, 64)
	found := strconv.FormatUint(current, 10)
	switch {
	case current < believed, (part == "more" || part == "last") && h.all[key]["_p"] != push:
		return []any{"rolled_back", found}
	case current > high:
		return []any{"ahead", found}
	case current == high && believed == high:
		return []any{"already", found}
	}
	h.set(key, append([]string{"_p", push}, args[4:]...))
	if part == "only" || part == "last" {
		h.set(key, []string{"_h", args[1]})
	}
	return []any{"applied", args[1]}
}

// empty removes everything.
func (h *hashes) empty() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = nil
}

func (h *hashes) breakWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
}

func (h *hashes) put(key string, fields ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(key, fields)
}

func (h *hashes) remove(key string, names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		delete(h.all[key], name)
	}
}

func (h *hashes) hash(key string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.all[key])
}

// fields returns the fields of all hashes of sums.
func (h *hashes) fields() (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, hash := range h.all {
		if strings.HasPrefix(key, "gw:{q:") {
			names = slices.AppendSeq(names, maps.Keys(hash))
		}
	}
	return names
}
