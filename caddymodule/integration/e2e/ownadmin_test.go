//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// Whoever may write the DNS records of backends, or lists the wrong port, does not open the admin API to callers: neither on its
// port, under whatever address of the machine, nor on its socket (contract 1.6 for the gateway's own inside).
func TestAdminAPIIsNoBackend(t *testing.T) {
	dns := dnstest.Start(t)
	functions := "\t\t\tfunction * {\n\t\t\t\tverify_jwt off\n\t\t\t}\n"
	for name, tc := range map[string]struct {
		admin  func(port int, dir string) string
		region func(port int, dir string) string
	}{
		"a fixed address": {
			func(port int, _ string) string { return fmt.Sprintf("127.0.0.1:%d", port) },
			func(port int, _ string) string { return fmt.Sprintf("backend http://127.0.0.1:%d", port) },
		},
		"all addresses, another of this machine": {
			func(port int, _ string) string { return fmt.Sprintf(":%d", port) },
			func(port int, _ string) string { return fmt.Sprintf("backend http://127.7.7.7:%d", port) },
		},
		"by name": {
			func(port int, _ string) string { return fmt.Sprintf("localhost:%d", port) },
			func(port int, _ string) string {
				dns.SetHost("admin.test", "127.0.0.1")
				return fmt.Sprintf("dynamic a admin.test. %d {\n\t\t\t\tresolvers %s\n\t\t\t}", port, dns.Address)
			},
		},
		"by an SRV record": {
			func(port int, _ string) string { return fmt.Sprintf("127.0.0.1:%d", port) },
			func(port int, _ string) string {
				dns.SetHost("target.test", "127.0.0.1")
				dns.SetService("_admin._tcp.test", dnstest.SRV{Target: "target.test", Port: uint16(port)}) // #nosec G115 -- a port
				return fmt.Sprintf("dynamic srv _admin._tcp.test. {\n\t\t\t\tresolvers %s\n\t\t\t}", dns.Address)
			},
		},
		"its socket": {
			func(_ int, dir string) string { return "unix/" + filepath.Join(dir, "admin.sock") },
			func(_ int, dir string) string { return "backend unix/" + filepath.Join(dir, "admin.sock") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := prepareGateway(t)
			caddyfile := config{
				backends:  []backend{{region: "eu-central-1", more: "\t\t\t" + tc.region(g.admin, g.dir) + "\n"}},
				functions: functions,
			}.caddyfile(g.port, g.admin)
			caddyfile = strings.Replace(caddyfile, fmt.Sprintf("admin 127.0.0.1:%d", g.admin), "admin "+tc.admin(g.admin, g.dir), 1)
			g.run(t, caddyfile)
			eventually(t, "calls are answered", func() bool {
				req, err := http.NewRequest(http.MethodGet, g.url+"/functions/v1/config/", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = fmt.Sprintf("127.0.0.1:%d", g.admin) // which the admin API takes for its own
				req.Header.Set(regions.HeaderRegion, "eu-central-1")
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return false
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(body), "apps") {
					t.Errorf("%d %.200s, %v, want 503", res.StatusCode, body, err)
				}
				return true
			})
			eventuallyWithin(t, 10*time.Second, "the log says why", func() bool {
				return strings.Contains(g.tail(), "this gateway's own, of a site or of the admin API")
			})
		})
	}
}
