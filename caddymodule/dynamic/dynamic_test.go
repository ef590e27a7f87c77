package dynamic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/caddymodule/dynamic"
	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads an option from its line on.
func parse(text string) (json.RawMessage, error) {
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return dynamic.Parse(d)
}

// caddyContext returns the context of a configuration that lasts until the test ends.
func caddyContext(t *testing.T) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// load returns the sources of an option, which must be right.
func load(t *testing.T, text, scheme string) []discovery.Source {
	t.Helper()
	raw, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	preview, err := dynamic.Preview(raw, scheme)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := dynamic.Load(caddyContext(t), raw, scheme)
	if err != nil {
		t.Fatal(err)
	}
	if len(preview) != len(sources) {
		t.Errorf("the preview has %d sources, not %d", len(preview), len(sources))
	}
	return sources
}

// lookup returns what a source has now, within the time that a look-up may take.
func lookup(t *testing.T, source discovery.Source) ([]discovery.Endpoint, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), discovery.LookupTimeout)
	defer cancel()
	return source.Lookup(ctx)
}

// expect fails the test if the source has other addresses, in whatever order.
func expect(t *testing.T, source discovery.Source, want ...string) {
	t.Helper()
	endpoints, err := lookup(t, source)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range endpoints {
		got = append(got, e.Address)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", source.Name, got, want)
	}
}

