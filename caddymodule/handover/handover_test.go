package handover

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHandovers is what the shared socket is for: under load one server replaces the other a hundred times, and no
// client may notice.
func TestHandovers(t *testing.T) {
	noLeak(t)
	const handovers = 110
	var executed tally
	handler := handling(func(w http.ResponseWriter, r *http.Request) {
		executed.add(r.URL.Path)
		echo(w, r)
	})
	current := serveGeneration(t, handler)
	url := "http://" + current.address()

	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	var calls atomic.Int64
	done := make(chan struct{})
	for worker := range 8 {
		workers.Go(func() {
			// One connection a worker; a retry would hide what is tested.
			transport := &http.Transport{DisableKeepAlives: worker%4 == 3}
			defer transport.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				path := fmt.Sprintf("/%d/%d", worker, n)
				if err := callOnce(transport, url, path, n%3); err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				if times := executed.count(path); times != 1 {
					t.Errorf("%s was executed %d times", path, times)
				}
				calls.Add(1)
				select {
				case done <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range handovers {
		// Each handover is to see some load.
		for range 10 {
			await(t, "calls are answered", done)
		}
		next := serveGeneration(t, handler)
		current.stop(t)
		current = next
	}
	cancel()
	workers.Wait()
	current.stop(t)
	t.Logf("%d calls over %d handovers", calls.Load(), handovers)
}

// callOnce sends a GET, a POST with a length or a chunked POST, and checks the answer. A POST is not sent again by
// net/http; a GET has a header that keeps it from being so.
func callOnce(transport *http.Transport, url, path string, kind int) error {
	request, err := http.NewRequest(http.MethodGet, url+path, nil)
	want := path + " "
	if kind > 0 {
		body := strings.Repeat("x", 5000)
		want += body
		reader := io.Reader(strings.NewReader(body))
		if kind == 2 {
			reader = io.MultiReader(reader)
		}
		request, err = http.NewRequest(http.MethodPost, url+path, reader)
	}
	if err != nil {
		return err
	}
	request.GetBody = nil
	res, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || string(got) != want {
		return fmt.Errorf("answer of %d bytes: %w", len(got), err)
	}
	return nil
}

const heldGET = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"

// TestPipelined: whatever a client sends ahead is answered once, in order, by whichever server.
func TestPipelined(t *testing.T) {
	const (
		second  = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
		third   = "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
		chunked = "POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
	)
	tests := map[string]struct {
		first  string // held by the old server
		before string // sent with the first
		after  string // sent when the new server runs
		ends   bool   // the connection ends after the first answer
	}{
		"all at once":                  {first: heldGET, before: second + third},
		"half a head ahead":            {first: heldGET, before: second[:9], after: second[9:] + third},
		"one byte ahead":               {first: heldGET, before: second[:1], after: second[1:] + third},
		"all but one byte":             {first: heldGET, before: (second + third)[:len(second+third)-1], after: "y"},
		"later":                        {first: heldGET, after: second + third},
		"bare line feeds":              {first: "GET /hold HTTP/1.1\nHost: a\n\n", before: second + third},
		"after a body with a length":   {first: "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", before: second[:9], after: second[9:] + third},
		"line break after a body":      {first: "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", before: "\r\n" + second + third},
		"after a body without one":     {first: chunked, before: second + third, ends: true},
		"half after a body without it": {first: chunked, before: second[:9], ends: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			g := newGated()
			old := serveGeneration(t, g.handler("old"))
			client := dial(t, old.address())
			client.send(t, tt.first+tt.before)
			await(t, "the handler runs", g.entered)
			next := serveGeneration(t, g.handler("new"))
			var stopped sync.WaitGroup
			stopped.Go(func() { old.stop(t) })
			await(t, "the server stops", old.use.closed)
			close(g.release)
			client.expectAnswer(t, "200 old/hold")
			stopped.Wait()
			if tt.ends {
				// The old server has them, and nobody else may.
				client.expectEnd(t)
				if n := g.executed.count("/2"); n != 0 {
					t.Errorf("/2 was executed %d times", n)
				}
			} else {
				client.send(t, tt.after)
				client.expectAnswer(t, "200 new/2")
				client.expectAnswer(t, "200 new/3")
			}
			_ = client.Close()
			next.stop(t)
		})
	}
}

// TestIdleConnections: connections on which no request ever came do not hold up one change after the other.
func TestIdleConnections(t *testing.T) {
	noLeak(t)
	current := serveGeneration(t, handling(echo))
	var clients []*rawClient
	for range 20 {
		client := dial(t, current.address())
		client.send(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
		client.expectAnswer(t, "200 /a ")
		clients = append(clients, client)
	}
	start := time.Now()
	for range 10 {
		next := serveGeneration(t, handling(echo))
		current.stop(t)
		current = next
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("ten handovers took %v", took)
	}
	for _, client := range clients {
		client.send(t, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
		client.expectAnswer(t, "200 /b ")
		_ = client.Close()
	}
	current.stop(t)
}

// TestSplitRequest cuts a request after each of its bytes; the halves reach different servers.
func TestSplitRequest(t *testing.T) {
	noLeak(t)
	const request = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
	head := strings.Index(request, "body")
	current := serveGeneration(t, handling(echo))
	client := dial(t, current.address())
	client.send(t, request)
	client.expectAnswer(t, "200 /p body")
	for cut := range head {
		for i := range cut {
			client.send(t, request[i:i+1])
		}
		next := serveGeneration(t, handling(echo))
		current.stop(t)
		current = next
		client.send(t, request[cut:])
		client.expectAnswer(t, "200 /p body")
	}
	_ = client.Close()
	current.stop(t)
}

// TestAbortedOnce: a request that a handler began is nobody else's, however little of an answer there is. Handlers of
// other modules do not say that they began.
func TestAbortedOnce(t *testing.T) {
	const post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
	readBody := func(r *http.Request) { _, _ = io.ReadFull(r.Body, make([]byte, 4)) }
	tests := map[string]struct {
		request string
		ours    bool
		do      func(w http.ResponseWriter, r *http.Request)
	}{
		"ours, without a body":    {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", true, nil},
		"ours, a body":            {post + "body", true, nil},
		"ours, a body read":       {post + "body", true, func(_ http.ResponseWriter, r *http.Request) { readBody(r) }},
		"another, without a body": {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", false, nil},
		"another, a body read":    {post + "body", false, func(_ http.ResponseWriter, r *http.Request) { readBody(r) }},
		"another, a deadline set": {post + "body", false, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}},
		"another, a head sent": {post + "body", false, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			var executed atomic.Int64
			entered, release := make(chan struct{}, 1), make(chan struct{})
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.ours {
					Begin(r)
				}
				executed.Add(1)
				if tt.do != nil {
					tt.do(w, r)
				}
				entered <- struct{}{}
				<-release
				panic(http.ErrAbortHandler)
			})
			old := serveGeneration(t, handler)
			client := dial(t, old.address())
			client.send(t, tt.request)
			await(t, "the handler runs", entered)
			next := serveGeneration(t, handler)
			close(release)
			if _, err := io.Copy(io.Discard, client.in); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection did not end: %v", err)
			}
			old.stop(t)
			next.stop(t)
			if n := executed.Load(); n != 1 {
				t.Errorf("executed %d times", n)
			}
		})
	}
}

// TestStrayLineBreaks: old clients send line breaks after a body (RFC 9112, section 2.2). They belong to no request,
// wherever between them the connection is handed over, once or twice.
func TestStrayLineBreaks(t *testing.T) {
	noLeak(t)
	const (
		first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
		next  = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
	)
	var requests tally
	handler := handling(func(w http.ResponseWriter, r *http.Request) {
		requests.add(r.URL.Path)
		echo(w, r)
	})
	current := serveGeneration(t, handler)
	replace := func() {
		next := serveGeneration(t, handler)
		current.stop(t)
		current = next
	}
	sent := 0
	for _, breaks := range []string{"", "\r\n", "\n", "\r\n\r\n", "\n\n", "\n\r\n"} {
		for cut := range len(breaks) + 1 {
			for again := range len(breaks) - cut + 1 {
				client := dial(t, current.address())
				client.send(t, first)
				client.expectAnswer(t, "200 /1 body")
				client.send(t, breaks[:cut])
				replace()
				client.send(t, breaks[cut:cut+again])
				if again > 0 {
					replace()
				}
				client.send(t, breaks[cut+again:]+next[:3])
				client.send(t, next[3:])
				client.expectAnswer(t, "200 /2 \r\n\r\n") // line breaks of a body are the body's
				if sent++; requests.count("/2") != sent {
					t.Errorf("%q cut at %d and %d: executed %d times, want %d", breaks, cut, cut+again, requests.count("/2"), sent)
				}
				_ = client.Close()
			}
		}
	}
	t.Run("not without end", func(t *testing.T) {
		client := dial(t, current.address())
		client.send(t, first)
		client.expectAnswer(t, "200 /1 body")
		replace()
		client.send(t, strings.Repeat("\r\n", 8)+next)
		// 400, though what is unread may reset the connection under it.
		if got, _ := io.ReadAll(client.in); strings.Contains(string(got), " 200 ") {
			t.Errorf("answer %q, want none but 400", got)
		}
		if requests.count("/2") != sent {
			t.Error("the request behind them was executed")
		}
		_ = client.Close()
	})
	t.Run("not within a head", func(t *testing.T) {
		client := dial(t, current.address())
		client.send(t, first)
		client.expectAnswer(t, "200 /1 body")
		client.send(t, "GET /3 HTTP/1.1\r\nHost: a\r\n")
		replace()
		client.send(t, "\r\n"+next)
		client.expectAnswer(t, "200 /3 ")
		client.expectAnswer(t, "200 /2 \r\n\r\n")
		_ = client.Close()
	})
	current.stop(t)
}
