package caddymodule_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// arrow says which of our own packages the files of a room may import. The first arrow whose room fits a file counts.
type arrow struct {
	from   string
	to     []string
	reason string
}

// A pattern ends in /... for a directory with everything below; others name one package, or one file.
var arrows = []arrow{
	{
		"cmd/...",
		[]string{"caddymodule/..."},
		"the command has no logic: it registers the modules and starts Caddy, everything else is wired in caddymodule",
	},
	{
		"caddymodule/handover/...",
		[]string{"caddymodule/handover/..."},
		"handover keeps sockets over configurations, whatever is asked over them: it knows nothing of ours",
	},
	{
		"caddymodule/sockets/...",
		[]string{"caddymodule/sockets/..."},
		"sockets counts frames, whoever sends them: it knows nothing of ours",
	},
	{
		"caddymodule/options/...",
		[]string{"caddymodule/options/...", "regions/spelling"},
		"options is what all Caddyfiles are read with: it knows none of the options",
	},
	{
		"caddymodule/logs/...",
		[]string{"caddymodule/logs/...", "caddymodule/options", "regions/spelling", "ratelimit/redisconn"},
		"logs masks what is written, whoever writes it: it knows nothing of the gateway",
	},
	{
		"caddymodule/metrics/...",
		[]string{"caddymodule/metrics/...", "routing/auth", "regions", "ratelimit/rate"},
		"metrics has names and types; the numbers are handed to it by the gateway, which it does not know",
	},
	{
		"caddymodule/fleet/...",
		[]string{"caddymodule/fleet/...", "caddymodule/atomicfile", "regions/...", "ratelimit/redisconn/..."},
		"fleet tells gateways of one another by values that the gateway hands to it: it does not know the gateway",
	},
	{
		"caddymodule/health/...",
		[]string{"caddymodule/health/...", "caddymodule/options"},
		"health judges conditions that are handed to it, and orders the end of the process by a function: it does not know the gateway",
	},
	{
		"caddymodule/events/...",
		[]string{"caddymodule/events/...", "caddymodule/atomicfile", "ratelimit/redisconn/..."},
		"events keeps changes that are handed to it: it knows neither what changed nor who asks",
	},
	{
		"caddymodule/tracing/...",
		[]string{"caddymodule/tracing/...", "caddymodule/options", "caddymodule/logs", "routing", "regions"},
		"tracing has spans of what the gateway hands to it: it does not know the gateway",
	},
	{
		"caddymodule/atomicfile",
		[]string{"caddymodule/atomicfile"},
		"atomicfile writes a file of whatever content: it knows nothing of ours",
	},
	{
		"caddymodule/headwriter/...",
		[]string{"caddymodule/headwriter/..."},
		"headwriter decides when bytes of an answer go out, of whatever answer: it knows nothing of ours",
	},
	{
		"caddymodule/forwarded/...",
		[]string{"caddymodule/forwarded/...", "routing"},
		"forwarded reads headers and addresses: it knows nothing of the gateway",
	},
	{
		"caddymodule/dynamic/...",
		[]string{"caddymodule/dynamic/...", "caddymodule/options", "regions/discovery/...", "regions/spelling"},
		"dynamic turns options into sources of backends: what becomes of the backends is decided in regions",
	},
	{
		"caddymodule/audit/...",
		[]string{"caddymodule/audit/...", "caddymodule/options", "caddymodule/logs", "routing/...", "regions/...", "ratelimit/..."},
		"audit judges values that are handed to it: it does not know the gateway, nor who else brings findings",
	},
	{
		"caddymodule/gateway/...",
		[]string{
			"caddymodule/gateway/...", "caddymodule/handover", "caddymodule/sockets", "caddymodule/options", "caddymodule/logs",
			"caddymodule/headwriter", "caddymodule/metrics", "caddymodule/fleet", "caddymodule/forwarded", "caddymodule/dynamic",
			"caddymodule/health", "caddymodule/events", "caddymodule/tracing",
			"routing/...", "regions/...", "ratelimit/...",
		},
		"those who use the gateway know it, and not the other way round: admin, audit, cli, sources, exporters and permission are guests over what it exports",
	},
	{
		"caddymodule/...",
		[]string{"caddymodule/...", "routing/...", "regions/...", "ratelimit/..."},
		"caddymodule wires the three rooms, and the command imports it: there is nothing else for it to know",
	},
	{
		"routing/...",
		[]string{"routing/...", "regions", "regions/geo", "regions/capacity", "regions/spelling"},
		"routing decides on values: of the rooms it knows only the types and snapshots of regions, what else it needs it declares as an interface",
	},
	{
		"regions/geo/...",
		[]string{"regions/geo/..."},
		"places and expected round trips are facts and arithmetic: whoever needs a distance must not get connections with it",
	},
	{
		"regions/capacity/...",
		[]string{"regions/capacity/..."},
		"places in a region are counted without knowing the region: its rule is tested against a model alone",
	},
	{
		"regions/spelling",
		[]string{"regions/spelling"},
		"spelling is the one did-you-mean of the tree: every room may import it, so it imports none",
	},
	{
		"regions/discovery/...",
		[]string{"regions/discovery/..."},
		"discovery says where backends are, whatever becomes of them: it knows nothing of regions and their health",
	},
	{
		"regions/...",
		[]string{"regions/..."},
		"regions knows where and how well, not who asks: it must serve the handler and the simulation alike",
	},
	{
		"ratelimit/redisconn/...",
		[]string{"ratelimit/redisconn/..."},
		"redisconn is the lowest floor: every other part of ratelimit stands on it",
	},
	{
		"ratelimit/metering/...",
		[]string{"ratelimit/metering/...", "ratelimit/redisconn/..."},
		"the ledger only records: projections read it (ratelimit/usage -> ratelimit/metering), never the other way round",
	},
	{
		"ratelimit/usage/...",
		[]string{"ratelimit/usage/...", "ratelimit/metering/...", "ratelimit/redisconn/..."},
		"usage is a projection of the ledger and of nothing else, or a bill could not be computed again",
	},
	{
		"ratelimit/rate/...",
		[]string{"ratelimit/rate/...", "ratelimit/metering", "ratelimit/redisconn/..."},
		"rates are of keys that mean nothing to it; of the ledger it needs the shards alone",
	},
	{
		"ratelimit/quota/...",
		[]string{"ratelimit/quota/...", "ratelimit/metering/...", "ratelimit/redisconn/...", "ratelimit/faultproxy"},
		"a quota is what the ledger says was used and what was granted: prices and rates have no part in it",
	},
	{
		"ratelimit/billing/...",
		[]string{"ratelimit/billing/...", "ratelimit/quota/...", "ratelimit/metering/...", "ratelimit/usage/...", "ratelimit/redisconn/...", "regions/spelling"},
		"the engine outlives configurations: who pays is told to it by a catalogue, of whom it knows nothing else",
	},
	{
		"ratelimit/...",
		[]string{"ratelimit/...", "regions/spelling"},
		"ratelimit counts under opaque keys: it knows neither requests nor regions (spelling compares names of whatever kind)",
	},
}

