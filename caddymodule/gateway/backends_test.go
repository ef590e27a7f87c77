package gateway

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// adaptOptions reads further lines of the global option, as `edgegate adapt` does.
func adaptOptions(lines string) error {
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nedge_functions {\nlocation us-east-1\nregion us-east-1 {\nbackend http://127.0.0.1:9\n}\n"+
		lines+"\n}\n}\n:80 {\nedge_functions\n}\n"), map[string]any{"filename": "Caddyfile"})
	return err
}

func TestBackendTLS(t *testing.T) {
	backend := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "over TLS") }))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	file := func(name string, blocks ...*pem.Block) string {
		path := filepath.Join(dir, name)
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: backend.Certificate().Raw})
	region := func(options string) string {
		return "region eu-west-1 {\nbackend " + backend.URL + "\ntls {\n" + options + "\n}\n}\n" + public("hello")
	}
	t.Run("a backend whose authority is configured", func(t *testing.T) {
		s := serve(t, region("ca "+ca+"\nserver_name example.com"), "", functions)
		if got := s.call(t, "GET", "/functions/v1/hello", "", "X-Region", "eu-west-1"); got.StatusCode != 200 || got.body != "over TLS" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("a backend that the system does not trust", func(t *testing.T) {
		s := serve(t, "region eu-west-1 {\nbackend "+backend.URL+"\n}\n"+public("hello"), "", functions)
		if got := s.call(t, "GET", "/functions/v1/hello", "", "X-Region", "eu-west-1"); got.StatusCode != 503 || strings.Contains(got.body, "x509") {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	for _, tc := range []struct{ name, options, want string }{
		{"nothing is given", "", "give a ca, a certificate or a server_name"},
		{"half of a pair", "certificate only.pem", "certificate"},
		{"no such file", "ca " + filepath.Join(dir, "nowhere.pem"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := adaptOptions(region(tc.options))
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		name string
		tls  BackendTLS
		want string
	}{
		{"an authority that is away", BackendTLS{CA: filepath.Join(dir, "nowhere.pem")}, "no such file"},
		{"an authority without a certificate", BackendTLS{CA: file("empty.pem")}, "no certificate in it"},
		{"a pair that is none", BackendTLS{Certificate: ca, Key: ca}, "tls certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := &App{Regions: []*Region{{Name: "eu-west-1", TLS: &tc.tls}}}
			if _, err := app.backendTLS(); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "eu-west-1") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestOptionsOfRetries(t *testing.T) {
	for _, tc := range []struct{ lines, want string }{
		{"retry_status 502 503\nretry_sent on\nretry_body 1MiB", ""},
		{"retry_status 200", "must be a status from 400 to 599"},
		{"retry_status 502 502", "once"},
		{"retry_status teapot", "must be a status from 400 to 599, such as 502"},
		{"retry_body 2MiB", "at most 1MiB"},
		{"retry_sent perhaps", "on"},
		{"nearest client {\nmax_detour 50ms\nmax_spill 100ms\n}", ""},
		{"nearest gateway {\nmax_detour 50ms\n}", "max_detour is for `nearest client`"},
		{"nearest sun", "client"},
		{"locate {\n}", "nothing is in it"},
		{"locate {\nheader CF-IPCountry\n}\nlocate {\nheader CF-IPCountry\n}", "given twice"},
		{"locate yes", "block only"},
	} {
		err := adaptOptions(tc.lines + "\n" + public("hello"))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.lines, err, tc.want)
		}
	}
}

// What a trusted proxy says of its client is believed, and what a client says of itself is not.
func TestTrustedProxies(t *testing.T) {
	s := serve(t, "nearest client\nlocate {\nheader CF-IPCountry\n}\nrate_limit client_ip 1/1h\n"+public("hello"), "", functions)
	from := func(address string, headers ...string) int {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/functions/v1/hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		res, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	for _, tc := range []struct {
		name, peer string
		headers    []string
		want       int
	}{
		{"a client", "127.0.0.1", []string{"CF-IPCountry", "JP"}, 200},
		{"the same again", "127.0.0.1", nil, 429},
		{"and under another name", "127.0.0.1", []string{"X-Forwarded-For", "203.0.113.1"}, 429},
		{"a client behind a trusted proxy", "127.0.0.2", []string{"X-Forwarded-For", "203.0.113.1", "CF-IPCountry", "DE"}, 200},
		{"another behind it", "127.0.0.2", []string{"X-Forwarded-For", "203.0.113.2"}, 200},
		{"one with IPv6", "127.0.0.2", []string{"X-Forwarded-For", "2001:db8::1"}, 200},
		{"its neighbour in the same network", "127.0.0.2", []string{"X-Forwarded-For", "2001:db8::2"}, 429},
		{"the first again", "127.0.0.2", []string{"X-Forwarded-For", "203.0.113.1"}, 429},
	} {
		if got := from(tc.peer, tc.headers...); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestCatalogue(t *testing.T) {
	serve(t, "currency EUR\nplan tight {\nquota 4\nspend_cap on\noverage 3 per 1000\n}\n"+
		strings.Replace(public("hello", "other"), "{\n", "{\norganization acme\nplan tight\n", 1), "", functions)
	app, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	c := billingCatalogue{app}
	if !c.Loaded() || len(c.Sinks()) != 0 {
		t.Errorf("loaded %t, sinks %v", c.Loaded(), c.Sinks())
	}
	if price := c.DefaultPrice(); price.Included != -1 || price.Currency != "EUR" {
		t.Errorf("%+v", price)
	}
	var seen []string
	for account := range c.Accounts() {
		for p := range account.Projects {
			for f := range p.Functions {
				seen = append(seen, fmt.Sprintf("%s %s %s %t %d", account.ID, p.Ref, f, p.Has(f) && !p.Has("nobody"), account.Allowance.Quota))
			}
		}
	}
	if got, want := strings.Join(seen, ", "), "acme default hello true 4, acme default other true 4"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Contract 4.1: the preflight of a function that answers it itself goes there without a body.
func TestPreflightOfAFunction(t *testing.T) {
	s := serve(t, "project default {\nfunction own {\ncors function\nverify_jwt off\n}\n}", "", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Access-Control-Allow-Origin", "https://own.example")
		w.Header().Set("X-Body", fmt.Sprintf("%s %d", r.Method, len(body)))
	})
	got := s.call(t, "OPTIONS", "/functions/v1/own", "a body", "Origin", "https://own.example", "Access-Control-Request-Method", "POST")
	if got.StatusCode != 200 || got.Header.Get("X-Body") != "OPTIONS 0" || got.Header.Get("Access-Control-Allow-Origin") != "https://own.example" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

// A client that goes away before there is an answer, or while it uploads, takes its call's place with it.
func TestClientsGoAway(t *testing.T) {
	began, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	s := serve(t, "in_flight function 1\n"+public("slow", "slow-upload"), "", func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") && r.Method == "POST" {
			began <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice
			<-r.Context().Done()
			ended <- struct{}{}
		}
	})
	for name, length := range map[string]int{"slow": 0, "slow-upload": 100_000} {
		conn, _ := s.raw(t, fmt.Sprintf("POST /functions/v1/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", name, s.address, length)+strings.Repeat("x", length/2))
		<-began
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	deadline := time.After(10 * time.Second)
	for s.call(t, "GET", "/functions/v1/slow", "").StatusCode != 200 {
		select {
		case <-deadline:
			t.Fatal("the place of a client that is gone is not free")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
