package gateway

import (
	"errors"
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/sockets"
	"github.com/edgegate/edgegate/regions"
)

// socketWriter returns a writer whose connection becomes a WebSocket when the
// proxy takes it over.
func (c *call) socketWriter(w http.ResponseWriter) http.ResponseWriter {
	return &sockets.Writer{
		ResponseWriter: w,
		Registry:       c.handler.app.shared.sockets,
		Region:         c.region,
		Switched:       c.switched,
	}
}

// switched notes that the call is a WebSocket from here on.
func (c *call) switched(s *sockets.Socket) {
	c.socket = s
	// For Caddy's access log and metrics: the head itself is written to the
	// connection.
	c.w.WriteHeader(http.StatusSwitchingProtocols)
	c.exchange.OnTimeout(func(cause error) {
		reason := "idle timeout"
		if errors.Is(cause, regions.ErrWallClock) {
			reason = "wall clock limit"
		}
		s.GoAway(sockets.TimedOut, reason)
	})
}

// socketEnding returns the ending of a call that was a WebSocket, and its cause.
func socketEnding(outcome sockets.Outcome) (ending, error) {
	switch outcome {
	case sockets.Complete:
		return endComplete, nil
	case sockets.ClientGone:
		return endClientGone, regions.ErrClientGone
	case sockets.ServerClosed:
		return endReloaded, nil
	case sockets.TimedOut:
		return endTimedOut, nil
	default: // sockets.BackendCut
		return endBackendCut, regions.ErrBackend
	}
}
