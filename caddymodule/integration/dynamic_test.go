package integration

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// dynamicCaddyfile is a gateway whose only region has the given options.
func dynamicCaddyfile(admin, site, options string) string {
	return fmt.Sprintf(`{
	admin unix/%s
	log {
		output discard
	}
	edge_functions {
		region us-east-1 {
			%s
		}
		project default {
			function hello {
				verify_jwt off
			}
		}
		store embedded %s
	}
}
http:// {
	bind unix/%s
	edge_functions
}
`, admin, options, filepath.Dir(admin), site)
}

// answering starts a backend that answers with a text.
func answering(t *testing.T, address, text string) int {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().(*net.TCPAddr).Port
}

// runDynamic starts a gateway whose only region has the given options, until the test
// ends, and returns the socket of its site.
func runDynamic(t *testing.T, options string) string {
	t.Helper()
	g := newGateway(t)
	g.load(t, dynamicCaddyfile(g.admin, g.site, options))
	return g.site
}

// TestDynamicFollowsAName moves a name from one backend to another while it is called.
func TestDynamicFollowsAName(t *testing.T) {
	s := dnstest.Start(t)
	port := answering(t, "127.0.0.1:0", "first")
	answering(t, "127.0.0.2:"+strconv.Itoa(port), "second")
	s.SetHost("runtime.test", "127.0.0.1")

	site := runDynamic(t, fmt.Sprintf("dynamic a runtime.test. %d {\n\t\t\t\tresolvers %s\n\t\t\t\trefresh 1s\n\t\t\t}", port, s.Address))
	until := func(want string) {
		t.Helper()
		for limit := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			status, text := call(t, site, http.MethodGet, "/functions/v1/hello", "", "")
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			if text == want {
				return
			}
			if time.Now().After(limit) {
				t.Fatalf("%q answers, want %q", text, want)
			}
		}
	}
	until("first")
	s.SetHost("runtime.test", "127.0.0.2")
	until("second")
	s.SetMode("runtime.test", dnstest.ServFail)
	asked := s.Queries("runtime.test")
	for limit := time.Now().Add(time.Minute); s.Queries("runtime.test") < asked+4; {
		if time.Now().After(limit) {
			t.Fatal("the name is not looked up any more")
		}
		time.Sleep(20 * time.Millisecond)
	}
	until("second")
}

// TestDynamicOverTLS: the certificate of a backend must be for the name that was looked
// up, or for the target of its SRV record.
func TestDynamicOverTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.ServerName)
	}))
	t.Cleanup(server.Close)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := dnstest.Start(t)
	s.SetHost("example.com", "127.0.0.1")
	s.SetService("_https._tcp.runtime.test", dnstest.SRV{Target: "example.com", Port: uint16(port)})
	for name, source := range map[string]string{
		"a":   fmt.Sprintf("a example.com. %d", port),
		"srv": "srv _https._tcp.runtime.test.",
	} {
		t.Run(name, func(t *testing.T) {
			site := runDynamic(t, fmt.Sprintf("dynamic %s {\n\t\t\t\tresolvers %s\n\t\t\t}\n\t\t\tdynamic_scheme https\n\t\t\ttls {\n\t\t\t\tca %s\n\t\t\t}", source, s.Address, authority))
			if status, text := call(t, site, http.MethodGet, "/functions/v1/hello", "", ""); status != http.StatusOK || text != "example.com" {
				t.Errorf("%d %q, want the server name example.com", status, text)
			}
		})
	}
}

// TestValidateLooksNothingUp: a configuration can be checked where its name servers are
// out of reach.
func TestValidateLooksNothingUp(t *testing.T) {
	s := dnstest.Start(t)
	s.SetDelay("runtime.test", time.Hour)
	options := fmt.Sprintf("dynamic multi {\n\t\t\t\ta runtime.test. 9000 {\n\t\t\t\t\tresolvers %[1]s\n\t\t\t\t}\n\t\t\t\tsrv runtime.test. {\n\t\t\t\t\tresolvers %[1]s\n\t\t\t\t}\n\t\t\t}", s.Address)
	config, err := adapt(t, "Caddyfile", dynamicCaddyfile(filepath.Join(t.TempDir(), "a"), "/run/site.sock", options))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(config); err != nil {
		t.Error(err)
	}
	if n := s.AllQueries(); n != 0 {
		t.Errorf("%d queries", n)
	}
}
