package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// serveRegion starts a region of the samples, fails the test if it leaves a goroutine behind, and returns it with a client of its own.
func serveRegion(t *testing.T, name string, delay time.Duration) (*region, *http.Client) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	r := &region{name: name, delay: delay, handler: samples{}.handler(name)}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		r.stop()
		transport.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	return r, &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestRegionIsARoundTripAway(t *testing.T) {
	const delay = 93 * time.Millisecond
	r, client := serveRegion(t, "us-east-1", delay)
	for range 2 { // on a new connection and on a kept one
		start := time.Now()
		res, body := get(t, client, "http://"+r.addr+"/hello")
		if took := time.Since(start); took < delay {
			t.Errorf("answered after %v", took)
		}
		if res.Header.Get("x-served-by") != "demo-runtime" || !strings.Contains(body, `"region":"us-east-1"`) {
			t.Errorf("%v %s", res.Header, body)
		}
	}
}

func TestRegionHealthAndUnknownSlug(t *testing.T) {
	r, client := serveRegion(t, "eu-central-1", 0)
	if res, _ := get(t, client, "http://"+r.addr+"/_internal/health"); res.StatusCode != 200 {
		t.Errorf("health %d", res.StatusCode)
	}
	res, body := get(t, client, "http://"+r.addr+"/nobody")
	if res.StatusCode != 404 || strings.TrimSpace(body) != `{"code":"NOT_FOUND","message":"Requested function was not found"}` {
		t.Errorf("unknown slug: %d %s", res.StatusCode, body)
	}
}

func TestRegionOutage(t *testing.T) {
	r, client := serveRegion(t, "eu-central-1", time.Millisecond)
	for query, want := range map[string]int{"?for=nonsense": 400, "?for=-1s": 400, "?for=11m": 400} {
		res, err := client.Post("http://"+r.addr+"/_internal/outage"+query, "", nil)
		if err != nil || res.StatusCode != want {
			t.Fatalf("%s: %v, %v", query, res, err)
		}
		_ = res.Body.Close()
	}
	if res, _ := get(t, client, "http://"+r.addr+"/_internal/outage"); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Errorf("GET started an outage or was refused wrongly: %d", res.StatusCode)
	}
	res, err := client.Post("http://"+r.addr+"/_internal/outage?for=200ms", "", nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()

	deadline := time.Now().Add(10 * time.Second)
	for down := false; ; {
		res, err := client.Get("http://" + r.addr + "/hello")
		if err != nil {
			down = true
		} else {
			_ = res.Body.Close()
		}
		if err == nil && down {
			return // it was down and is back, at the same address
		}
		if time.Now().After(deadline) {
			t.Fatalf("was down: %v, now: %v", down, err)
		}
	}
}

func TestRegionStopsDuringAnOutage(t *testing.T) {
	r, client := serveRegion(t, "eu-central-1", 0)
	r.outage(time.Minute)
	r.outage(time.Minute) // ignored
	if _, err := client.Get("http://" + r.addr + "/hello"); err == nil {
		t.Error("a region in an outage answered")
	}
	r.stop()
	r.outage(time.Minute) // ignored after stop; Cleanup stops again
}

func TestRegionStopEndsStreamsAndWebSockets(t *testing.T) {
	r, client := serveRegion(t, "ap-southeast-1", 5*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, greeting, err := conn.Read(ctx); err != nil || string(greeting) != `{"region":"ap-southeast-1"}` {
		t.Fatalf("greeting %s, %v", greeting, err)
	}
	res, err := client.Get("http://" + r.addr + "/clock")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stream := bufio.NewReader(res.Body)
	if line, err := stream.ReadString('\n'); err != nil || line != "id: 1\n" {
		t.Fatalf("clock began with %q, %v", line, err)
	}
	r.stop()
	if _, err := io.ReadAll(stream); err == nil {
		t.Error("the stream ended as if it were complete")
	}
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the WebSocket outlived its region: %v", err)
	}
}

func TestWebSocketEchoIsDelayedBothKinds(t *testing.T) {
	const delay = 40 * time.Millisecond
	r, client := serveRegion(t, "us-east-1", delay)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	_, _, _ = conn.Read(ctx)
	for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
		start := time.Now()
		if err := conn.Write(ctx, kind, []byte("ping")); err != nil {
			t.Fatal(err)
		}
		got, message, err := conn.Read(ctx)
		if err != nil || got != kind || string(message) != "ping" {
			t.Errorf("%v %s, %v", got, message, err)
		}
		if took := time.Since(start); took < delay {
			t.Errorf("echoed after %v", took)
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing handshake: %v", err)
	}
}

func TestClockTicks(t *testing.T) {
	r, client := serveRegion(t, "eu-central-1", 0)
	res, err := client.Get("http://" + r.addr + "/clock")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	lines := bufio.NewScanner(res.Body)
	ids := 0
	for ids < 2 && lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "id: ") {
			ids++
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var tick struct {
				Time   time.Time
				Region string
			}
			if err := json.Unmarshal([]byte(data), &tick); err != nil || tick.Region != "eu-central-1" || tick.Time.IsZero() {
				t.Errorf("%s: %v", data, err)
			}
		}
	}
	if ids != 2 {
		t.Errorf("%d ticks: %v", ids, lines.Err())
	}
}
