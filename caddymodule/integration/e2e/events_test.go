//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/events"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// eventsOf asks a gateway for its events, in short: "gateway what name: from to".
func eventsOf(t *testing.T, g *gateway) (list []string) {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/events", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	var answer events.Answer
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil {
		t.Fatalf("%d %s, %v", res.StatusCode, text, err)
	}
	for _, e := range answer.Events {
		list = append(list, fmt.Sprintf("%s %s %s: %s %s", e.Gateway, e.What, e.Name, e.From, e.To))
	}
	return list
}

// gatewayID returns the id by which events name a gateway.
func gatewayID(t *testing.T, g *gateway) string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/status", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var status struct{ Gateway string }
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || status.Gateway == "" {
		t.Fatalf("status has gateway %q, %v", status.Gateway, err)
	}
	return status.Gateway
}

// output is what a command wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestEvents has two gateways share a Redis: each lists what both saw, `events -f` shows it as it comes and over a
// reload, and neither a Redis that goes away nor a kill of a gateway meanwhile loses an event.
func TestEvents(t *testing.T) {
	b := &restartable{address: "127.0.0.1:0"}
	b.start(t)
	t.Cleanup(func() { b.server.Close() }) // the last one: it is restarted
	redis := redistest.Single(t)
	c := config{
		options:   "\t\tstore redis " + redis.URL(),
		backends:  []backend{{region: "eu-central-1", address: b.address}},
		functions: public("hello"),
	}
	one, two := startGateway(t, c), startGateway(t, c)
	ids := []string{gatewayID(t, one), gatewayID(t, two)}
	has := func(g *gateway, want string) bool { return slices.Contains(eventsOf(t, g), want) }
	for _, g := range []*gateway{one, two} {
		for _, id := range ids {
			waitUntil(t, "the region comes up in the events of "+id, func() bool { return has(g, id+" region eu-central-1: unknown up") })
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := new(output)
	follow := exec.CommandContext(ctx, shared.binary, "events", "-f", "--what", "region", "--address", fmt.Sprintf("localhost:%d", one.admin))
	follow.Stdout, follow.Stderr = followed, followed
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = follow.Wait() })
	waitUntil(t, "the command follows", func() bool { return strings.Contains(one.output(), "/edge_functions/events?follow=true") })
	_ = b.server.Close()
	waitUntil(t, "it shows that the region goes down", func() bool {
		return strings.Contains(followed.String(), "region eu-central-1: up -> down  ("+ids[0])
	})
	waitUntil(t, "it shows what the other gateway saw", func() bool {
		return strings.Contains(followed.String(), "region eu-central-1: up -> down  ("+ids[1])
	})
	b.start(t)
	waitUntil(t, "the region is back", func() bool { return regionState(t, one) == "up" && regionState(t, two) == "up" })
	if said, code := adminCommand(t, one, "reload", "--force", "--config", one.dir+"/Caddyfile"); code != 0 {
		t.Fatalf("reload: %s", said)
	}
	before := len(followed.String())

	redis.Stop()
	waitUntil(t, "Redis is away", func() bool { return strings.Contains(strings.Join(eventsOf(t, two), "\n"), " store ") })
	_ = b.server.Close()
	down := ids[1] + " region eu-central-1: "
	waitUntil(t, "the region is down", func() bool { return regionState(t, two) == "down" })
	waitUntil(t, "it is an event", func() bool { return strings.HasSuffix(lastOf(eventsOf(t, two), down), " down") })
	two.stop(syscall.SIGKILL, 10*time.Second)
	redis.Start()
	two.start(t, c.caddyfile(two.port, two.admin))
	count := func(g *gateway) (n int) {
		for _, e := range eventsOf(t, g) {
			if strings.HasPrefix(e, down) && strings.HasSuffix(e, " down") {
				n++
			}
		}
		return n
	}
	want := count(two)
	waitUntil(t, "the other gateway has the event of while Redis was away", func() bool { return want > 0 && count(one) >= want })
	waitUntil(t, "the command goes on after the reload", func() bool {
		return strings.Contains(followed.String()[before:], "-> down  ("+ids[0])
	})
}

func lastOf(list []string, prefix string) (last string) {
	for _, e := range list {
		if strings.HasPrefix(e, prefix) {
			last = e
		}
	}
	return last
}

// TestEventsOfCustomers: a certificate that cannot be obtained, an exporter that works, and a quota that is used up are
// events too, each named by what it is about.
func TestEventsOfCustomers(t *testing.T) {
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	g := startGateway(t, config{
		global:    fmt.Sprintf("\thttp_port %d\n\thttps_port %d\n\tacme_ca https://127.0.0.1:1/directory\n", ports[0], ports[1]),
		options:   "\t\tplan tiny {\n\t\t\tquota 3\n\t\t\tspend_cap on\n\t\t}\n\t\texport file " + t.TempDir(),
		project:   "\t\t\tplan tiny",
		functions: public("public-echo"),
		sites:     "https://fails.example.org {\n\tedge_functions\n}\n",
	})
	id := gatewayID(t, g)
	for range 4 {
		res, err := http.Get(g.url + "/functions/v1/public-echo")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	for _, want := range []string{"certificate fails.example.org: valid failing", "quota default: ok restricted"} {
		eventuallyWithin(t, 2*time.Minute, want, func() bool { return slices.Contains(eventsOf(t, g), id+" "+want) })
	}
	eventuallyWithin(t, 2*time.Minute, "the exporter works", func() bool {
		return slices.ContainsFunc(eventsOf(t, g), func(e string) bool {
			return strings.HasPrefix(e, id+" exporter ") && strings.HasSuffix(e, ": waiting ok")
		})
	})
}
