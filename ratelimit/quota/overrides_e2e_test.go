//go:build e2e

package quota

import (
	"strconv"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// Redis loses limits that were set, or has earlier ones again, while gateways run, are off, or have been off since: what was set
// last holds.
func TestRedisOverridesOutlive(t *testing.T) {
	t.Parallel()
	limit := func(n int64) *int64 { return &n }
	const configured = 1000
	back := func(s *redistest.Server) { s.Stop(); s.Start() } // to what it saved
	empty := func(s *redistest.Server) { s.Exec("FLUSHALL") }
	for name, tt := range map[string]struct {
		saved, last *int64
		lose        func(*redistest.Server)
		want        int64
	}{
		"set, set back to none":          {nil, limit(20), back, 20},
		"set, set back to another":       {limit(2000), limit(20), back, 20},
		"set, emptied":                   {nil, limit(20), empty, 20},
		"raised, set back":               {limit(20), limit(2000), back, 2000},
		"set to default, set back":       {limit(20), nil, back, configured},
		"set to default, emptied":        {limit(20), nil, empty, configured},
		"never changed, set back":        {limit(20), limit(20), back, 20},
		"set to default twice, set back": {nil, nil, back, configured},
	} {
		for who, off := range map[string]bool{"all run": false, "all are off": true} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				s := redistest.Single(t)
				dirs := []string{t.TempDir(), t.TempDir()}
				start := func() (members []*member) {
					for _, dir := range dirs {
						members = append(members, joinRedis(t, s.URL(), dir, hard(configured)))
					}
					return members
				}
				members := start()
				set := func(by int, n *int64) {
					t.Helper()
					if err := members[by].SetOverride(t.Context(), "acme", n); err != nil {
						t.Fatal(err)
					}
				}
				in := func(want int64) bool {
					for _, m := range members {
						if m.effectiveLimit("acme", &m.allowance) != want {
							return false
						}
					}
					return true
				}
				if set(0, tt.saved); tt.saved == nil {
					set(0, limit(7)) // and removed
					set(1, nil)
				}
				s.Exec("SAVE")
				if set(1, tt.last); !becomes(10*time.Second, func() bool { return in(tt.want) }) {
					t.Fatal("what is set is not in force")
				}
				if off {
					for _, m := range members {
						m.leave()
					}
				}
				if tt.lose(s); off {
					members = start()
				}
				holds := func() bool {
					list, _ := s.Exec("HMGET", grantsKey(members[0].redis.Shard("acme")), "l|acme").([]any)
					written := configured // what claims of others are settled by
					if len(list) == 1 && list[0] != nil {
						written = atoi(t, list[0])
					}
					return in(tt.want) && int64(written) == tt.want
				}
				if !becomes(20*time.Second, holds) {
					t.Errorf("%d and %d are in force, want %d", members[0].effectiveLimit("acme", &members[0].allowance),
						members[1].effectiveLimit("acme", &members[1].allowance), tt.want)
				}
				// It still does after all have read it once more, and can be changed.
				if members[0].refreshOverrides(t.Context()); !holds() {
					t.Error("it does not stay so")
				}
				if set(0, limit(30)); !becomes(10*time.Second, func() bool { return in(30) }) {
					t.Error("it cannot be set any more")
				}
				for _, m := range members {
					m.leave()
				}
			})
		}
	}
}

func atoi(t *testing.T, value any) int {
	t.Helper()
	text, _ := value.(string)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Error(err)
	}
	return n
}
