package routing

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var uuidV7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// Contract 2.8: sb-request-id is a UUIDv7 (RFC 9562, section 5.7), which sorts
// by time.
func TestNewRequestID(t *testing.T) {
	const rounds = 10_000
	seen := make(map[string]bool, rounds)
	last := ""
	for i := range rounds {
		now := testNow.Add(time.Duration(i) * time.Millisecond)
		id := NewRequestID(now)
		if !uuidV7.MatchString(id) {
			t.Fatalf("contract 2.8: %q is no UUIDv7", id)
		}
		if ms, err := strconv.ParseInt(strings.Replace(id[:13], "-", "", 1), 16, 64); err != nil || ms != now.UnixMilli() {
			t.Fatalf("contract 2.8: %q says %d ms, want %d", id, ms, now.UnixMilli())
		}
		if id <= last {
			t.Fatalf("contract 2.8: %q after %q", id, last)
		}
		last, seen[id] = id, true
	}
	for range rounds {
		id := NewRequestID(testNow)
		if seen[id] {
			t.Fatalf("contract 2.8: %q twice", id)
		}
		seen[id] = true
	}
}

// Every random bit takes both values; the fixed ones are asserted above.
func TestNewRequestIDIsRandom(t *testing.T) {
	var ones, zeros [36]bool // by hexadecimal digit: its lowest bit
	for range 200 {
		for i, c := range NewRequestID(testNow) {
			if v, err := strconv.ParseUint(string(c), 16, 8); err == nil {
				ones[i], zeros[i] = ones[i] || v&1 == 1, zeros[i] || v&1 == 0
			}
		}
	}
	for _, i := range []int{15, 16, 17, 19, 20, 21, 22, 24, 29, 35} {
		if !ones[i] || !zeros[i] {
			t.Errorf("contract 2.8: digit %d never changes", i)
		}
	}
}
