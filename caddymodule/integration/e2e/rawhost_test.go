//go:build e2e

package e2e

import "testing"

// TestRawHostForm has an apex, so that <ref>.functions.<apex> names functions without the prefix (contract 1.2).
func TestRawHostForm(t *testing.T) {
	g, b := startRawGateway(t, "\t\tapex example.com")
	const ref = "abcdefghijklmnopqrst"
	tests := []struct {
		name, host, sent, want string // want "" is a 404 here
	}{
		{"contract 1.2 slug directly", ref + ".functions.example.com", "/f", "/f"},
		{"contract 1.2 rest and query byte for byte", ref + ".functions.example.com", "/f//a|b%2F?x=1;y", "/f//a|b%2F?x=1;y"},
		{"contract 1.2 with a port and in capitals", "ABCDEFGHIJKLMNOPQRST.Functions.Example.com:8443", "/f", "/f"},
		{"contract 1.2 /functions/v1/x names the function functions", ref + ".functions.example.com", "/functions/v1/f", "/functions/v1/f"},
		{"contract 1.4 no slug", ref + ".functions.example.com", "/", ""},
		{"contract 1.4 encoded slug", ref + ".functions.example.com", "/%66", ""},
		{"contract 1.1 path form on the ref's host", ref + ".example.com", "/functions/v1/f/a", "/f/a"},
		{"contract 1.7 host form's path on the ref's host", ref + ".example.com", "/f", ""},
		{"contract 1.2 not on the project's own host", ownHost, "/f", ""},
		{"contract 1.1 path form on the project's own host", ownHost, "/functions/v1/f", "/f"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.take()
			got := exchange(t, g.addr, rawRequest("GET", tt.sent, tt.host, ""))
			heads := b.take()
			if tt.want == "" {
				if got.status != 404 || got.code() != "NOT_FOUND" || len(heads) != 0 {
					t.Errorf("answered %d %s, and the backend got %d requests", got.status, got.code(), len(heads))
				}
				return
			}
			if got.status != 200 || len(heads) != 1 {
				t.Fatalf("answered %d %s, and the backend got %d requests", got.status, got.body, len(heads))
			}
			if target := requestTarget(heads[0]); target != tt.want {
				t.Errorf("it reached the backend as %q, want %q", target, tt.want)
			}
			if host := headerValues(heads[0], "x-forwarded-host"); len(host) != 1 || host[0] != tt.host {
				t.Errorf("contract 1.8 x-forwarded-host is %q", host)
			}
		})
	}
}
