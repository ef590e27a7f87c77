//go:build e2e && soak

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tally is a backend that knows of each numbered call how often it arrived, and who called without an answer.
type tally struct {
	*httptest.Server
	slots   []atomic.Uint32 // by the number of the call
	numbers atomic.Int64

	arrived, answered map[string]*atomic.Int64 // by function
	refused           map[string]*atomic.Int64 // 402, by function
	unavailable       atomic.Int64             // 503

	mu         sync.Mutex // guards unanswered
	unanswered map[string][]int64
}

func startTally(t *testing.T, most int64, functions ...string) *tally {
	t.Helper()
	w := &tally{slots: make([]atomic.Uint32, most), unanswered: make(map[string][]int64)}
	for _, all := range []*map[string]*atomic.Int64{&w.arrived, &w.answered, &w.refused} {
		*all = make(map[string]*atomic.Int64)
		for _, f := range functions {
			(*all)[f] = new(atomic.Int64)
		}
	}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n := w.arrived[strings.Trim(r.URL.Path, "/")]
		if n == nil {
			return // a probe
		}
		number, err := strconv.ParseInt(r.Header.Get("X-Number"), 10, 64)
		if err != nil || number >= most {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		w.slots[number].Add(1)
		n.Add(1)
	}))
	t.Cleanup(w.Close)
	return w
}

// between is what must be counted of a function: at least what arrived, and at most what may have been on its way besides
// when a gateway was killed.
func (w *tally) between(function string) (least, most int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	least = w.arrived[function].Load()
	most = least
	for _, number := range w.unanswered[function] {
		if w.slots[number].Load() == 0 {
			most++
		}
	}
	return least, most
}

// call calls a function once, and returns the status; 0 if there was no answer.
func (w *tally) call(ctx context.Context, t *testing.T, client *http.Client, url, host, function string) int {
	number := w.numbers.Add(1)
	// It is POST since Go sends a GET again by itself when a connection breaks.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/functions/v1/"+function, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Host = host
	req.Header.Set("X-Number", strconv.FormatInt(number, 10))
	res, err := client.Do(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode == http.StatusOK:
			w.answered[function].Add(1)
			return res.StatusCode
		case res.StatusCode == http.StatusPaymentRequired:
			w.refused[function].Add(1)
			return res.StatusCode
		case res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "METERING_UNAVAILABLE"):
			w.unavailable.Add(1)
			return res.StatusCode
		case err == nil:
			t.Errorf("%s was answered %d %s", function, res.StatusCode, body)
			return res.StatusCode
		}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unanswered[function] = append(w.unanswered[function], number)
	}
	return 0
}

// keepCalling has a client call until wanted says no more.
func (w *tally) keepCalling(t *testing.T, running *sync.WaitGroup, g *gateway, host, function string, wanted func(last int) bool) {
	running.Go(func() {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
		defer client.CloseIdleConnections()
		for last := http.StatusOK; wanted(last) && !t.Failed(); {
			if last = w.call(context.Background(), t, client, g.url, host, function); last != http.StatusOK {
				<-time.After(5 * time.Millisecond) // it is dead, or has nothing left for now
			}
		}
	})
}

func (w *tally) String() string {
	var b strings.Builder
	for f := range w.arrived {
		least, most := w.between(f)
		fmt.Fprintf(&b, "%s: %d arrived, up to %d more were on their way, %d answered, %d refused; ", f, least, most-least, w.answered[f].Load(), w.refused[f].Load())
	}
	fmt.Fprintf(&b, "%d unavailable", w.unavailable.Load())
	return b.String()
}
