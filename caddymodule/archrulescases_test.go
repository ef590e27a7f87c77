package caddymodule_test

import (
	"os"
	"path"
	"path/filepath"
	"testing"
)

// What the rules of archrules_test.go allow and forbid, case by case.

func TestForbiddenImport(t *testing.T) {
	const caddy = "github.com/caddyserver/caddy/v2"
	for _, tc := range []struct {
		name     string
		file     string
		imported string
		allowed  bool
	}{
		{"the command registers the modules", "cmd/edgegate/main.go", module + "/caddymodule", true},
		{"the command registers the demo", "cmd/edgegate/main.go", module + "/caddymodule/demo", true},
		{"the command starts Caddy", "cmd/edgegate/main.go", caddy + "/cmd", true},
		{"the command takes the standard modules", "cmd/edgegate/main.go", caddy + "/modules/standard", true},
		{"the command decides something", "cmd/edgegate/main.go", module + "/routing", false},
		{"the command takes a library", "cmd/edgegate/main.go", "github.com/google/uuid", false},
		{"the command uses the standard library", "cmd/edgegate/main.go", "runtime/debug", true},
		{"the glue wires routing", "caddymodule/gateway/handler.go", module + "/routing", true},
		{"the glue wires auth", "caddymodule/gateway/app.go", module + "/routing/auth", true},
		{"the glue wires the ledger", "caddymodule/gateway/app.go", module + "/ratelimit/metering", true},
		{"the glue takes sockets over", "caddymodule/gateway/handler.go", module + "/caddymodule/handover", true},
		{"the glue asks its commands", "caddymodule/gateway/app.go", module + "/caddymodule/cli", false},
		{"the glue serves the admin API", "caddymodule/gateway/app.go", module + "/caddymodule/admin", false},
		{"the glue audits itself", "caddymodule/gateway/app.go", module + "/caddymodule/audit", false},
		{"the glue reads projects", "caddymodule/gateway/app.go", module + "/caddymodule/sources", false},
		{"the glue permits certificates", "caddymodule/gateway/app.go", module + "/caddymodule/permission", false},
		{"the glue exports", "caddymodule/gateway/app.go", module + "/caddymodule/exporters", false},
		{"the admin API knows the glue", "caddymodule/admin/api.go", module + "/caddymodule/gateway", true},
		{"the audit knows the glue", "caddymodule/audit/finding.go", module + "/caddymodule/gateway", false},
		{"the commands know the glue", "caddymodule/cli/main.go", module + "/caddymodule/gateway", true},
		{"sockets know the glue", "caddymodule/handover/listener.go", module + "/caddymodule/gateway", false},
		{"WebSockets know regions", "caddymodule/sockets/registry.go", module + "/regions", false},
		{"metrics know the glue", "caddymodule/metrics/collector.go", module + "/caddymodule/gateway", false},
		{"the engine grants quotas", "ratelimit/billing/engine.go", module + "/ratelimit/quota", true},
		{"the engine knows projects", "ratelimit/billing/engine.go", module + "/routing/projects", false},
		{"the engine knows Caddy", "ratelimit/billing/engine.go", caddy, false},
		{"the engine logs by zap", "ratelimit/billing/engine.go", "go.uber.org/zap", false},
		{"the engine limits rates", "ratelimit/billing/engine.go", module + "/ratelimit/rate", false},
		{"the demo uses the module", "caddymodule/demo/demo.go", module + "/caddymodule", true},
		{"the glue builds on its tests", "caddymodule/gateway/app.go", module + "/caddymodule/integration", false},
		{"the glue imports the command", "caddymodule/gateway/app.go", module + "/cmd/edgegate", false},
		{"the glue forwards", "caddymodule/gateway/forward.go", "net/http/httputil", true},
		{"the glue logs", "caddymodule/gateway/handler.go", "go.uber.org/zap", true},
		{"routing reads a snapshot of regions", "routing/plan.go", module + "/regions", true},
		{"routing knows its own parts", "routing/pipeline.go", module + "/routing/auth", true},
		{"routing reads a distance", "routing/plan/shares.go", module + "/regions/geo", true},
		{"routing names a tenant", "routing/plan.go", module + "/regions/capacity", true},
		{"a distance needs a region", "regions/geo/prior.go", module + "/regions", false},
		{"a place is counted for a region", "regions/capacity/room.go", module + "/regions", false},
		{"routing says what was meant", "routing/projects/decode.go", module + "/regions/spelling", true},
		{"ratelimit says what was meant", "ratelimit/billing/adjust.go", module + "/regions/spelling", true},
		{"spelling knows regions", "regions/spelling/spelling.go", module + "/regions", false},
		{"routing locates clients itself", "routing/plan.go", module + "/regions/locate", false},
		{"routing takes quota itself", "routing/pipeline.go", module + "/ratelimit/quota", false},
		{"a part of routing knows the glue", "routing/cors/cors.go", module + "/caddymodule/gateway", false},
		{"routing knows Caddy", "routing/request.go", caddy, false},
		{"routing logs", "routing/pipeline.go", "go.uber.org/zap", false},
		{"routing logs by a subpackage of zap", "routing/pipeline.go", "go.uber.org/zap/zapcore", false},
		{"routing proxies", "routing/pipeline.go", "net/http/httputil", false},
		{"a test of routing knows Caddy", "routing/pipeline_test.go", caddy + "/modules/caddyhttp", false},
		{"regions knows its own parts", "regions/transport.go", module + "/regions/capacity", true},
		{"regions knows projects", "regions/region.go", module + "/routing/projects", false},
		{"regions counts", "regions/transport.go", module + "/ratelimit/metering", false},
		{"regions exports metrics", "regions/probe.go", "github.com/prometheus/client_golang/prometheus", false},
		{"ratelimit knows its own parts", "ratelimit/quota/quota.go", module + "/ratelimit/redisconn", true},
		{"ratelimit knows requests", "ratelimit/rate/limiter.go", module + "/routing", false},
		{"ratelimit knows regions", "ratelimit/quota/redis.go", module + "/regions", false},
		{"usage reads the ledger", "ratelimit/usage/price.go", module + "/ratelimit/metering", true},
		{"the ledger knows its projections", "ratelimit/metering/ledger.go", module + "/ratelimit/usage", false},
		{"usage asks the limiter", "ratelimit/usage/price.go", module + "/ratelimit/rate", false},
		{"the connection knows its users", "ratelimit/redisconn/conn.go", module + "/ratelimit/quota", false},
		{"the connection's tests start servers", "ratelimit/redisconn/conn_e2e_test.go", module + "/ratelimit/redisconn/redistest", true},
		{"the connection starts servers", "ratelimit/redisconn/conn.go", module + "/ratelimit/redisconn/redistest", false},
		{"the glue's tests start servers", "caddymodule/gateway/projectsredis_e2e_test.go", module + "/ratelimit/redisconn/redistest", true},
		{"the demo starts servers", "caddymodule/demo/demo.go", module + "/ratelimit/redisconn/redistest", false},
		{"a room that is not in the house", "internal/util/util.go", module + "/regions", false},
		{"auth verifies tokens", "routing/auth/token.go", "github.com/golang-jwt/jwt/v5", true},
		{"the demo signs with golang-jwt", "caddymodule/demo/keys.go", "github.com/golang-jwt/jwt/v5", false},
		{"key sets are read with go-jose", "routing/auth/jwks/parse.go", "github.com/go-jose/go-jose/v4", true},
		{"auth verifies with go-jose", "routing/auth/token.go", "github.com/go-jose/go-jose/v4", false},
		{"auth remembers tokens", "routing/auth/shared.go", "github.com/maypok86/otter/v2", true},
		{"projects remember tokens", "routing/projects/project.go", "github.com/maypok86/otter/v2", false},
		{"regions breaks circuits", "regions/breaker.go", "github.com/sony/gobreaker/v2", true},
		{"a part of regions breaks circuits", "regions/locate/locate.go", "github.com/sony/gobreaker/v2", false},
		{"quotas break circuits", "ratelimit/quota/redis.go", "github.com/sony/gobreaker/v2", false},
		{"locate reads databases of addresses", "regions/locate/database.go", "github.com/oschwald/maxminddb-golang/v2", true},
		{"regions read databases of addresses", "regions/geo/client.go", "github.com/oschwald/maxminddb-golang/v2", false},
		{"ratelimit talks to Redis", "ratelimit/redisconn/conn.go", "github.com/redis/go-redis/v9", true},
		{"projects talk to Redis", "routing/projects/follow.go", "github.com/redis/go-redis/v9", false},
		{"the glue talks to Redis", "caddymodule/gateway/app.go", "github.com/redis/go-redis/v9", false},
		{"the integration tests use caddytest", "caddymodule/integration/golden_test.go", caddy + "/caddytest", true},
		{"the glue's tests use caddytest", "caddymodule/gateway/app_test.go", caddy + "/caddytest", false},
		{"a name that only starts alike", "routing/plan.go", module + "/regionsx", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join("..", path.Dir(tc.file))); err != nil && tc.name != "a room that is not in the house" {
				t.Errorf("the file is of no room: %v", err)
			}
			reason := forbiddenImport(tc.file, tc.imported)
			if (reason == "") != tc.allowed {
				t.Errorf("%s imports %s: allowed %t, want %t (%s)", tc.file, tc.imported, reason == "", tc.allowed, reason)
			}
		})
	}
}

