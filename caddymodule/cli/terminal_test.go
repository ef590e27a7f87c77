package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
)

// wideStatus has more than a terminal has room for: 14 regions that 4 gateways see, a long path and a long error.
func wideStatus() gateway.Status {
	s := gateway.Status{Version: "v1"}
	seen := make(map[string]fleet.ObservedRegion)
	for i := range 14 {
		name := fmt.Sprintf("ap-northeast-%d", i)
		s.Regions = append(s.Regions, gateway.RegionStatus{Region: name, State: regions.StateUp, Since: today.Add(-time.Hour)})
		seen[name] = fleet.ObservedRegion{RTT: new(123.4), State: regions.StateDegraded}
	}
	for i := range 4 {
		s.Fleet = append(s.Fleet, fleet.Heartbeat{Gateway: fmt.Sprintf("c639b64f758%d", i), Host: "edge", Location: fleet.Location{Region: "eu-central-1", Source: "configured"}, At: today, Regions: seen})
	}
	s.Store = &gateway.StatusStore{Kind: "embedded", State: "down", Location: "/" + strings.Repeat("long/", 30), Error: "the disk is full: make room and all goes on within a second, says the manual of this very program"}
	return s
}

func TestStatusFitsATerminal(t *testing.T) {
	for _, width := range []int{80, 100, 200} {
		a := statusAnswer{wideStatus(), terminal{width: width}}
		var out bytes.Buffer
		a.table(&out, today)
		text := out.String()
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		for i := range 14 {
			if n := strings.Count(text, fmt.Sprintf("ap-northeast-%d ", i)) + strings.Count(text, fmt.Sprintf("ap-northeast-%d\n", i)); n != 2 {
				t.Errorf("%d columns: region %d is there %d times", width, i, n)
			}
		}
		if n := strings.Count(text, "123.4 ms (degraded)"); n != 4*14 {
			t.Errorf("%d columns: %d round trips", width, n)
		}
		if joined := strings.Join(strings.Fields(text), ""); !strings.Contains(joined, strings.Repeat("long/", 30)) || !strings.Contains(joined, "saysthemanual") {
			t.Errorf("%d columns: something is left out: %s", width, text)
		}
		if strings.Contains(text, "\x1b") {
			t.Error("there are colours")
		}
	}
	var wide, plain bytes.Buffer
	(&statusAnswer{wideStatus(), terminal{}}).table(&plain, today)
	(&statusAnswer{wideStatus(), terminal{width: 10_000}}).table(&wide, today)
	if trimmed := strings.ReplaceAll(plain.String(), " \n", "\n"); !strings.Contains(plain.String(), "GATEWAY") || strings.Count(trimmed, "\n") != strings.Count(wide.String(), "\n") {
		t.Errorf("a file has\n%s\na wide terminal\n%s", plain.String(), wide.String())
	}
}

func TestColours(t *testing.T) {
	const text = "eu-west-1  up  2 up, 1 down  http://down.example.org:up/\nStore  x, degraded: slow\nHealth  not ready: draining\n"
	const want = "eu-west-1  \x1b[32mup\x1b[0m  2 \x1b[32mup\x1b[0m, 1 \x1b[31mdown\x1b[0m  http://down.example.org:up/\n" +
		"Store  x, \x1b[33mdegraded\x1b[0m: slow\nHealth  \x1b[31mnot ready\x1b[0m: \x1b[33mdraining\x1b[0m\n"
	if got := (terminal{colour: true}).coloured(text); got != want {
		t.Errorf("got %q", got)
	}
	if got := (terminal{}).coloured(text); got != text {
		t.Errorf("without colours: %q", got)
	}
}

// A status that is watched goes on while the gateway is away.
func TestStatusWatch(t *testing.T) {
	g := serve(t, 200, statusJSON)
	gateway := admin{address: g.address(), timeout: time.Minute}
	var out bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetOut(&out)
	w := statusWatch{cmd: cmd, now: func() time.Time { return today }}
	text, err := w.once(t.Context(), gateway, "table")
	if err != nil || !strings.HasPrefix(text, g.address()+", 12:00:00\n\n") || !strings.Contains(text, statusText) {
		t.Errorf("%v, %s", err, text)
	}
	text, err = w.once(t.Context(), gateway, "json")
	if err != nil || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, `{"version":"v0.3.0"`) {
		t.Errorf("%v, %s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), watchEvery/2)
	defer cancel()
	if err := w.run(ctx, gateway, "table"); err != nil || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), statusText) {
		t.Errorf("%v, %q", err, out.String())
	}
	g.Close()
	for output, want := range map[string]string{"table": "no gateway answers at " + g.address(), "json": `{"error":"no gateway answers at ` + g.address()} {
		if text, err := w.once(t.Context(), gateway, output); err != nil || !strings.HasPrefix(text, want) {
			t.Errorf("%v, %s", err, text)
		}
	}
	strange := serve(t, 200, "[]")
	if _, err := w.once(t.Context(), admin{address: strange.address(), timeout: time.Minute}, "table"); err == nil {
		t.Error("another program is watched")
	}
}

// Where no address was given, the error names both that were tried.
func TestBothAddressesAreNamed(t *testing.T) {
	a := admin{address: "localhost:2", also: "unix/" + adminSocket, timeout: time.Minute}
	_, err := a.ask(t.Context(), question{uri: "/edge_functions/status"})
	if err == nil || !strings.HasPrefix(err.Error(), "no gateway answers at unix//run/edgegate/admin.sock or localhost:2: ") {
		t.Errorf("got %v", err)
	}
}
