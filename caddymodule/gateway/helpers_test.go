package gateway

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// eventually bounds everything a test waits for.
const eventually = 10 * time.Second

// noLeak fails the test when goroutines outlive it.
func noLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