// home says who may import a library, or a package of ours that is not for everybody.
type home struct {
	library string
	homes   []string
	reason  string
}

var homes = []home{
	{
		module + "/caddymodule/integration/...",
		[]string{"caddymodule/integration/..."},
		"the product is not built on its tests",
	},
	{
		"github.com/caddyserver/caddy/v2/caddytest/...",
		[]string{"caddymodule/integration/..."},
		"caddytest starts a whole server on fixed ports and skips silently: one package, watched by one check, may use it",
	},
	{
		"github.com/caddyserver/...",
		[]string{"caddymodule/...", "cmd/..."},
		"decisions must be testable and usable without a server: Caddy ends at caddymodule",
	},
	{
		"go.uber.org/zap/...",
		[]string{"caddymodule/..."},
		"the pure rooms return values and errors, or log by log/slog to what they are handed: caddymodule alone decides what is masked",
	},
	{
		"github.com/prometheus/...",
		[]string{"caddymodule/..."},
		"collectors belong to Caddy's registry and outlive configs: one place creates them",
	},
	{
		"go.opentelemetry.io/...",
		[]string{"caddymodule/tracing/...", "caddymodule/integration/..."},
		"what leaves the process in spans is decided in one place: texts without secrets, by a queue that no call waits for",
	},
	{
		"github.com/spf13/...",
		[]string{"caddymodule/..."},
		"the command line is Caddy's: its commands are glue",
	},
	{
		"github.com/golang-jwt/jwt/...",
		[]string{"routing/auth/..."},
		"every verification passes the one place that pins algorithms to key types",
	},
	{
		"github.com/go-jose/...",
		[]string{"routing/auth/jwks/..."},
		"it reads public keys and nothing else: a second JWT library would have rules of its own",
	},
	{
		"github.com/maypok86/otter/...",
		[]string{"routing/auth"},
		"what is remembered of a credential must be keyed by all that decided over it: one place does that",
	},
	{
		"github.com/sony/gobreaker/...",
		[]string{"regions"},
		"a breaker's callbacks run under its lock: one place knows how not to block in them",
	},
	{
		"github.com/oschwald/...",
		[]string{"regions/locate/..."},
		"who knows where an address is must be one place: its answers are a Client of regions, whatever the database",
	},
	{
		"github.com/redis/...",
		[]string{"ratelimit/..."},
		"a client that retries writes counts twice: its options and its scripts stay in one tree",
	},
	{
		"github.com/miekg/...",
		[]string{"regions/discovery/dnstest"},
		"the product looks names up by package net, as everything else on the machine does: the library is for the name server of tests",
	},
	{
		"net/http/httputil",
		[]string{"caddymodule/..."},
		"forwarding is caddymodule/gateway/forward.go's: headers, retries and errors of a second proxy would differ",
	},
}

