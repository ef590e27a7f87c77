//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onDemand is a gateway that gets certificates for the hosts of its projects from Caddy's internal authority.
const onDemand = `{
	admin 127.0.0.1:%d
	skip_install_trust
	auto_https disable_redirects
	on_demand_tls {
		permission edge_functions
	}
	edge_functions {
		location eu-central-1
		apex example.test
		region %s {
			backend http://%s
		}
		projects file %s
	}
}
https://:%d {
	tls internal {
		on_demand
	}
	edge_functions
}
`

// certificates lists the hosts that a certificate was ever stored for.
func (g *gateway) certificates(t *testing.T) string {
	t.Helper()
	var hosts []string
	err := filepath.WalkDir(filepath.Join(g.dir, "data", "caddy", "certificates"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".crt") {
			hosts = append(hosts, strings.TrimSuffix(filepath.Base(path), ".crt"))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(hosts, " ")
}

// TestOnDemandTLS: certificates are for the hosts of the projects in force and for nobody else.
func TestOnDemandTLS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	withDomains := func(domains ...string) object {
		project := projectOf(firstRef, jwtSecret)
		project["domains"] = domains
		return document(project)
	}
	replaceFile(t, path, withDomains("api.acme.org"))
	g := prepareGateway(t)
	g.start(t, fmt.Sprintf(onDemand, g.admin, regionNames[0], denoBackends()[0].address, path, g.port))

	root, err := os.ReadFile(filepath.Join(g.dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("the authority has no certificate")
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	// get returns the answer's protocol and status, or why there is none.
	get := func(host, path string) (string, error) {
		conn, err := tls.DialWithDialer(dialer, "tcp", g.addr, &tls.Config{ServerName: host, RootCAs: roots, NextProtos: []string{"h2"}})
		if err != nil {
			return "", err
		}
		_ = conn.Close()
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{ServerName: host, RootCAs: roots},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, g.addr)
			},
		}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+path, http.NoBody)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+anonToken())
		res, err := transport.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return fmt.Sprintf("%s %d", res.Proto, res.StatusCode), err
	}
	known := []struct{ name, host, path string }{
		{"custom domain", "api.acme.org", "/functions/v1/echo"},
		{"shared domain", firstRef + ".example.test", "/functions/v1/echo"},
		{"host form", firstRef + ".functions.example.test", "/echo"},
	}
	for _, tt := range known {
		t.Run("known: "+tt.name, func(t *testing.T) {
			if got, err := get(tt.host, tt.path); got != "HTTP/2.0 200" {
				t.Errorf("got %q, %v", got, err)
			}
			if !strings.Contains(g.certificates(t), tt.host) {
				t.Errorf("no certificate is stored among %q", g.certificates(t))
			}
		})
	}
	for _, host := range []string{"evil.org", "acme.org", "www.api.acme.org", "nobodysprojectcccccc.example.test", "example.test", "127.0.0.1"} {
		t.Run("unknown: "+host, func(t *testing.T) {
			before := g.certificates(t)
			if got, err := get(host, "/functions/v1/echo"); err == nil {
				t.Errorf("served: %s", got)
			}
			if after := g.certificates(t); after != before {
				t.Errorf("a certificate was made: %q, before %q", after, before)
			}
		})
	}
	t.Run("a domain is added and another removed without a reload", func(t *testing.T) {
		replaceFile(t, path, withDomains("new.acme.org"))
		eventually(t, "served", func() bool { got, _ := get("new.acme.org", "/functions/v1/echo"); return got == "HTTP/2.0 200" })
		eventually(t, "gone", func() bool { got, _ := get("api.acme.org", "/functions/v1/echo"); return got != "HTTP/2.0 200" })
	})
	ordered := 0
	for line := range strings.SplitSeq(g.output(), "\n") {
		if !strings.Contains(line, "obtaining certificate") {
			continue
		}
		if ordered++; strings.Contains(line, "evil.org") {
			t.Errorf("a certificate was ordered for an unknown host: %s", line)
		}
	}
	if ordered == 0 {
		t.Error("the log does not tell of orders any more")
	}
}
