//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRawTrustedHeaders forges, and tries to remove, what the backend trusts.
func TestRawTrustedHeaders(t *testing.T) {
	g, b := startRawGateway(t, "")
	forged := []string{
		"x-sb-edge-region: mars-1", "X-SB-Edge-Region: mars-2", "x-sb-region-reason: forged",
		"sb-request-id: forged", "sb-project-ref: forged", "sb-api-key: forged", "sb-gateway-version: forged",
		"x-forwarded-for: 6.6.6.6", "x-forwarded-host: forged.example", "x-forwarded-proto: gopher",
		"x-forwarded-port: 6666", "x-forwarded-prefix: /forged",
	}
	one := func(t *testing.T, header ...string) string {
		t.Helper()
		b.take()
		got := exchange(t, g.addr, rawRequest("GET", "/functions/v1/f", g.addr, "", header...))
		if got.status != 200 {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
		heads := b.take()
		if len(heads) != 1 {
			t.Fatalf("the backend got %d requests, want 1", len(heads))
		}
		return heads[0]
	}
	check := func(t *testing.T, head string) {
		t.Helper()
		want := map[string]string{
			"Host": g.addr, "x-forwarded-host": g.addr, "x-forwarded-proto": "http", "x-forwarded-port": fmt.Sprint(g.port),
			"x-forwarded-prefix": "/functions/v1", "x-forwarded-for": "127.0.0.1",
			"sb-project-ref": "default", "x-sb-edge-region": regionNames[0],
		}
		for name, value := range want {
			if got := headerValues(head, name); !slices.Equal(got, []string{value}) {
				t.Errorf("the backend got %s: %q, want exactly %q", name, got, value)
			}
		}
		if got := headerValues(head, "sb-request-id"); len(got) != 1 || len(got[0]) != 36 {
			t.Errorf("the backend got sb-request-id: %q", got)
		}
		if got := headerValues(head, "sb-api-key"); got != nil {
			t.Errorf("the backend got sb-api-key: %q", got)
		}
		if strings.Contains(head, "forged") || strings.Contains(head, "mars-") {
			t.Errorf("something forged reached the backend:\n%s", head)
		}
	}
	t.Run("contract 1.8 forged headers are replaced", func(t *testing.T) { check(t, one(t, forged...)) })
	t.Run("contract 1.8 Connection cannot remove ours", func(t *testing.T) {
		names := "x-sb-edge-region, sb-request-id, sb-project-ref, x-forwarded-for, x-forwarded-host, x-forwarded-proto, x-forwarded-port, x-forwarded-prefix, traceparent, baggage"
		head := one(t, "Connection: "+names)
		check(t, head)
		if got := headerValues(head, "baggage"); len(got) != 1 || !strings.Contains(got[0], "sb-request-id=") {
			t.Errorf("the backend got baggage: %q", got)
		}
	})
	t.Run("contract 1.8 forged and named in Connection", func(t *testing.T) {
		check(t, one(t, append(slices.Clone(forged), "Connection: x-sb-edge-region, close, sb-request-id")...))
	})
	t.Run("contract 1.8 hop-by-hop headers stay here", func(t *testing.T) {
		head := one(t, "Connection: x-hop", "X-Hop: mine", "Keep-Alive: 5", "Proxy-Authorization: Basic YTpi", "TE: trailers")
		for _, name := range []string{"x-hop", "keep-alive", "proxy-authorization"} {
			if got := headerValues(head, name); got != nil {
				t.Errorf("the backend got %s: %q", name, got)
			}
		}
	})
	t.Run("contract 1.8 authorization, apikey, x-region and x-client-info pass unchanged", func(t *testing.T) {
		lines := []string{
			"Authorization:  Basic  YTpi ", "apikey: " + publishableKey,
			"x-region: " + regionNames[0], "x-client-info: supabase-js/2; a=b",
		}
		head := one(t, lines...)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ":")
			if got := headerValues(head, name); !slices.Equal(got, []string{strings.TrimSpace(value)}) {
				t.Errorf("the backend got %s: %q, want %q", name, got, strings.TrimSpace(value))
			}
		}
	})
	t.Run("contract 3.15 an upgrade passes with its protocols, key and version", func(t *testing.T) {
		lines := []string{
			"Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
			"Sec-WebSocket-Protocol: jwt-abc.def.ghi,chat", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
		}
		head := one(t, append(slices.Clone(lines), "Connection: keep-alive, Upgrade")...)
		check(t, head)
		for _, line := range append(lines, "Connection: Upgrade") {
			name, value, _ := strings.Cut(line, ": ")
			if got := headerValues(head, name); !slices.Equal(got, []string{value}) {
				t.Errorf("the backend got %s: %q, want %q", name, got, value)
			}
		}
	})
	t.Run("contract 1.8 no header is invented for the client", func(t *testing.T) {
		head := one(t)
		for _, name := range []string{"User-Agent", "Accept-Encoding", "Via"} {
			if got := headerValues(head, name); got != nil {
				t.Errorf("the backend got %s: %q, which nobody sent", name, got)
			}
		}
	})
}