func TestForbiddenHTTP(t *testing.T) {
	for _, tc := range []struct {
		name    string
		file    string
		used    string
		allowed bool
	}{
		{"a status", "routing/refusal.go", "StatusNotFound", true},
		{"headers", "routing/request.go", "Header", true},
		{"the request", "routing/request.go", "Request", false},
		{"a request for keys", "routing/auth/jwks/fetch.go", "Request", true},
		{"serving keys", "routing/auth/jwks/fetch.go", "Handler", false},
		{"the request in auth", "routing/auth/auth.go", "Request", false},
		{"the writer", "routing/cors/cors.go", "ResponseWriter", false},
		{"the request in the glue", "caddymodule/gateway/handler.go", "Request", true},
		{"the request in a test", "routing/request_test.go", "Request", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if allowed := forbiddenHTTP(tc.file, tc.used) == ""; allowed != tc.allowed {
				t.Errorf("%s uses http.%s: allowed %t, want %t", tc.file, tc.used, allowed, tc.allowed)
			}
		})
	}
}

func TestAllowedAtTop(t *testing.T) {
	for name, allowed := range map[string]bool{
		"routing": true, "README.md": true, ".ci": true, ".golangci.yml": true,
		"internal": false, "main.go": false, "pkg": false, "CHANGELOG.md": false, "Dockerfile": false,
	} {
		if allowedAtTop(name) != allowed {
			t.Errorf("%s at the top level: allowed %t, want %t", name, !allowed, allowed)
		}
	}
}