func TestSources(t *testing.T) {
	t.Setenv("RUNTIME_NAME", "runtime.internal")
	t.Setenv("RUNTIME_PORT", "9001")
	for _, tt := range []struct{ text, scheme, want string }{
		{"dynamic a runtime.default.svc 9000", "http", "a runtime.default.svc:9000 5s"},
		{"dynamic a runtime.default.svc.", "http", "a runtime.default.svc:80 5s"},
		{"dynamic a runtime.default.svc", "https", "a runtime.default.svc:443 5s"},
		{"dynamic a 2001:db8::1 9000", "http", "a [2001:db8::1]:9000 5s"},
		{"dynamic a {\nname runtime\nport 9000\nrefresh 2s\nresolvers 127.0.0.1:8600 tcp/[::1]\ndial_timeout 2s\ndial_fallback_delay 1s\nversions ipv4\n}", "http", "a runtime:9000 ipv4 by 127.0.0.1:8600,tcp/[::1]:53 2s"},
		{"dynamic a runtime 9000 {\nversions ipv6\n}", "http", "a runtime:9000 ipv6 5s"},
		{"dynamic a runtime 9000 {\nversions ipv4 ipv6\n}", "http", "a runtime:9000 5s"},
		{"dynamic a {env.RUNTIME_NAME} {env.RUNTIME_PORT}", "http", "a runtime.internal:9001 5s"},
		{"dynamic srv _http._tcp.runtime.example.com", "http", "srv _http._tcp.runtime.example.com 5s"},
		{"dynamic srv {\nservice http\nproto tcp\nname runtime.example.com\nrefresh 1m\ngrace_period 1h\nresolvers 127.0.0.1:8600\n}", "h2c", "srv _http._tcp.runtime.example.com by 127.0.0.1:8600 1m0s"},
		{"dynamic srv _http._tcp.{env.RUNTIME_NAME}", "http", "srv _http._tcp.runtime.internal 5s"},
		{"dynamic multi {\na one 9000\nmulti {\nsrv _http._tcp.two\na three 9000\n}\n}", "http", "a one:9000 5s, srv _http._tcp.two 5s, a three:9000 5s"},
		{"dynamic guest one.internal:9000", "http", "guest 68fbba94 1s"},
		{"dynamic guest other.internal:9000", "http", "guest 190f00f8 1s"},
	} {
		var got []string
		for _, source := range load(t, tt.text, tt.scheme) {
			got = append(got, source.Name+" "+source.Interval.String())
			if source.Scheme != tt.scheme || source.Lookup == nil {
				t.Errorf("%s: %+v", tt.text, source)
			}
		}
		if joined := strings.Join(got, ", "); joined != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, joined, tt.want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"dynamic", "dynamic: the module is missing; modules here: a, guest, multi, srv, at Testfile:1"},
		{"dynamic serv x", `dynamic: unknown module "serv"; modules here: a, guest, multi, srv (did you mean "srv"?), at Testfile:1`},
		{"dynamic a runtime {\nnothing\n}", `unknown option "nothing"; options here: dial_fallback_delay, dial_timeout, name, port, refresh, resolvers, versions, at Testfile:2`},
		{"dynamic a runtime {\nrefersh 2s\n}", `unknown option "refersh" (did you mean "refresh"?), at Testfile:2`},
		{"dynamic srv x {\nversions ipv4\n}", `unknown option "versions"; options here: dial_fallback_delay, dial_timeout, grace_period, name, proto, refresh, resolvers, service, at Testfile:2`},
		{"dynamic a runtime 9000 {\nrefresh 2s\nresolvers 10.0.0.1\nrefresh 1s\n}", "refresh: given twice, keep one, at Testfile:4"},
		{"dynamic a runtime 9000 {\nresolvers 10.0.0.1\nresolvers 10.0.0.2\n}", "resolvers: given twice, keep one, at Testfile:3"},
		{"dynamic a runtime 9000 {\nport 9001\n}", "port: given twice, keep one, at Testfile:2"},
		{"dynamic srv x {\nname y\n}", "name: given twice, keep one, at Testfile:2"},
		{"dynamic a runtime 9000 {\nrefresh {\n}\n}", "refresh: takes no block, at Testfile:2"},
		{"dynamic multi {\nguest one:9000 {\nx\n}\na two {\nprt 9000\n}\n}", `unknown option "prt" (did you mean "port"?), at Testfile:6`},
		{"dynamic multi {\nserv _http._tcp.x\n}", `dynamic multi: unknown module "serv"; modules here: a, guest, multi, srv (did you mean "srv"?), at Testfile:2`},
		{"dynamic a", "dynamic a: the name is missing, at Testfile:1"},
		{"dynamic a runtime:9000", "dynamic a: name \"runtime:9000\": write the port by itself, as in `dynamic a runtime 9000`, at Testfile:1"},
		{"dynamic a 9000", "dynamic a: name \"9000\" is neither a DNS name nor an IP address; write the name, and the port after it, as in `dynamic a runtime 9000`, at Testfile:1"},
		{"dynamic a 10.0.0.256 9000", "dynamic a: name \"10.0.0.256\" is neither a DNS name nor an IP address; write the name, and the port after it, as in `dynamic a runtime 9000`, at Testfile:1"},
		{"dynamic srv 9000.", "dynamic srv: name \"9000.\" is neither a DNS name nor an IP address; write the whole name, such as _http._tcp.runtime.example.com, at Testfile:1"},
		{"dynamic a http://runtime 9000", `dynamic a: name "http://runtime" is no DNS name: want letters, digits, - and _ between dots, at most 63 between two of them, at Testfile:1`},
		{"dynamic a runtime 0", `dynamic a: port "0": must be a number from 1 to 65535, at Testfile:1`},
		{"dynamic a runtime http", `dynamic a: port "http": must be a number from 1 to 65535, at Testfile:1`},
		{"dynamic a runtime 9000 {\nrefresh 100ms\n}", "dynamic a: refresh 100ms: must be at least 1s, at Testfile:1"},
		{"dynamic a runtime 9000 {\nresolvers unix//run/dns\n}", `dynamic a: resolvers "unix//run/dns": write ADDRESS, ADDRESS:PORT or tcp/ADDRESS:PORT, at Testfile:1`},
		{"dynamic a runtime 9000 {\nresolvers quic/10.0.0.1:53\n}", `dynamic a: resolvers "quic/10.0.0.1:53": name servers are asked over udp or tcp; write ADDRESS, ADDRESS:PORT or tcp/ADDRESS:PORT, at Testfile:1`},
		{"dynamic a runtime 9000 {\nresolvers 10.0.0.1:53-54\n}", `dynamic a: resolvers "10.0.0.1:53-54": write ADDRESS, ADDRESS:PORT or tcp/ADDRESS:PORT, at Testfile:1`},
		{"dynamic srv", "dynamic srv: the name is missing, at Testfile:1"},
		{"dynamic srv {\nname x\nservice http\n}", "dynamic srv: service and proto go together; give both, or the whole name, such as _http._tcp.runtime.example.com, at Testfile:1"},
		{"dynamic srv {\nname x\nservice _http\nproto _tcp\n}", "dynamic srv: service and proto are written without the underscore at their beginning, at Testfile:1"},
		{"dynamic multi", "dynamic multi: no source in it, at Testfile:1"},
		{"dynamic multi {\na one 9000\na two nine\n}", `dynamic multi: dynamic a: port "nine": must be a number from 1 to 65535, at Testfile:1`},
		{"dynamic a {http.request.host} 9000", "dynamic a: the placeholder {http.request.host} is filled in for each request, but backends are looked for in the background, without a request; write the value itself or {env.NAME}, at Testfile:1"},
		{"dynamic a {host} 9000", "dynamic a: the placeholder {host} is filled in for each request"},
		{"dynamic a runtime {header.x-port}", "dynamic a: the placeholder {header.x-port} is filled in for each request"},
		{"dynamic srv _http._tcp.{labels.2}.internal", "dynamic srv: the placeholder {labels.2} is filled in for each request"},
		{"dynamic srv x {\nresolvers {vars.dns}\n}", "dynamic srv: the placeholder {vars.dns} is filled in for each request"},
		{"dynamic multi {\na {query.name} 9000\n}", "dynamic multi: dynamic a: the placeholder {query.name} is filled in for each request"},
		{"dynamic guest {client_ip}:9000", "dynamic guest: the placeholder {client_ip} is filled in for each request"},
		{"dynamic a {somewhere} 9000", "dynamic a: the placeholder {somewhere} is not filled in here; use {env.NAME}, at Testfile:1"},
	} {
		raw, err := parse(tt.text)
		if err == nil {
			t.Errorf("%s: no error, but %s", tt.text, raw)
		} else if text := err.Error(); text != tt.want && !(strings.HasPrefix(text, tt.want) && strings.HasSuffix(text, "at Testfile:1")) {
			t.Errorf("%s: the error is\n%s\nwant\n%s", tt.text, text, tt.want)
		}
	}
}

