//go:build e2e

package quota

import (
	"errors"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// A gateway that stood still for so long that an operator gave up its units goes on. It is a member again: its calls are refused as
// used up while nothing is left, and pass once something is, also long after. Only without Redis nothing is known.
func TestRedisGoesOnAfterRelease(t *testing.T) {
	s := redistest.Single(t)
	still, other := joinRedis(t, s.URL(), t.TempDir(), hard(1000)), joinRedis(t, s.URL(), t.TempDir(), hard(1000))
	defer still.leave()
	defer other.leave()
	for _, m := range []*member{still, other} {
		if !becomes(10*time.Second, func() bool { return m.call() == nil }) {
			t.Fatal("no call passes")
		}
	}
	// While it stands still it gives back nothing by itself.
	still.maintaining.Lock()
	long := &knownPeers{presence: map[string]metering.Presence{still.ledger.Instance(): silent(time.Hour, time.Minute)}}
	if _, err := other.Release(t.Context(), long, still.ledger.Instance()); err != nil {
		t.Fatal(err)
	}
	if !becomes(time.Minute, func() bool { return errors.Is(other.call(), ErrExhausted) }) {
		t.Fatal("the quota is not used up")
	}
	still.maintaining.Unlock()
	passed := 0
	for i := range 100 {
		switch err := still.call(); {
		case err == nil: // of the units that it was granted before
			passed++
		case !errors.Is(err, ErrExhausted):
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
	if passed == 100 {
		t.Error("no call was refused")
	}
	more := int64(2000)
	if err := other.SetOverride(t.Context(), "acme", &more); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{other, still} {
		if !becomes(20*time.Second, func() bool { return m.call() == nil }) {
			t.Error("no call passes under the higher limit")
		}
	}
}
