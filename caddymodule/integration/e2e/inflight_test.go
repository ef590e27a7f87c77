//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// Contract 9.6, also without `capacity`: no more calls of a project, a function or a client at once than in_flight says; what is
// beyond is 503, costs no unit, and leaves the others alone.
func TestInFlight(t *testing.T) {
	preflight := []string{"Origin", "https://app.test", "Access-Control-Request-Method", "POST"}
	for _, tc := range []struct {
		scope, message string
		// Who is refused beside three calls of noisy's hang, from 127.0.0.1, and who is not.
		refused, passes []caller
	}{
		{
			"project", "Too many requests of this project are in flight",
			[]caller{{noisy, "hang", ""}, {noisy, "nap", ""}, {noisy, "nap", "127.0.0.2"}},
			[]caller{{quiet, "nap", ""}},
		},
		{
			"function", "Too many requests of this function are in flight",
			[]caller{{noisy, "hang", ""}, {noisy, "hang", "127.0.0.2"}},
			[]caller{{noisy, "nap", ""}, {quiet, "nap", ""}},
		},
		{
			"client_ip", "Too many requests of this client are in flight",
			[]caller{{noisy, "hang", ""}, {noisy, "nap", ""}},
			[]caller{{noisy, "nap", "127.0.0.2"}, {quiet, "nap", ""}},
		},
	} {
		t.Run(tc.scope, func(t *testing.T) {
			w := startTenants(t, "\t\tin_flight "+tc.scope+" 3", "")
			eventually(t, "the projects are there", func() bool { return w.call(t, quiet, "nap", "") == http.StatusOK })
			before, _ := counted(t, w.gateway, "")
			end := w.hang(3, noisy, "hang")
			w.holds(t, 3, 0)
			for _, who := range tc.refused {
				got := w.from(t, who)
				if got.status != 503 || got.code() != "GATEWAY_OVERLOADED" || got.header.Get("Retry-After") != "1" ||
					got.body != `{"code":"GATEWAY_OVERLOADED","message":"`+tc.message+`"}` {
					t.Errorf("%+v: %+v", who, got)
				}
			}
			for _, who := range tc.passes {
				if got := w.from(t, who); got.status != http.StatusOK {
					t.Errorf("%+v: %+v", who, got)
				}
			}
			if tc.scope == "project" {
				// Contract 4.1: preflights that reach the function are within it, those that the gateway answers are not.
				res, err := w.ask(t.Context(), http.MethodOptions, noisy, "own-cors", preflight...)
				if err != nil || res.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("a preflight to the function: %v, %v", res, err)
				}
				res, err = w.ask(t.Context(), http.MethodOptions, noisy, "nap", preflight...)
				if err != nil || res.StatusCode != http.StatusNoContent {
					t.Errorf("a preflight to the gateway: %v, %v", res, err)
				}
				conn, status := w.open(t, noisy)
				conn.Close()
				if status != http.StatusServiceUnavailable {
					t.Errorf("a WebSocket got %d", status)
				}
			}
			if got := metricOf(t, w.gateway, `edgegate_in_flight_refused_total{scope="`+tc.scope+`"}`); got == "" || got == "0" {
				t.Errorf("the metric of refused calls is %q", got)
			}
			end()
			w.holds(t, 0, 0)
			eventually(t, "room again", func() bool {
				res, err := w.ask(context.Background(), http.MethodGet, noisy, "nap")
				return err == nil && res.StatusCode == http.StatusOK
			})
			// Each hung call counts, and each answered one; none that was refused.
			want := int64(3 + len(tc.passes) + 1)
			eventually(t, "the calls are counted", func() bool {
				after, _ := counted(t, w.gateway, "")
				return after-before == want
			})
		})
	}
}

// caller is who calls what, from which address; "" is any.
type caller struct{ ref, slug, address string }

// from makes one call of a caller.
func (w *tenants) from(t *testing.T, c caller) reply {
	t.Helper()
	dialer := new(net.Dialer)
	if c.address != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.address)}
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write(t, conn, rawRequest(http.MethodGet, "/functions/v1/"+c.slug, c.ref+".example.test", ""))
	got, err := readReply(conn, http.MethodGet)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
