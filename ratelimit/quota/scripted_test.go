package quota

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// shards is a Redis that answers as claim.lua and poll.lua would, by the rule in Go. End-to-end tests compare the scripts with that
// rule; unit tests use it for a Manager's side.
type shards struct {
	*redistest.ScriptedServer
	clock *clock

	mu      sync.Mutex // guards all below
	server  int        // its number is that of the epoch
	leases  map[string]*lease
	hashes  map[string]map[string]string // of overrides
	joined  map[string]int               // the epoch of each holder, by shard and holder
	left    []string                     // holders, a shard each time
	reclaim bool                         // whatever a gateway holds
	fails   func(command []string) any   // answers in place of all the rest, unless nil
}

func startShards(t *testing.T, c *clock) *shards {
	t.Helper()
	s := &shards{
		clock:  c,
		server: 1,
		leases: make(map[string]*lease),
		hashes: make(map[string]map[string]string),
		joined: make(map[string]int),
	}
	s.ScriptedServer = redistest.Scripted(t, s.answer)
	return s
}

// change runs f while nothing is answered.
func (s *shards) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shards) epoch() string { return fmt.Sprintf("%d:server%d", s.server, s.server) }

func (s *shards) answer(command []string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		if answer := s.fails(command); answer != nil {
			return answer
		}
	}
	switch command[0] {
	case "EVALSHA":
		if command[3] == overridesKey {
			return s.setLimit(command[4:])
		}
		return s.run(command[3], command[4:])
	case "HLEN":
		return len(s.hash(command[1]))
	case "HSCAN":
		pairs := []any{}
		for field, value := range s.hash(command[1]) {
			pairs = append(pairs, field, value)
		}
		return []any{"0", pairs}
	case "HSET":
		if s.hashes[command[1]] == nil {
			s.hashes[command[1]] = make(map[string]string)
		}
		s.hashes[command[1]][command[2]] = command[3]
		return 1
	case "HDEL":
		delete(s.hashes[command[1]], command[2])
		return 1
	}
	return errors.New("ERR no such command here")
}

// setLimit answers as limits.lua would.
func (s *shards) setLimit(pairs []string) any {
	organization, limit, version := pairs[1], pairs[3], pairs[5]
	if s.hashes[overridesKey] == nil {
		s.hashes[overridesKey] = make(map[string]string)
	}
	h := s.hashes[overridesKey]
	number := func(text string) uint64 {
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	if number(version) > number(h["|"+organization]) {
		h["|"], h[organization], h["|"+organization] = "", limit, version
	}
	return []any{h[organization]}
}

// hash has the fields that HeldBy and Overrides read.
func (s *shards) hash(key string) map[string]string {
	fields := make(map[string]string)
	maps.Copy(fields, s.hashes[key])
	if key != overridesKey {
		fields["_id"], fields["_run"], _ = strings.Cut(s.epoch(), ":")
		fields["_m"] = fmt.Sprint(s.members(key))
	}
	for window, l := range s.leases {
		_, organization, _ := strings.Cut(window, "|")
		if key != grantsKey(metering.Shard(organization)) {
			continue
		}
		if g := l.Grace; g != nil {
			fields["y|"+window] = fmt.Sprintf("%s|%d", graceText(g.grace()), g.At)
		}
		for name, h := range l.Holders {
			fields["g|"+window+"|"+name] = fmt.Sprintf("%d:%d", h.Granted, h.Number)
		}
	}
	return fields
}

func (s *shards) run(key string, pairs []string) any {
	request, windows := make(map[string]string), []string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "window" {
			windows = append(windows, pairs[i+1])
			continue
		}
		request[pairs[i]] = pairs[i+1]
	}
	member := key + "|" + request["holder"]
	if settled := request["settled"]; settled == "" || settled == s.epoch() {
		switch request["change"] {
		case "join":
			s.joined[member] = s.server
		case "leave":
			delete(s.joined, member)
			s.left = append(s.left, request["holder"])
		}
	}
	outside := s.joined[member] != s.server
	recovering := outside
	answer := func(a Answer) any {
		return []any{
			fmt.Sprint(a.Granted), fmt.Sprint(a.Total), fmt.Sprint(a.Limit), oneIf(a.Exhausted), oneIf(a.Reclaim || s.reclaim), s.epoch(),
			oneIf(recovering), fmt.Sprint(a.Number), graceText(a.Grace), oneIf(outside),
		}
	}
	if _, claims := request["limit"]; !claims {
		if _, changes := request["change"]; changes {
			return answer(Answer{})
		}
		return s.poll(key, request, windows)
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(request[name], 10, 64)
		return n
	}
	c := Claim{
		Holder:  request["holder"],
		Number:  uint64(number("number")),
		Holds:   number("holds"),
		Wants:   number("wants"),
		Starved: request["starved"] == "1",
	}
	c.Grace, _ = parseGrace(request["grace"])
	l := s.leases[windows[0]]
	if l == nil {
		l = &lease{Holders: make(map[string]holder)}
		s.leases[windows[0]] = l
	}
	limit := number("limit")
	if override, ok := s.hashes[key]["l|"+request["organization"]]; ok {
		limit, _ = strconv.ParseInt(override, 10, 64)
	}
	if recovering = outside && l.Total-l.Holders[c.Holder].Granted+c.Holds < limit; recovering {
		c.Wants = 0
	}
	return answer(l.settle(c, limit, instantOf(s.clock.now())))
}

// poll answers as poll.lua would.
func (s *shards) poll(key string, request map[string]string, windows []string) []any {
	list := []any{s.epoch(), fmt.Sprint(s.members(key))}
	peers := strings.Split(request["peers"], "|")
	for _, window := range windows {
		l := s.leases[window]
		if l == nil {
			l = new(lease)
		}
		grace := ""
		if l.Grace != nil {
			g := *l.Grace
			g.advance(instantOf(s.clock.now()))
			grace = graceText(g.grace())
		}
		list = append(list, oneIf(s.reclaim), grace, fmt.Sprint(l.Total))
		for _, peer := range peers[:len(peers)-1] {
			grant := ""
			if h, ok := l.Holders[peer]; ok {
				grant = fmt.Sprintf("%d:%d", h.Granted, h.Number)
			}
			list = append(list, grant)
		}
	}
	return list
}

// members returns how many holders are in the shard of a key.
func (s *shards) members(key string) (n int) {
	for member := range s.joined {
		if strings.HasPrefix(member, key+"|") {
			n++
		}
	}
	return n
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// held returns how many units of acme a holder has.
func (s *shards) held(holder string) (n int64) {
	s.change(func() {
		for window, l := range s.leases {
			if strings.HasSuffix(window, "|acme") {
				n += l.Holders[holder].Granted
			}
		}
	})
	return n
}

func redisAt(t *testing.T, url string, history bool) *Redis {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return NewRedis(conn, history, func() int { return 2 })
}

// openShared is openGateway over a Redis.
func openShared(t *testing.T, s *shards, dir string, c *clock) *gateway {
	t.Helper()
	ledger, err := metering.Open(metering.Config{Dir: dir, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	r := redisAt(t, s.URL(), false)
	return &gateway{
		Manager:   NewManager(ledger, r),
		t:         t,
		ledger:    ledger,
		allowance: hard(1000),
	}
}

// served calls until n passed.
func (g *gateway) served(n int) {
	g.t.Helper()
	passed := 0
	if !becomesTrue(func() bool {
		if g.call() == nil {
			passed++
		}
		return passed == n
	}) {
		g.t.Fatalf("%d of %d calls passed", passed, n)
	}
}
