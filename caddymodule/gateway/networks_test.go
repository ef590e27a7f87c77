package gateway

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A client that owns a wide IPv6 network sends from each address of it: the network as a whole has a limit too, four times
// that of 64 bits for 56, sixteen times for 48 (contract 9.8).
func TestWideNetworks(t *testing.T) {
	const each = 3
	for _, tc := range []struct {
		name    string
		limit   string
		address func(i int) string
		most    int // requests that pass
	}{
		{"one address", "", func(int) string { return "2001:db8::1" }, each},
		{"one network of 64 bits", "", func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }, each},
		{"all networks of 64 bits in one of 56", "", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, 4 * each},
		{"all networks of 56 bits in one of 48", "", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i<<8) }, 16 * each},
		{"networks of 48 bits", "", func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, 100},
		{"IPv4 addresses of one network", "", func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }, 100},
		{"IPv4 addresses in IPv6", "", func(i int) string { return fmt.Sprintf("::ffff:203.0.113.%d", i) }, 100},
		{"shadow", " shadow", func(int) string { return "2001:db8::1" }, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, fmt.Sprintf("nearest client\nlocate {\nheader CF-IPCountry\n}\nrate_limit client_ip %d/1h%s\n", each, tc.limit)+public("hello"), "", functions)
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}} // the harness trusts it as a proxy
			client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
			t.Cleanup(client.CloseIdleConnections)
			passed, left := 0, each
			for i := range 100 {
				request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/functions/v1/hello", nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("X-Forwarded-For", tc.address(i))
				res, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				state := res.Header.Get("Ratelimit")
				if !strings.HasPrefix(state, `"client_ip";r=`) || strings.Contains(state, ",") {
					t.Fatalf("RateLimit %s", state)
				}
				if _, err := fmt.Sscanf(state, `"client_ip";r=%d`, &left); err != nil {
					t.Fatal(err)
				}
				switch res.StatusCode {
				case 200:
					passed++
				case 429:
					if left != 0 || res.Header.Get("Retry-After") == "" {
						t.Errorf("refused with %s, Retry-After %q", state, res.Header.Get("Retry-After"))
					}
				default:
					t.Fatalf("answered %d", res.StatusCode)
				}
			}
			if passed != tc.most {
				t.Errorf("%d requests passed, want %d", passed, tc.most)
			}
		})
	}
}

// in_flight client_ip counts the wider networks as rate_limit does.
func TestWideNetworksInFlight(t *testing.T) {
	held, release := make(chan struct{}, 100), make(chan struct{})
	s := serve(t, "nearest client\nlocate {\nheader CF-IPCountry\n}\nin_flight client_ip 2\n"+public("hello"), "", func(w http.ResponseWriter, r *http.Request) {
		held <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	t.Cleanup(client.CloseIdleConnections)
	statuses := make(chan int, 9)
	ask := func(i int) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/functions/v1/hello", nil)
		if err != nil {
			t.Error(err)
		}
		request.Header.Set("X-Forwarded-For", fmt.Sprintf("2001:db8:0:%x::1", i))
		res, err := client.Do(request)
		if err != nil {
			t.Error(err)
			statuses <- 0
			return
		}
		_ = res.Body.Close()
		statuses <- res.StatusCode
	}
	for i := range 8 {
		go ask(i)
		<-held
	}
	go ask(8)
	if got := <-statuses; got != 503 {
		t.Errorf("the ninth of a network of 56 bits was answered %d", got)
	}
	close(release)
	for range 8 {
		if got := <-statuses; got != 204 {
			t.Errorf("answered %d", got)
		}
	}
	if n := runningApp(t).shared.inFlight.Len(); n != 0 {
		t.Errorf("%d keys are still counted", n)
	}
}
