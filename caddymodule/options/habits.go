package options

// RegionHint says how backends are given, to those who write them as arguments of
// edge_functions, as reverse_proxy takes them.
const RegionHint = "edge_functions chooses among regions; write `region NAME { backend http://HOST:PORT }` in the global option"

// habits maps options of reverse_proxy, and of other proxies, to what is written
// here instead.
var habits = map[string]string{
	"to":                      RegionHint,
	"upstream":                RegionHint,
	"upstreams":               RegionHint,
	"lb_policy":               "edge_functions chooses the nearest region that accepts, and in it the less busy of two random backends; see `nearest` and `bias`",
	"lb_retries":              "what can be tried again is tried in the next region by itself; `retry_status`, `retry_sent` and `retry_body` of the global option widen it",
	"lb_retry_match":          "what can be tried again is tried in the next region by itself; `retry_status`, `retry_sent` and `retry_body` of the global option widen it",
	"lb_try_duration":         "edge_functions tries the next region at once; remove it",
	"lb_try_interval":         "edge_functions tries the next region at once; remove it",
	"fail_duration":           "edge_functions takes a backend out that does not answer and brings it back by itself; remove it",
	"max_fails":               "edge_functions takes a backend out that does not answer and brings it back by itself; remove it",
	"unhealthy_status":        "what a function answers says nothing about its backend; remove it",
	"unhealthy_latency":       "what a function answers says nothing about its backend; remove it",
	"unhealthy_request_count": "write `capacity NUMBER` in the region",
	"max_conns":               "write `capacity NUMBER` in the region",
	"health_uri":              "it belongs into a region: `region NAME { health_uri /ready }`",
	"health_path":             "write `health_uri /ready` in the region",
	"health_port":             "backends are probed at their own address; `health_uri /ready` in the region names the path",
	"health_interval":         "edge_functions chooses how often it probes; remove it",
	"health_timeout":          "edge_functions chooses how long it waits for a probe; remove it",
	"health_status":           "a probe of `health_uri` passes by any 2xx; remove it",
	"health_body":             "a probe of `health_uri` passes by any 2xx; remove it",
	"health_headers":          "probes have no headers of yours; remove it",
	"header_up":               "write `request_header` in the site, before edge_functions",
	"header_down":             "write `header` in the site",
	"flush_interval":          "answers stream by themselves; remove it",
	"request_buffers":         "bodies stream by themselves; remove it",
	"response_buffers":        "answers stream by themselves; remove it",
	"buffer_requests":         "bodies stream by themselves; remove it",
	"stream_timeout":          "write `idle_timeout 150s` in the global option, and `wall_clock` in a project or function",
	"stream_close_delay":      "a reload leaves streams alone by itself; remove it",
	"transport":               "write `backend https://HOST`, and `tls { ... }` in the region",
	"dial_timeout":            "edge_functions chooses how long it waits for a connection; remove it",
	"read_timeout":            "write `idle_timeout 150s` in the global option",
	"write_timeout":           "write `idle_timeout 150s` in the global option",
	"response_header_timeout": "write `idle_timeout 150s` in the global option",
	"trusted_proxies":         "it is Caddy's own: `servers { trusted_proxies static RANGES }` in the global options",
	"handle_response":         "edge_functions passes what functions answer; use `handle_errors` in the site for errors of others",
	"replace_status":          "edge_functions passes what functions answer; remove it",
	"rewrite":                 "functions get `/SLUG/rest` by themselves; remove it",
	"method":                  "functions get the method that was called; remove it",
}

// places maps options to the block that they belong into, for errors about those
// that were written elsewhere.
var places = map[string]string{
	"backend": inRegion, "coordinates": inRegion, "bias": inRegion, "capacity": inRegion,
	"jwt_secret": inProject, "jwks": inProject, "api_key": inProject, "domain": inProject, "function": inProject,
	"verify_jwt": inFunction, "websocket_token": inFunction,
	"region": inGlobal, "location": inGlobal, "nearest": inGlobal, "apex": inGlobal, "store": inGlobal, "idle_timeout": inGlobal,
	"projects": inGlobal, "project": inGlobal, "locate": inGlobal, "rate_limit": inGlobal, "export": inGlobal, "invocation_log": inGlobal,
	"request_metrics": inGlobal, "top_projects": inGlobal, "tracing": inGlobal,
	"spend_cap": inPlan, "overage": inPlan, "origin": inCORS, "credentials": inCORS,
	"sample": inInvocationLog,
}

const (
	inGlobal   = "it belongs into the global option: `{ edge_functions { ... } }` at the top of the Caddyfile"
	inRegion   = "it belongs into a region: `region NAME { ... }`"
	inProject  = "it belongs into the project: `project default { ... }`"
	inFunction = "it belongs into a function: `function NAME { ... }`"
	inPlan     = "it belongs into a plan: `plan NAME { ... }`"
	inCORS     = "it belongs into `cors { ... }`"

	inInvocationLog = "it belongs into `invocation_log { ... }` or `tracing { ... }`"
)
