package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// serveClock is a stream of server-sent events, one a second until the client leaves.
func serveClock(w http.ResponseWriter, r *http.Request, region string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w).Flush
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	now := time.Now()
	for id := 1; ; id++ {
		_, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"time\":%q,\"region\":%q}\n\n", id, now.UTC().Format(time.RFC3339), region)
		if err != nil || flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case now = <-tick.C:
		}
	}
}

// serveWebSocket sends every message back, after a first one that says where it runs.
func serveWebSocket(w http.ResponseWriter, r *http.Request, region string) {
	// Which origins may call is the gateway's business here, not the sample's.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	ctx := context.Background() // the request's means nothing after a hijack; closing the connection ends the loop
	if conn.Write(ctx, websocket.MessageText, []byte(`{"region":"`+region+`"}`)) != nil {
		return
	}
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return // closed: the library has answered the close frame
		}
		if conn.Write(ctx, kind, message) != nil {
			return
		}
	}
}