// TestUnsetVariables: a variable that is empty when the file is read names itself, wherever it is in the option; it never
// moves the port into the place of the name.
func TestUnsetVariables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Caddyfile")
	for text, line := range map[string]string{
		"dynamic {$DYNAMIC_UNSET}":                                         "dynamic:1",
		"dynamic {$DYNAMIC_UNSET} runtime":                                 "dynamic:1",
		"dynamic a {$DYNAMIC_UNSET}":                                       "dynamic:1",
		"dynamic a {$DYNAMIC_UNSET} 9000":                                  "dynamic:1",
		"dynamic a runtime {$DYNAMIC_UNSET}":                               "dynamic:1",
		"dynamic a runtime{$DYNAMIC_UNSET} 9000":                           "dynamic:1",
		"dynamic srv {$DYNAMIC_UNSET} {\nrefresh 5s\n}":                    "dynamic:1",
		"dynamic a runtime {\nport {$DYNAMIC_UNSET}\n}":                    "port:2",
		"dynamic a runtime 9000 {\nresolvers {$DYNAMIC_UNSET}\n}":          "resolvers:2",
		"dynamic a runtime 9000 {\nresolvers 10.0.0.1 {$DYNAMIC_UNSET}\n}": "resolvers:2",
		"dynamic a runtime 9000 {\nrefresh {$DYNAMIC_UNSET}\n}":            "refresh:2",
		"dynamic a runtime 9000 {\nversions {$DYNAMIC_UNSET}\n}":           "versions:2",
		"dynamic multi {\na {$DYNAMIC_UNSET} 9000\n}":                      "a:2",
		"dynamic multi {\na runtime {\nport {$DYNAMIC_UNSET}\n}\n}":        "port:3",
		"dynamic guest one:9000 {$DYNAMIC_UNSET}":                          "dynamic:1",
	} {
		text = "{$NOTHING:site} {\n" + text + "\n}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		blocks, err := caddyfile.Parse(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d := caddyfile.NewDispenser(blocks[0].Segments[0])
		d.Next()
		option, n, _ := strings.Cut(line, ":")
		number, _ := strconv.Atoi(n)
		want := fmt.Sprintf("%s: the environment variable DYNAMIC_UNSET is not set or empty, which {$DYNAMIC_UNSET} is filled in from; set it, or write {$DYNAMIC_UNSET:DEFAULT}, at %s:%d", option, path, number+1)
		if _, err := dynamic.Parse(d); err == nil || err.Error() != want {
			t.Errorf("%s: the error is\n%v\nwant\n%s", text, err, want)
		}
	}
}

