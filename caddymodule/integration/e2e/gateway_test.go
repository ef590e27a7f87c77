//go:build e2e

package e2e

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The keys of the suite's project. They are recognizable, so that a log line that shows one is found.
const (
	jwtSecret      = "e2e-jwt-secret-of-more-than-thirty-two-bytes"
	publishableKey = "sb_publishable_e2eKnownPublishableKey0"
	secretKey      = "sb_secret_e2eKnownSecretKeyOfTheProject0"
)

// ownHost is the host that the suite's project names by `domain`; every other host is shared.
const ownHost = "own.example.org"

// mainFunctions are the functions as most tests deploy them: echo and the first few behind verify_jwt, the rest public.
const mainFunctions = `
			function hello-world
			function restful
			function echo
			function upload
			function slow
			function reply
			function public-echo {
				verify_jwt off
			}
			function page {
				verify_jwt off
			}
			function page-nocontenttype {
				verify_jwt off
			}
			function sse {
				verify_jwt off
			}
			function ws-echo {
				verify_jwt off
			}
			function download {
				verify_jwt off
			}
			function worker-limit {
				verify_jwt off
			}
			function boot-error {
				verify_jwt off
			}
			function worker-error {
				verify_jwt off
			}
			function crash {
				verify_jwt off
			}
			function broken {
				verify_jwt off
			}
			function status {
				verify_jwt off
			}
			function relay-error {
				verify_jwt off
			}
			function cookies {
				verify_jwt off
			}
			function own-cors {
				verify_jwt off
			}
			function origin-private {
				verify_jwt off
				cors function
			}
			function hono {
				verify_jwt off
			}`

// backend is one region of a gateway under test.
type backend struct {
	region  string
	address string // host:port, or a URL where it is not http; empty for none
	more    string // further lines of the region
}

// config is what differs between the gateways of the suite. Zero values give the main one: three Deno regions and
// mainFunctions.
type config struct {
	global    string // further global options
	options   string // further lines of the global edge_functions block
	backends  []backend
	source    string // the option projects, instead of a project block
	project   string // further lines of the project block
	functions string // its functions
	site      string // lines of the site's edge_functions block
	sites     string // further sites
	debug     bool
	tls       bool
}

// gateway is one running binary.
type gateway struct {
	*process
	dir   string   // its Caddyfile, data and config
	in    []string // the command that it is run by, if any
	file  string   // the binary; empty for that of most tests
	port  int
	admin int
	addr  string // host:port of the site
	url   string

	environment []string // variables beside those that every gateway gets
}

// denoBackends are equally near: on a busy machine chance would make another one the nearest.
func denoBackends() []backend {
	var all []backend
	for i, name := range regionNames {
		bias := fmt.Sprintf("\t\t\tbias %dms\n", 50*i)
		all = append(all, backend{region: name, address: fmt.Sprintf("127.0.0.1:%d", shared.ports[name]), more: bias})
	}
	return all
}

// caddyfile writes the single-project form of docs/one-project.md.
func (c config) caddyfile(port, admin int) string {
	if c.backends == nil {
		c.backends = denoBackends()
	}
	if c.functions == "" {
		c.functions = mainFunctions
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin 127.0.0.1:%d\n%s", admin, c.global)
	if c.debug {
		b.WriteString("\tdebug\n")
	}
	if c.tls {
		b.WriteString("\tskip_install_trust\n\tauto_https disable_redirects\n")
	}
	fmt.Fprintf(&b, "\tedge_functions {\n\t\tlocation eu-central-1\n%s\n", c.options)
	for _, be := range c.backends {
		address := be.address
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		fmt.Fprintf(&b, "\t\tregion %s {\n", be.region)
		if be.address != "" {
			fmt.Fprintf(&b, "\t\t\tbackend %s\n", address)
		}
		fmt.Fprintf(&b, "%s\t\t}\n", be.more)
	}
	if c.source != "" {
		fmt.Fprintf(&b, "\t\tapex example.test\n\t\t%s\n\t}\n}\n", c.source)
	} else {
		c.writeProject(&b)
	}
	if c.tls {
		fmt.Fprintf(&b, "https://localhost:%d {\n\ttls internal\n", port)
	} else {
		fmt.Fprintf(&b, "http://:%d {\n", port)
	}
	if c.site == "" {
		b.WriteString("\tedge_functions\n}\n")
	} else {
		fmt.Fprintf(&b, "\tedge_functions {\n%s\n\t}\n}\n", c.site)
	}
	b.WriteString(c.sites)
	return b.String()
}

// writeProject writes the one project, and ends the global options.
func (c config) writeProject(b *strings.Builder) {
	fmt.Fprintf(b, "\t\tproject default {\n\t\t\tdomain %s\n\t\t\tjwt_secret {env.JWT_SECRET}\n", ownHost)
	fmt.Fprintf(b, "\t\t\tapi_key publishable %s\n\t\t\tapi_key secret {env.SECRET_KEY}\n", publishableKey)
	fmt.Fprintf(b, "%s\n%s\n\t\t}\n\t}\n}\n", c.project, c.functions)
}

// startGateway runs the binary with the config until the test ends, and shows the end of its output if the test failed.
func startGateway(t *testing.T, c config) *gateway {
	t.Helper()
	g := prepareGateway(t)
	if c.tls {
		g.url = fmt.Sprintf("https://localhost:%d", g.port)
	}
	g.start(t, c.caddyfile(g.port, g.admin))
	return g
}

// prepareGateway finds a place and ports for a gateway that start will run.
func prepareGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{dir: t.TempDir()}
	for _, port := range []*int{&g.port, &g.admin} {
		var err error
		if *port, err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	g.addr = fmt.Sprintf("127.0.0.1:%d", g.port)
	g.url = "http://" + g.addr
	return g
}

// start runs the binary with a Caddyfile until the test ends, and returns when the configuration is in force.
func (g *gateway) start(t *testing.T, caddyfile string) {
	t.Helper()
	g.run(t, caddyfile)
	// Calls are answered from now on; the admin API knows of the configuration a moment later.
	eventually(t, "the configuration in force", func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/status", g.admin))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// run runs the binary with a Caddyfile until the test ends, and returns when it listens.
func (g *gateway) run(t *testing.T, caddyfile string) {
	t.Helper()
	file := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	g.process, err = startProcess("edgegate", append([]string{
		"JWT_SECRET=" + jwtSecret,
		"SECRET_KEY=" + secretKey,
		"XDG_DATA_HOME=" + filepath.Join(g.dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(g.dir, "config"),
	}, g.environment...), slices.Concat(g.in, []string{cmp.Or(g.file, shared.binary), "run", "--config", file, "--adapter", "caddyfile"})...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.stop(syscall.SIGTERM, 3*time.Second)
		refuseInLog(t, g.process, jwtSecret, secretKey, publishableKey, anonToken())
		if t.Failed() {
			t.Logf("end of what %s wrote:\n%s", g.name, g.tail())
		}
	})
	if err := waitForPort(g.process, g.port); err != nil {
		t.Fatalf("starting the gateway: %v", err)
	}
}

// token signs claims (JSON) with HS256, by hand: the suite must not share a JWT library with what it tests.
func token(claims, secret string) string {
	enc := base64.RawURLEncoding
	head := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(head))
	return head + "." + enc.EncodeToString(mac.Sum(nil))
}

// anonToken is the project's legacy anon key: a JWT without an end.
func anonToken() string { return token(`{"role":"anon","iss":"supabase"}`, jwtSecret) }
