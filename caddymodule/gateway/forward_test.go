package gateway

import (
	"errors"
	"testing"

	"github.com/edgegate/edgegate/caddymodule/sockets"
	"github.com/edgegate/edgegate/regions"
)

// Contract 8.19: the outcome of a WebSocket in logs and records.
func TestSocketEnding(t *testing.T) {
	for _, tt := range []struct {
		outcome sockets.Outcome
		want    callEnding
		cause   error
	}{
		{sockets.Complete, endComplete, nil},
		{sockets.BackendCut, endBackendCut, regions.ErrBackend},
		{sockets.ClientGone, endClientGone, regions.ErrClientGone},
		{sockets.ServerClosed, endReloaded, nil},
		{sockets.TimedOut, endTimedOut, nil},
	} {
		if got, cause := socketEnding(tt.outcome); got != tt.want || !errors.Is(cause, tt.cause) || tt.cause == nil && cause != nil {
			t.Errorf("outcome %d is %s, %v, want %s, %v", tt.outcome, got, cause, tt.want, tt.cause)
		}
	}
}
