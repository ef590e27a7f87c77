//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	reloads      = 200
	reloadSocket = 50
	uploadSize   = 100 << 20
)

// TestReload changes the configuration under load: nothing that is under way may notice (contract 6.6), and a
// configuration that is refused may change nothing at all.
func TestReload(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(longRunning))
	t.Cleanup(server.Close)
	backends := append(denoBackends()[:1], backendOf("us-east-1", server))
	c := config{backends: backends, functions: mainFunctions + "\n\t\t\tfunction events {\n\t\t\t\tverify_jwt off\n\t\t\t}\n\t\t\tfunction digest {\n\t\t\t\tverify_jwt off\n\t\t\t}"}
	g := startGateway(t, c)

	ctx, stop := context.WithCancel(context.Background())
	var calls atomic.Int64
	var workers sync.WaitGroup
	t.Cleanup(workers.Wait)
	t.Cleanup(stop)
	for i := range 4 {
		workers.Go(func() { callUntil(ctx, t, g, i, &calls) })
	}
	waitUntil(t, "the load is running", func() bool { return calls.Load() > 20 })
	before := goroutines(t, g)

	var sockets []*webSocket
	for range reloadSocket {
		sockets = append(sockets, openWebSocket(t, g.addr))
	}
	upload := startUpload(g)
	events := startEvents(t, g)

	for i := range reloads {
		c.options = fmt.Sprintf("\t\tidle_timeout %ds", 100+i)
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", i, status, body)
		}
		if i == reloads/2 {
			upload.release()
		}
		if i%20 == 0 {
			c.options = "\t\tidle_timeout 100s\n\t\tlocation nowhere"
			if status, _ := load(t, g, c.caddyfile(g.port, g.admin)); status == http.StatusOK {
				t.Fatal("a wrong configuration was accepted")
			}
		}
	}
	upload.release()

	t.Run("contract 6.6 no WebSocket was cut", func(t *testing.T) {
		for i, ws := range sockets {
			if err := ws.echo("still here"); err != nil {
				t.Errorf("socket %d: %v", i, err)
			}
		}
	})
	t.Run("contract 6.5 the upload arrived whole", func(t *testing.T) {
		if err := <-upload.done; err != nil {
			t.Error(err)
		}
	})
	t.Run("contract 6.5 the event stream lives", func(t *testing.T) {
		if err := events(); err != nil {
			t.Error(err)
		}
	})
	stop()
	workers.Wait()
	t.Logf("%d calls during %d reloads", calls.Load(), reloads)

	t.Run("goroutines return to their number", func(t *testing.T) {
		for _, ws := range sockets {
			ws.conn.Close()
		}
		// The load's own connections were counted before; twice 20 is room for the runtime and idle connections.
		waitUntil(t, "the goroutines end", func() bool { return goroutines(t, g) <= before+20 })
	})
}

func backendOf(region string, s *httptest.Server) backend {
	return backend{region: region, address: strings.TrimPrefix(s.URL, "http://")}
}

// longRunning is a backend with a stream of events and a digest of what it is sent.
func longRunning(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/digest") {
		hash := sha256.New()
		if _, err := io.Copy(hash, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, hex.EncodeToString(hash.Sum(nil)))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// callUntil calls functions until ctx ends; every answer must be a 200, over kept connections and over new ones.
func callUntil(ctx context.Context, t *testing.T, g *gateway, worker int, calls *atomic.Int64) {
	transport := &http.Transport{DisableKeepAlives: worker%2 == 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for ctx.Err() == nil {
		method, body := http.MethodGet, ""
		if worker/2%2 == 1 {
			method, body = http.MethodPost, strings.Repeat("x", 1000)
		}
		req, err := http.NewRequest(method, g.url+"/functions/v1/public-echo", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		res, err := client.Do(req)
		if err != nil {
			t.Errorf("worker %d: %s failed during a reload: %v", worker, method, err)
			return
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s was answered %d, %v", method, res.StatusCode, err)
			return
		}
		calls.Add(1)
	}
}

// upload is a request body of uploadSize whose second half waits for release.
type upload struct {
	gate    chan struct{}
	once    sync.Once
	done    chan error
	release func()
}

func startUpload(g *gateway) *upload {
	u := &upload{gate: make(chan struct{}), done: make(chan error, 1)}
	u.release = func() { u.once.Do(func() { close(u.gate) }) }
	body := newPattern(uploadSize)
	half := io.LimitReader(body, uploadSize/2)
	gated := readerFunc(func(p []byte) (int, error) { <-u.gate; return body.Read(p) })
	go func() {
		req, err := http.NewRequest(http.MethodPost, g.url+"/functions/v1/digest", io.MultiReader(half, gated))
		if err == nil {
			req.Header.Set("x-region", "us-east-1")
			var res *http.Response
			if res, err = http.DefaultClient.Do(req); err == nil {
				var sum []byte
				sum, err = io.ReadAll(res.Body)
				res.Body.Close()
				if want := patternHash(uploadSize); err == nil && string(sum) != want {
					err = fmt.Errorf("answered %d %q, want digest %s", res.StatusCode, sum, want)
				}
			}
		}
		u.done <- err
	}()
	return u
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// startEvents opens a stream of events. The returned function checks that it still delivers, in order and complete.
func startEvents(t *testing.T, g *gateway) func() error {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, g.url+"/functions/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-region", "us-east-1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return func() error {
		var got bytes.Buffer
		deadline := time.Now().Add(5 * time.Second)
		for next := 0; time.Now().Before(deadline); {
			chunk := make([]byte, 4096)
			n, err := res.Body.Read(chunk)
			got.Write(chunk[:n])
			for strings.Contains(got.String(), "\n\n") {
				event, rest, _ := strings.Cut(got.String(), "\n\n")
				got.Reset()
				got.WriteString(rest)
				if event != fmt.Sprintf("data: %d", next) {
					return fmt.Errorf("event %q, want number %d", event, next)
				}
				next++
			}
			if err != nil {
				return fmt.Errorf("after %d events: %w", next, err)
			}
			if time.Until(deadline) < 4*time.Second && next > 20 {
				return nil
			}
		}
		return fmt.Errorf("no events came")
	}
}

// load sends a Caddyfile to the gateway's admin API. That API is Caddy's, whose own listener resets connections that
// come while it is replaced; sending the same configuration again is harmless.
func load(t *testing.T, g *gateway, caddyfile string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var res *http.Response
	waitUntil(t, "the admin API answers", func() bool {
		var err error
		res, err = client.Post(fmt.Sprintf("http://127.0.0.1:%d/load", g.admin), "text/caddyfile", strings.NewReader(caddyfile))
		return err == nil
	})
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

// goroutines asks the gateway's profiler how many goroutines it has.
func goroutines(t *testing.T, g *gateway) int {
	t.Helper()
	return profiled(t, g, "goroutine?debug=1", goroutineTotal)
}

// profiled reads the number that the pattern finds in a profile.
func profiled(t *testing.T, g *gateway, profile string, number *regexp.Regexp) int {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/%s", g.admin, profile))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	match := number.FindSubmatch(body)
	if match == nil {
		t.Fatalf("no number in %.100q", body)
	}
	n, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitUntil waits for something that is bound to happen.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(40 * time.Second) // no hour is final until a new Redis is 15 s old
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