// TestWrongJSON checks the errors of JSON that no Caddyfile is adapted to, and of placeholders whose variables are wrong.
func TestWrongJSON(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("STRANGE", "two names")
	for _, tt := range []struct{ raw, want string }{
		{`[]`, "dynamic: json: cannot unmarshal array"},
		{`{}`, `dynamic: the name of the module is missing as "source"; modules here: a, guest, multi, srv`},
		{`{"source":"b"}`, `dynamic: unknown module "b"; modules here: a, guest, multi, srv`},
		{`{"source":"a","name":"runtime","colour":"red"}`, `dynamic a: json: unknown field "colour"`},
		{`{"source":"a","name":"runtime","resolver":{}}`, "dynamic a: resolvers: no address of a name server"},
		{`{"source":"a","name":"runtime","dial_timeout":-1}`, "dynamic a: dial_timeout: must not be negative"},
		{`{"source":"a","name":"runtime","refresh":-1}`, "dynamic a: refresh -1ns: must be at least 1s"},
		{`{"source":"srv","name":"runtime","dial_network":"udp"}`, `dynamic srv: dial_network "udp": allowed are tcp, tcp4, tcp6`},
		{`{"source":"a","name":"{env.EMPTY}"}`, "dynamic a: the environment variable EMPTY is not set or empty"},
		{`{"source":"a","name":"{env.STRANGE}"}`, `dynamic a: name "two names" is no DNS name`},
		{`{"source":"a","name":"{file./nowhere}"}`, "dynamic a: the placeholder {file./nowhere} is unknown or empty"},
		{`{"source":"guest","dials":["{env.EMPTY}:9000"]}`, "dynamic guest: the environment variable EMPTY is not set or empty"},
		{`{"source":"guest","labels":{"{http.request.host}":"x"}}`, "dynamic guest: the placeholder {http.request.host} is filled in for each request"},
		{`{"source":"guest","refuse":"no docker here"}`, "no docker here"},
	} {
		_, err := dynamic.Load(caddyContext(t), json.RawMessage(tt.raw), "http")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: the error is\n%v\nwant\n%s", tt.raw, err, tt.want)
		}
	}
}

