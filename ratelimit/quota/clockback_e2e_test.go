//go:build e2e

package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// However the clock of Redis is set, a gateway that has been a member for a while is granted units by its next claim: it joined
// when it joined.
func TestRedisGrantsWhileItsClockIsSet(t *testing.T) {
	s := redistest.Clocked(t, 0)
	r := authorityIn(t, s.URL(), 3)
	shard := r.Shard("acme")
	if !becomes(10*time.Second, func() bool { // all shards: authorityIn waits for the last one
		_, err := r.Join(t.Context(), "0", shard, "")
		_, known, _ := r.heard[shard].latest()
		return err == nil && known > 2_100_000
	}) {
		t.Fatal("it is no member")
	}
	for number, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute, 5 * time.Minute, -24 * time.Hour, -25 * time.Hour, 0} {
		s.SetClock(ahead)
		for holder := range 3 {
			a, err := r.Claim(t.Context(), Claim{
				Holder:       fmt.Sprint(holder),
				Organization: "acme",
				Period:       metering.Cycle{}.At(time.Now()),
				Limit:        1000,
				Number:       uint64(number + 1),
				Holds:        int64(number),
				Wants:        int64(number + 1),
			})
			if err != nil || a.Recovering || a.Granted != int64(number+1) {
				t.Errorf("clock ahead by %s, gateway %d: %+v, %v", ahead, holder, a, err)
			}
		}
	}
}
