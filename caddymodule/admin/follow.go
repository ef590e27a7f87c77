package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// followEvery is the interval at which new records are looked for.
const followEvery = 250 * time.Millisecond

// followInvocations answers with a line of JSON for each invocation: first the latest
// ones, the oldest first, and then each that ends. It goes on over reloads, until the
// client leaves or the process ends.
func followInvocations(app *gateway.App, w http.ResponseWriter, r *http.Request, q invocations.Query) error {
	logs := app.Engine().Ledger().RecordLogs()
	follower, first, err := invocations.Follow(r.Context(), logs, app.Refused(), q)
	if err == nil && len(first.Invocations) == 0 {
		err = checkNames(app, logs, &q)
	}
	if err != nil {
		return err
	}
	out, left, end := beginLines(w, r)
	defer end()
	lines := json.NewEncoder(out)
	slices.Reverse(first.Invocations)
	err = writeLines(lines, first.Invocations, first.Findings)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for err == nil && !caddy.Exiting() {
		select {
		case <-left:
			return nil
		case <-tick.C:
		}
		app, missing := gateway.Running()
		if missing != nil {
			return nil //nolint:nilerr // the gateway was taken out of the configuration: the answer ends
		}
		if ledger := app.Engine().Ledger(); ledger != nil {
			all, found := follower.Next(ledger.RecordLogs(), app.Refused())
			err = writeLines(lines, all, found)
		}
	}
	return nil // a client that left needs no answer
}

// writeLines writes invocations, and {"finding":{...}} for what cannot be read.
func writeLines(lines *json.Encoder, all []invocations.Invocation, found []metering.Finding) error {
	for i := range all {
		if err := lines.Encode(&all[i]); err != nil {
			return err
		}
	}
	for i := range found {
		if err := lines.Encode(invocations.FindingLine{Finding: found[i]}); err != nil {
			return err
		}
	}
	return nil
}

// linesType is the media type of lines of JSON.
const linesType = "application/jsonl"

// beginLines begins an answer of lines that goes on. It takes the connection over: a
// reload stops the server of the admin API, which would wait for the answer and then log
// an error. left is closed when the client left. Call end at the end of the answer.
func beginLines(w http.ResponseWriter, r *http.Request) (out io.Writer, left <-chan struct{}, end func()) {
	controller := http.NewResponseController(w)
	conn, _, err := controller.Hijack()
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // the server may have set one
	}
	if err != nil || conn == nil { // HTTP/2
		w.Header().Set("Content-Type", linesType)
		_ = controller.Flush() // an error is met by the first line too
		return &flushed{patientWriter{w, controller}}, r.Context().Done(), func() {}
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn) // until the client closes it, or end
		close(gone)
	}()
	out = patientConn{conn}
	_, _ = io.WriteString(out, "HTTP/1.1 200 OK\r\nContent-Type: "+linesType+"\r\nConnection: close\r\n\r\n")
	return out, gone, func() { _ = conn.Close() }
}

// flushed sends each line at once.
type flushed struct{ patientWriter }

func (f *flushed) Write(p []byte) (int, error) {
	n, err := f.patientWriter.Write(p)
	return n, errors.Join(err, f.controller.Flush())
}

// patientConn is patientWriter for a connection.
type patientConn struct{ net.Conn }

func (c patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