// serverSide are the names of net/http that routing may not use: it has its own neutral request and returns values.
var serverSide = []string{
	"Request", "Response", "ResponseWriter", "Handler", "HandlerFunc", "Server", "ServeMux", "Flusher", "Hijacker",
	"Error", "NotFound", "Redirect", "HandleFunc", "Handle", "Serve", "ListenAndServe", "ListenAndServeTLS",
}

// forTests are packages of ours that only tests may import, whatever their room.
var forTests = map[string]string{
	module + "/regions/discovery/dnstest":     "the product is not built on the name server of its tests",
	module + "/ratelimit/faultproxy":          "the product breaks no connections on purpose",
	module + "/ratelimit/redisconn/redistest": "the product is not built on what starts its tests' servers",
	module + "/caddymodule/tracing/otlpsink":  "the product sends spans, it collects none",
	module + "/ratelimit/usage/fakesinks":     "the product talks to services, not to what stands in for them",
}

// forbiddenImport returns why file may not import the package imported, or nothing when it may.
func forbiddenImport(file, imported string) string {
	if reason, ok := forTests[imported]; ok && !strings.HasSuffix(file, "_test.go") {
		return reason
	}
	for _, h := range homes {
		if !matches(imported, h.library) {
			continue
		}
		if !anyWithin(file, h.homes) {
			return h.reason
		}
		break
	}
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return forbiddenArrow(file, own)
	}
	if within(file, "cmd/...") && !matches(imported, "github.com/caddyserver/...") && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return "the command needs no library but Caddy and caddymodule"
	}
	return ""
}

// forbiddenArrow returns why file may not import own, a package of ours by its path from the root.
func forbiddenArrow(file, own string) string {
	for _, a := range arrows {
		if !within(file, a.from) {
			continue
		}
		if anyWithin(own, a.to) {
			return ""
		}
		return a.reason
	}
	return "no arrow of docs/architecture.md starts here"
}

// forbiddenHTTP returns why file may not use the name of net/http.
func forbiddenHTTP(file, name string) string {
	if !within(file, "routing/...") || strings.HasSuffix(file, "_test.go") {
		return ""
	}
	if within(file, "routing/auth/jwks") && name == "Request" {
		// It is the client of the URLs that key sets lie behind: its requests are its own.
		return ""
	}
	if slices.Contains(serverSide, name) {
		return "routing sees the neutral request and returns values, so that the simulation and every front door share its pipeline; of net/http it may use headers and constants"
	}
	return ""
}

// goFile are files of ours that a reason names.
var goFile = regexp.MustCompile(`[a-z/]+/[a-z_]+\.go`)

// TestRulesNameWhatIsThere fails for a rule about a package, a file or a library that is gone: it protects nothing.
func TestRulesNameWhatIsThere(t *testing.T) {
	exists := func(rule, name string) {
		t.Helper()
		name = strings.TrimSuffix(name, "/...")
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Errorf("%s: a rule names %s, which is not there", rule, name)
		}
	}
	for _, a := range arrows {
		exists(a.from, a.from)
		for _, to := range a.to {
			exists(a.from, to)
		}
	}
	imported := make(map[string]bool)
	for _, f := range parseTree(t, "..") {
		for _, spec := range f.ast.Imports {
			imported[strings.Trim(spec.Path.Value, `"`)] = true
		}
	}
	for _, h := range homes {
		for _, name := range h.homes {
			exists(h.library, name)
		}
		for _, file := range goFile.FindAllString(h.reason, -1) {
			exists(h.library, file)
		}
		if own, ok := strings.CutPrefix(h.library, module+"/"); ok {
			exists(h.library, own)
		} else if !slices.ContainsFunc(slices.Collect(maps.Keys(imported)), func(path string) bool { return related(path, h.library) }) {
			t.Errorf("a rule is about %s, of which nothing is imported", h.library)
		}
	}
	for name := range forTests {
		exists(name, strings.TrimPrefix(name, module+"/"))
	}
}
