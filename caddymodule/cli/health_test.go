package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHealthCommand(t *testing.T) {
	const ready, not = `{"ready":true,"reasons":[]}`, `{"ready":false,"reasons":["ledger_not_writable","draining"]}`
	for _, tc := range []struct {
		says, args, stdout string
		code               int
	}{
		{ready, "", "ready\n", 0},
		{ready, "--ready", "ready\n", 0},
		{ready, "--live", "ready\n", 0},
		{not, "", "not ready: ledger not writable, draining\n", 1},
		{not, "--ready", "not ready: ledger not writable, draining\n", 1},
		{not, "--live", "not ready: ledger not writable, draining\n", 0},
	} {
		g := serve(t, 200, tc.says)
		stdout, stderr, code := execute(t, append([]string{"health", "--address", g.address()}, strings.Fields(tc.args)...)...)
		if stdout != tc.stdout || stderr != "" || code != tc.code {
			t.Errorf("%s of %s: %q, %q, exit code %d", tc.args, tc.says, stdout, stderr, code)
		}
	}
	g := serve(t, 200, ready)
	_, stderr, code := execute(t, "health", "--live", "--ready", "--address", g.address())
	if message, _ := said(t, stderr); code != 2 || message != "--live and --ready exclude one another" || len(g.questions()) > 0 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	g.Close()
	_, stderr, code = execute(t, "health", "--live", "--address", g.address())
	if message, _ := said(t, stderr); code != 1 || !strings.Contains(message, "no gateway answers at "+g.address()) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// A drain of the gateway is waited for, to whatever end it comes.
func TestDrainGatewayCommand(t *testing.T) {
	t.Parallel()
	const draining = `{"phase":"draining","since":"2026-11-23T12:00:00Z","ends":"2026-11-23T12:00:15Z","stops":%t}`
	for name, tc := range map[string]struct {
		args  string
		later []string // what it answers after the order, the last one for ever; "" is silence, "503" that it stops
		order string
		code  int
		says  string
	}{
		"stops":           {"--over 30s", []string{draining, "503", "503", ""}, `{"no_stop":false,"over":"30s"}`, 0, ""},
		"the default":     {"", []string{""}, `{"no_stop":false,"over":"15s"}`, 0, ""},
		"taken back":      {"", []string{draining, `{"phase":"serving","since":null,"ends":null,"stops":false}`}, `{"no_stop":false,"over":"15s"}`, 1, "the drain was taken back"},
		"does not stop":   {"--no-stop", []string{draining, `{"phase":"drained","stops":false}`}, `{"no_stop":true,"over":"15s"}`, 0, ""},
		"dies by itself":  {"--no-stop", []string{draining, ""}, `{"no_stop":true,"over":"15s"}`, 1, "no gateway answers"},
		"another program": {"", []string{`[]`}, `{"no_stop":false,"over":"15s"}`, 1, "is not the admin API of edgegate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var order string
			var asked atomic.Int64
			g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					body, _ := io.ReadAll(r.Body)
					order = r.URL.Path + " " + string(body)
					_, _ = fmt.Fprintf(w, draining, true)
					return
				}
				switch text := tc.later[min(int(asked.Add(1)), len(tc.later))-1]; text {
				case "":
					panic(http.ErrAbortHandler)
				case "503":
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, `{"error":"the gateway is starting"}`)
				case draining:
					_, _ = fmt.Fprintf(w, draining, true)
				default:
					_, _ = io.WriteString(w, text)
				}
			}))
			defer g.Close()
			stdout, stderr, code := execute(t, append([]string{"drain", "--gateway", "--address", g.Listener.Addr().String()}, strings.Fields(tc.args)...)...)
			if code != tc.code || order != "/edge_functions/drain/gateway "+tc.order || stdout != "Gateway   draining\nStops in  15s\n" {
				t.Errorf("exit code %d, order %s, said %q, %q", code, order, stdout, stderr)
			}
			if tc.says != "" {
				if message, _ := said(t, stderr); !strings.Contains(message, tc.says) {
					t.Errorf("error %q", message)
				}
			}
		})
	}
}

func TestDrainGatewayUsage(t *testing.T) {
	g := serve(t, 200, `{"phase":"serving","since":null,"ends":null,"stops":false}`)
	for args, want := range map[string]string{
		"drain":                               "drain takes R, or --gateway",
		"undrain":                             "undrain takes R, or --gateway",
		"drain eu-west-2 --gateway":           "--gateway and a region exclude one another",
		"undrain eu-west-2 --gateway":         "--gateway and a region exclude one another",
		"drain --gateway --dry-run":           "--dry-run: not with --gateway",
		"undrain --gateway --dry-run":         "--dry-run: not with --gateway",
		"drain --gateway --last-resort":       "--last-resort: not with --gateway",
		"drain eu-west-2 --no-stop":           "--no-stop: not without --gateway",
		"drain --gateway --over 25h":          `--over "25h": must be between 0s and 24h`,
		"drain --gateway eu-west-2 us-east-1": "drain takes R, got 2 arguments",
	} {
		_, stderr, code := execute(t, append(strings.Fields(args), "--address", g.address())...)
		if message, _ := said(t, stderr); code != 2 || message != want {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
	if asked := g.questions(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	stdout, _, code := execute(t, "undrain", "--gateway", "--address", g.address())
	if code != 0 || stdout != "Gateway  serving\n" || g.questions()[0] != "POST /edge_functions/undrain/gateway" {
		t.Errorf("undrain: exit code %d, %q, asked %q", code, stdout, g.questions())
	}
}