// TestRawAuthorization sends what HTTP clients refuse to send.
func TestRawAuthorization(t *testing.T) {
	g, b := startRawGateway(t, "")
	tests := []struct {
		name   string
		header []string
		status int
		code   string
	}{
		{"contract 3.3 two Authorization headers, both good", []string{withToken(), withToken()}, 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"},
		{"contract 3.3 two Authorization headers, one good", []string{withToken(), "Authorization: Bearer x"}, 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"},
		{"contract 3.3 two spaces", []string{"Authorization: Bearer  " + anonToken()}, 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"},
		{"contract 3.3 empty Authorization", []string{"Authorization:"}, 401, "UNAUTHORIZED_"},
		{"contract 3.3 Bearer without token", []string{"Authorization: Bearer"}, 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"},
		{"contract 3.10 two apikey headers, one unknown", []string{"apikey: " + publishableKey, "apikey: sb_publishable_nope"}, 401, "UNAUTHORIZED_"},
		{"contract 3.8 one good one", []string{withToken()}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.take()
			got := exchange(t, g.addr, rawRequest("GET", "/functions/v1/locked", "any.example", "", tt.header...))
			if got.status != tt.status || !strings.HasPrefix(got.code(), tt.code) {
				t.Errorf("answered %d %s %s, want %d %s", got.status, got.code(), got.body, tt.status, tt.code)
			}
			if heads := b.take(); (len(heads) == 1) != (tt.status == 200) {
				t.Errorf("the backend got %d requests", len(heads))
			}
		})
	}
}

// TestRawMethods sends the methods outside of the list of contract 5.8.
func TestRawMethods(t *testing.T) {
	g, b := startRawGateway(t, "")
	for _, method := range []string{"HEAD", "TRACE", "PROPFIND", "get", "MADEUP"} {
		t.Run("5 405 "+method, func(t *testing.T) {
			got := exchange(t, g.addr, rawRequest(method, "/functions/v1/f", "any.example", ""))
			if got.status != 405 || got.code() != "METHOD_NOT_ALLOWED" {
				t.Errorf("answered %d %s, want 405 METHOD_NOT_ALLOWED", got.status, got.code())
			}
			for _, want := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if !strings.Contains(got.header.Get("Allow"), want) {
					t.Errorf("Allow is %q, without %s", got.header.Get("Allow"), want)
				}
			}
			if method == "HEAD" && got.body != "" {
				t.Errorf("an answer to HEAD has the body %q", got.body)
			}
			if heads := b.take(); len(heads) != 0 {
				t.Errorf("it reached the backend")
			}
		})
	}
	t.Run("contract 3.17, 3.19, 3.21: 404 before 405 before 401", func(t *testing.T) {
		if got := exchange(t, g.addr, rawRequest("HEAD", "/elsewhere", "any.example", "")); got.status != 404 {
			t.Errorf("HEAD of no function is %d, want 404", got.status)
		}
		if got := exchange(t, g.addr, rawRequest("TRACE", "/functions/v1/locked", "any.example", "")); got.status != 405 {
			t.Errorf("TRACE of a locked function is %d, want 405", got.status)
		}
	})
}
