//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// spend calls a gateway until so many were served by all, and then until it was refused for a while. What lies unused with
// another comes back within two seconds, until when it is refused too.
func spend(t *testing.T, g *gateway, calls *atomic.Int64, all int64) {
	deadline := time.Now().Add(30 * time.Second)
	for refused := 0; refused < 10; {
		res, err := http.Get(g.url + "/functions/v1/ok")
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		switch res.StatusCode {
		case http.StatusOK:
			calls.Add(1)
			refused = 0
		case http.StatusPaymentRequired:
			if calls.Load() >= all || time.Now().After(deadline) {
				refused++
			}
			<-time.After(20 * time.Millisecond)
		default:
			t.Errorf("answered %d %s", res.StatusCode, body)
			return
		}
	}
}

func setQuota(t *testing.T, g *gateway, body string) {
	t.Helper()
	res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/quota", g.admin), "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
}

// Contract 7.3: gateways that share a store share the quota, to the unit, and each knows what all of them counted.
func TestQuotaOfGatewaysThatShareAStore(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t, "appendonly yes")
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL(), project: "\t\t\torganization acme\n\t\t\tquota 1500",
	}
	first, second := startGateway(t, c), startGateway(t, c)
	all := []*gateway{first, second}
	var calls atomic.Int64
	both := func(limit int64) {
		t.Helper()
		var running sync.WaitGroup
		for _, g := range all {
			for range 3 {
				running.Go(func() { spend(t, g, &calls, limit) })
			}
		}
		running.Wait()
		if calls.Load() != limit || w.calls.Load() != limit {
			t.Errorf("%d were served, %d were made, the limit is %d", calls.Load(), w.calls.Load(), limit)
		}
		for i, g := range all {
			waitUntil(t, fmt.Sprintf("gateway %d knows of all", i), func() bool { n, _ := counted(t, g, ""); return n == limit })
		}
	}
	both(1500)
	setQuota(t, first, `{"organization":"acme","limit":1800}`)
	both(1800)
	// One is killed, the other goes on with what is left.
	setQuota(t, second, `{"organization":"acme","limit":2000}`)
	first.stop(syscall.SIGKILL, time.Second)
	first.start(t, c.caddyfile(first.port, first.admin))
	both(2000)
}

// To Redis and back while calls are served; Redis hangs and is lost meanwhile. Nothing is lost, and
// nothing counted twice.
func TestMeteringMovesBetweenStores(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
	g := startGateway(t, c)
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	workers := hammer(ctx, g, 4, &answered)
	for i, change := range []func(){
		func() { c.options = "\t\tstore redis " + redis.URL() },
		func() { redis.Pause() },
		func() { redis.Resume() },
		func() { redis.Exec("FLUSHALL") },
		func() { c.options = "" },
		func() { c.options = "\t\tstore redis " + redis.URL() },
		func() { redis.Stop(); redis.Start() },
	} {
		change()
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("change %d: %s", i, body)
		}
		before := answered.Load()
		waitUntil(t, "it serves", func() bool { return answered.Load() > before+600 })
	}
	stop()
	workers.Wait()
	want := w.calls.Load()
	if n, _ := counted(t, g, ""); n != want || answered.Load() != want {
		t.Errorf("%d counted, %d calls, %d answers", n, want, answered.Load())
	}
	// Another gateway reads it from Redis.
	other := startGateway(t, c)
	waitUntil(t, "Redis has it all", func() bool { n, _ := counted(t, other, ""); return n == want })
}

// A hard quota stays exact on the way to Redis and back, and what was set by people goes along.
func TestQuotaMovesBetweenStores(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t, "appendonly yes")
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), project: "\t\t\torganization acme\n\t\t\tquota 10",
	}
	g := startGateway(t, c)
	const limit = 4000
	setQuota(t, g, fmt.Sprintf(`{"organization":"acme","limit":%d}`, limit))
	var calls atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() { spend(t, g, &calls, limit) })
	}
	for i, options := range []string{"\t\tstore redis " + redis.URL(), "", "\t\tstore redis " + redis.URL(), ""} {
		waitUntil(t, "it serves", func() bool { return calls.Load() >= int64(i*limit/5+50) || t.Failed() })
		c.options = options
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("change %d: %s", i, body)
		}
	}
	running.Wait()
	if calls.Load() != limit || w.calls.Load() != limit {
		t.Errorf("%d were served, %d were made, the limit is %d", calls.Load(), w.calls.Load(), limit)
	}
	if n, _ := counted(t, g, ""); n != limit {
		t.Errorf("%d are counted", n)
	}
}
