package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"
)

// TestValidateOpensNothing holds the address of the backend and that of the site itself: a validate that dialled would be
// seen by the first, one that listened would fail at the second.
func TestValidateOpensNothing(t *testing.T) {
	setEnvironment(t)
	backend, site := listen(t), listen(t)
	socket := filepath.Join(t.TempDir(), "not-there.sock")
	before := goleak.IgnoreCurrent()
	text := fmt.Sprintf(`{
	edge_functions {
		region us-east-1 {
			backend http://%s
			backend unix/%s
		}
		project default {
			jwt_secret {env.JWT_SECRET}
			function *
		}
	}
}
http://%s {
	edge_functions
}
`, backend.Addr(), socket, site.Addr())
	config, err := adapt(t, "Caddyfile", text)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := validate(config); err != nil {
			t.Fatal(err)
		}
	}
	// Connections are accepted in the order they came: ours must be the first.
	for _, l := range []net.Listener{backend, site} {
		ours, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		first, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if first.RemoteAddr().String() != ours.LocalAddr().String() {
			t.Errorf("validate connected to %s", l.Addr())
		}
		ours.Close()
		first.Close()
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("validate made %s: %v", socket, err)
	}
	goleak.VerifyNone(t, before)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// gateway is a running configuration that is reached by sockets in a folder of its own.
type gateway struct{ admin, site string }

// configuration is a Caddyfile with the options of the project.
func (g gateway) configuration(project string) string {
	return fmt.Sprintf(`{
	admin unix/%s
	persist_config off
	auto_https off
	storage file_system %s
	log {
		output discard
	}
	edge_functions {
		region us-east-1 {
			backend unix/%s
		}
		project default {
			%s
		}
	}
}
http:// {
	bind unix/%s
	edge_functions
}
`, g.admin, filepath.Dir(g.admin), filepath.Join(filepath.Dir(g.admin), "backend.sock"), project, g.site)
}

// run starts the gateway until the test ends.
func run(t *testing.T, project string) gateway {
	t.Helper()
	g := newGateway(t)
	g.load(t, g.configuration(project))
	return g
}

// newGateway returns the sockets of a gateway that is not loaded yet.
func newGateway(t *testing.T) gateway {
	t.Helper()
	// The names of t.TempDir are too long for sockets.
	folder, err := os.MkdirTemp("", "edgegate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return gateway{admin: filepath.Join(folder, "admin.sock"), site: filepath.Join(folder, "site.sock")}
}

// load runs a Caddyfile until the test ends.
func (g gateway) load(t *testing.T, caddyfile string) {
	t.Helper()
	config, err := adapt(t, "Caddyfile", caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// call sends a request over a socket and returns the status and the body.
func call(t *testing.T, socket, method, path, contentType, body string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	var response *http.Response
	for attempt := 1; response == nil; attempt++ {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		// Caddy starts its admin server anew with every load, refused ones too, and drops whoever has just dialed the old one.
		if response, err = transport.RoundTrip(request); err != nil && (!errors.Is(err, io.EOF) || attempt == 3) {
			t.Fatal(err)
		}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestSecretsStayWhereTheyAre: the configuration shows what the operator wrote, not what it was filled in with.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	setEnvironment(t)
	g := run(t, "jwt_secret {env.JWT_SECRET}\n\t\t\tapi_key secret {env.SECRET_KEY} ci")
	status, text := call(t, g.admin, http.MethodGet, "/config/", "", "")
	if status != http.StatusOK || !strings.Contains(text, "{env.JWT_SECRET}") || !strings.Contains(text, "{env.SECRET_KEY}") {
		t.Errorf("%d, without what the operator wrote: %s", status, text)
	}
	leaks(t, text)
	for _, path := range []string{"status", "regions", "explain"} {
		status, text := call(t, g.admin, http.MethodGet, "/edge_functions/"+path, "", "")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
		leaks(t, text)
	}
}

// TestAdminErrorsAreJSON: the admin endpoint words our errors as its own.
func TestAdminErrorsAreJSON(t *testing.T) {
	g := run(t, "function *")
	for _, tt := range []struct {
		method, path string
		status       int
		want         string
	}{
		{http.MethodPost, "/edge_functions/status", 405, `{"error":"only GET is allowed"}`},
		{http.MethodGet, "/edge_functions/explain?country=DE", 400, `{"error":"parameter \"country\": allowed are region, from, down, load, project, request_id, at"}`},
	} {
		status, text := call(t, g.admin, tt.method, tt.path, "", "")
		if status != tt.status || strings.TrimSpace(text) != tt.want {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, status, text, tt.status, tt.want)
		}
	}
}

// TestRefusedReload: a wrong configuration that is sent to the running gateway is answered with the reason and leaves the
// old one in force, with and without a Caddyfile.
func TestRefusedReload(t *testing.T) {
	setEnvironment(t)
	g := run(t, "function hello")
	serves := func(when string) {
		t.Helper()
		// A function that is listed asks for a token, one that is not is unknown.
		if status, text := call(t, g.site, http.MethodGet, "/functions/v1/hello", "", ""); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", when, status, text)
		}
		if status, text := call(t, g.site, http.MethodGet, "/functions/v1/other", "", ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", when, status, text)
		}
	}
	serves("before")
	_, before := call(t, g.admin, http.MethodGet, "/config/", "", "")
	for _, tt := range []struct{ name, contentType, body, want string }{
		{"a wrong Caddyfile", "text/caddyfile", g.configuration("function other {\n\tstatus gone\n}"), `status \"gone\": allowed are ACTIVE, REMOVED, THROTTLED, at Caddyfile:15`},
		{"an unset secret", "text/caddyfile", g.configuration("function other\njwt_secret {env.UNSET_SECRET}"), "the environment variable UNSET_SECRET is not set or empty"},
		{"a weak secret", "text/caddyfile", g.configuration("function other\njwt_secret {env.SHORT_SECRET}"), "it has 9 bytes, HS256 needs at least 32"},
		{"an unknown JSON field", "application/json", strings.Replace(before, `"slug":"hello"`, `"slug":"other","memory":1`, 1), `unknown field \"memory\"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, text := call(t, g.admin, http.MethodPost, "/load", tt.contentType, tt.body)
			if status != http.StatusBadRequest || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s, want 400 with %s", status, text, tt.want)
			}
			leaks(t, text)
			serves("after " + tt.name)
			if _, after := call(t, g.admin, http.MethodGet, "/config/", "", ""); after != before {
				t.Errorf("the configuration is now %s", after)
			}
		})
	}
}
