package metering

import (
	"strconv"
	"testing"
	"time"
)

// A Redis that was begun or emptied less than 15 s ago may lack sums of others, whether this gateway runs meanwhile or is new.
func TestYoung(t *testing.T) {
	ago := func(d time.Duration) map[string]string {
		return map[string]string{"ledger": "00000000000000aa", "since": strconv.FormatInt(time.Now().Add(-d).UnixMicro(), 10)}
	}
	for name, tt := range map[string]struct {
		meta  map[string]string
		young bool
	}{
		"new":                      {nil, true},
		"begun by another":         {ago(5 * time.Second), true},
		"begun long ago":           {ago(time.Minute), false},
		"begun by an older build":  {map[string]string{"ledger": "00000000000000aa"}, false},
		"begun by a clock ahead":   {ago(-time.Hour), false},
		"begun a little later now": {ago(16 * time.Second), false},
	} {
		redis := &hashes{t: t}
		for field, value := range tt.meta {
			redis.put("gw:meta", field, value)
		}
		l := openLedger(t, t.TempDir())
		m := quietMirror(t, l, redis.open())
		if err := m.Agree(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.Young() != tt.young {
			t.Errorf("%s: young is %v", name, m.Young())
		}
		if err := m.register(t.Context(), l.Now()); err != nil {
			t.Fatal(err)
		}
		if m.Young() != tt.young {
			t.Errorf("%s: after its first round young is %v", name, m.Young())
		}
		redis.mu.Lock()
		clear(redis.all)
		redis.mu.Unlock()
		if _, err := m.Peers(t.Context()); err != nil || !m.Young() {
			t.Errorf("%s: emptied, and it is not young: %v", name, err)
		}
		closeLedger(t, l)
	}
}
