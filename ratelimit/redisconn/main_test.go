package redisconn

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The library's own goroutines end some 200 ms after a cluster's client: goleak
// waits that long.
func TestMain(m *testing.M) {
	SetLogger(nil) // servers are away on purpose here
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, url string) *Conn {
	t.Helper()
	config, err := Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within waits until holds is true, and fails the test after limit.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !holds(); <-tick.C {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
