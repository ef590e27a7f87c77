//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// TestDrain drains a region under load, over a restart, with WebSockets told to go.
func TestDrain(t *testing.T) {
	g := startGateway(t, config{})
	near := regionNames[0]
	var sockets []*webSocket
	for range 10 {
		sockets = append(sockets, openWebSocket(t, g.addr))
	}
	post := func(path, body string) {
		t.Helper()
		res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/%s", g.admin, path), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, res.StatusCode, text)
		}
	}
	post("drain", `{"region":"`+near+`","over":"4s"}`)
	for i, ws := range sockets {
		if code, err := ws.closeCode(); code != 1001 {
			t.Errorf("WebSocket %d got close code %d, %v", i, code, err)
		}
		_ = ws.conn.Close()
	}
	f := &fleet{gateway: g}
	eventually(t, "drained", func() bool { return f.stateOf(t, near) == "drained" })
	f.run(t, time.Second, "public-echo", near).check(t, "503 "+near+" explicit")
	automatic := f.run(t, time.Second, "status?code=204", "")
	automatic.check(t, "204 "+regionNames[1]+" drain")
	post("undrain", `{"region":"`+near+`"}`)
	eventually(t, "used again", func() bool {
		o := f.run(t, 100*time.Millisecond, "status?code=204", "")
		return o.seen["204 "+near+" nearest"] > 0
	})
}

// TestFleet runs two gateways that share a Redis: each sees the other, and a drain holds for both.
func TestFleet(t *testing.T) {
	server := redistest.Single(t)
	one := &fleet{gateway: startGateway(t, config{options: "\t\tstore redis " + server.URL()})}
	two := &fleet{gateway: startGateway(t, config{options: "\t\tstore redis " + server.URL()})}
	near := regionNames[0]
	for _, f := range []*fleet{one, two} {
		eventually(t, "two gateways heard", func() bool { return strings.Count(f.ask(t, "status"), `"version":`) == 3 })
	}
	res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/drain", one.admin), "application/json",
		strings.NewReader(`{"region":"`+near+`","over":"0s"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for _, f := range []*fleet{one, two} {
		eventually(t, "drained", func() bool { return f.stateOf(t, near) == "drained" })
		f.run(t, 200*time.Millisecond, "status?code=204", near).check(t, "503 "+near+" explicit")
	}
	server.Stop()
	// What is known stays, and the file holds it over a restart while Redis is away.
	if !two.stop(syscall.SIGTERM, 15*time.Second) {
		t.Error("it had to be killed")
	}
	two.start(t, config{options: "\t\tstore redis " + server.URL()}.caddyfile(two.port, two.admin))
	for _, f := range []*fleet{one, two} {
		if state := f.stateOf(t, near); state != "drained" {
			t.Errorf("without Redis the region is %s", state)
		}
	}
}