// TestLookups asks a real name server by each module.
func TestLookups(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost("runtime.test", "10.0.0.1", "2001:db8::1")
	s.SetHost("other.test", "10.0.0.2")
	s.SetService("_http._tcp.runtime.test", dnstest.SRV{Target: "runtime.test", Port: 9001, Priority: 3, Weight: 8})
	by := " {\nresolvers " + s.Address + "\n}"

	expect(t, load(t, "dynamic a runtime.test. 9000"+by, "http")[0], "10.0.0.1:9000", "[2001:db8::1]:9000")
	expect(t, load(t, "dynamic a runtime.test. 9000 {\nresolvers "+s.Address+"\nversions ipv6\n}", "http")[0], "[2001:db8::1]:9000")
	endpoints, err := lookup(t, load(t, "dynamic srv _http._tcp.runtime.test."+by, "http")[0])
	want := []discovery.Endpoint{
		{Address: "10.0.0.1:9001", Host: "runtime.test:9001", Priority: 3, Weight: 4},
		{Address: "[2001:db8::1]:9001", Host: "runtime.test:9001", Priority: 3, Weight: 4},
	}
	if err != nil || !slices.Equal(endpoints, want) {
		t.Errorf("%+v, %v", endpoints, err)
	}
	// A name in parts may end with a dot too, which keeps search domains from being tried.
	expect(t, load(t, "dynamic srv {\nservice http\nproto tcp\nname runtime.test.\nresolvers "+s.Address+"\n}", "http")[0], "10.0.0.1:9001", "[2001:db8::1]:9001")
	// A source of multi that fails takes nothing from the others.
	multi := load(t, "dynamic multi {\na missing.test. 9000"+by+"\na other.test. 9000"+by+"\n}", "http")
	if _, err := lookup(t, multi[0]); err == nil {
		t.Error("no error about a name that is missing")
	}
	expect(t, multi[1], "10.0.0.2:9000")
}

// TestCaddysOwnLookup shows why the look-ups of `a` and `srv` are not Caddy's: it asks
// name servers that are given over UDP only, and takes the part of an answer that fits
// into a packet for all of it.
func TestCaddysOwnLookup(t *testing.T) {
	s := dnstest.Start(t)
	var ips []string
	for i := range 500 {
		ips = append(ips, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
	}
	s.SetHost("runtime.test", ips...)
	option := "dynamic a runtime.test. 9000 {\nresolvers " + s.Address + "\nversions ipv4\n}"
	raw, err := parse(option)
	if err != nil {
		t.Fatal(err)
	}
	if upstreams, err := askCaddy(t, raw); err == nil && len(upstreams) == len(ips) {
		t.Error("Caddy has found all: its own look-up would do")
	}
	if n := s.QueriesOverTCP("runtime.test"); n != 0 {
		t.Errorf("Caddy has asked %d times over TCP: its own look-up would do", n)
	}
	endpoints, err := lookup(t, load(t, option, "http")[0])
	if err != nil || len(endpoints) != len(ips) {
		t.Errorf("%d endpoints, %v", len(endpoints), err)
	}
}

// TestLoadAsksNobody: a configuration is checked where its name servers are out of
// reach, too.
func TestLoadAsksNobody(t *testing.T) {
	s := dnstest.Start(t)
	s.SetDelay("runtime.test", time.Hour)
	load(t, "dynamic multi {\na runtime.test. 9000 {\nresolvers "+s.Address+"\n}\nsrv runtime.test. {\nresolvers "+s.Address+" 192.0.2.1\n}\nguest runtime.test:9000\n}", "http")
	if n := s.AllQueries(); n != 0 {
		t.Errorf("%d queries", n)
	}
}

// TestAddressUnderTwoNames: certificates are for names, so that an https address under
// two names is two backends.
func TestAddressUnderTwoNames(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t)
	const service = "_https._tcp.runtime.example.test."
	s.SetService(service, dnstest.SRV{Target: "a.example.test.", Port: 9000}, dnstest.SRV{Target: "b.example.test.", Port: 9000})
	s.SetHost("a.example.test.", "10.0.0.1")
	s.SetHost("b.example.test.", "10.0.0.1")
	srv := fmt.Sprintf("dynamic srv %s {\n\tresolvers %s\n}", service, s.Address)
	const guest = "dynamic guest tcp4/localhost:9000 127.0.0.1:9000 127.0.0.1:9000"
	expect(t, load(t, srv, "https")[0], "10.0.0.1:9000", "10.0.0.1:9000")
	expect(t, load(t, srv, "http")[0], "10.0.0.1:9000")
	expect(t, load(t, guest, "https")[0], "127.0.0.1:9000", "127.0.0.1:9000")
	expect(t, load(t, guest, "http")[0], "127.0.0.1:9000")
}
