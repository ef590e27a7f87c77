package projects

import (
	"encoding/json"
	"time"
)

// Document is the operators' description of organizations and projects: the
// content of a projects file. The same objects come from other sources one by
// one, and from the blocks of a Caddyfile. It is data as typed: nothing of it
// is checked here.
type Document struct {
	Organizations []OrganizationConfig `json:"organizations,omitempty"`
	Projects      []ProjectConfig      `json:"projects"`
}

// OrganizationConfig describes who pays for projects.
type OrganizationConfig struct {
	// Letters, digits, `_`, `-` and `.`, up to 64.
	ID string `json:"id"`

	// A plan's name. Default: none, and so no limits.
	Plan string `json:"plan,omitempty"`

	// Whether invocations stop at the plan's quota. Default: the plan's word.
	SpendCap *bool `json:"spend_cap,omitempty"`

	// When the billing cycles start; any of the starts anchors them all.
	CycleStart *time.Time `json:"cycle_start,omitempty"`

	// Invocations a cycle. Default: the plan's.
	Quota *int64 `json:"quota,omitempty"`

	// How long calls go on past the quota. Default: 0.
	Grace Duration `json:"grace,omitempty"`

	// The IANA time zone that cycles start in. Default: UTC.
	TimeZone string `json:"time_zone,omitempty"`

	// Who it is at Stripe, cus_...: for `export stripe`.
	StripeCustomer string `json:"stripe_customer,omitempty"`
}

// ProjectConfig describes a tenant.
type ProjectConfig struct {
	// Twenty lower-case letters; `default` for the one project of a Caddyfile.
	Ref string `json:"ref,omitempty"`

	// The ID of the organization that pays. Default: none, and so no plan.
	Organization string `json:"organization,omitempty"`

	// Own hosts; on them HTML is served as HTML. Any other host is shared.
	Domains []string `json:"domains,omitempty"`

	// Residency: the regions that may run the functions. Default: all.
	Regions []string `json:"regions,omitempty"`

	// Who signs the tokens.
	JWT *JWTConfig `json:"jwt,omitempty"`

	// The publishable and secret API keys.
	APIKeys []APIKeyConfig `json:"api_keys,omitempty"`

	// The largest request body, in bytes or as in "100MB". Default: the gateway's.
	MaxBody Size `json:"max_body,omitempty"`

	// Whether requests that are refused with 401 count as usage, in the region "-".
	// They take nothing of a hard quota. Default: they do not count.
	CountUnauthorized bool `json:"count_unauthorized,omitempty"`

	// How long an invocation may run, from the request's start. Default: the
	// plan's.
	WallClock Duration `json:"wall_clock,omitempty"`

	// Who may read answers from a browser. Default: the site's policy.
	CORS *CORSConfig `json:"cors,omitempty"`

	// Headers of answers that scripts in browsers may read, besides those that the
	// site and the function name. Default: none.
	Expose []string `json:"expose,omitempty"`

	// The deployed functions.
	Functions []FunctionConfig `json:"functions,omitempty"`
}

// JWTConfig holds the keys of a project's tokens and what tokens must say.
type JWTConfig struct {
	// The HS256 secret, at least 32 bytes.
	Secret string `json:"secret,omitempty"`

	// Further HS256 secrets, valid at the same time while one is replaced.
	Secrets []string `json:"secrets,omitempty"`

	// Public keys (RFC 7517): a set, here,
	JWKS json.RawMessage `json:"jwks,omitempty"`

	// in a file, which is read again when it changes, and
	JWKSFile string `json:"jwks_file,omitempty"`

	// at a URL, which is asked again in the background.
	JWKSURL string `json:"jwks_url,omitempty"`

	// Whether EdDSA (Ed25519) is allowed beside ES256 and RS256.
	AllowEdDSA bool `json:"allow_eddsa,omitempty"`

	// What `iss` must be one of. Default: anything.
	Issuer Strings `json:"issuer,omitempty"`

	// What `aud` must have one of. Default: anything.
	Audience Strings `json:"audience,omitempty"`

	// What `role` must be one of. Default: anything.
	Role Strings `json:"role,omitempty"`

	// By how much clocks may differ in `exp` and `nbf`. Default: 0.
	Leeway Duration `json:"leeway,omitempty"`
}

// APIKeyConfig is an API key, in clear or as the SHA-256 of it.
type APIKeyConfig struct {
	// A name for people.
	Name string `json:"name,omitempty"`

	// publishable or secret.
	Type string `json:"type"`

	// The key, or
	Key string `json:"key,omitempty"`

	// the lower-case hex SHA-256 of the key.
	SHA256 string `json:"sha256,omitempty"`

	// From when on the key is refused (RFC 3339). Default: never.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// CORSConfig says which origins may read answers.
type CORSConfig struct {
	// Origins as browsers send them, or `*`. Default: `*`.
	Origins []string `json:"origins,omitempty"`

	// Whether credentials may be sent; not with `*`.
	Credentials bool `json:"credentials,omitempty"`
}

// FunctionConfig is a deployed function.
type FunctionConfig struct {
	// The slug in the URL, or `*` for any other.
	Slug string `json:"slug"`

	// The function's UUID.
	ID string `json:"id,omitempty"`

	// The deployed version.
	Version int `json:"version,omitempty"`

	// Whether callers need a token or an API key. Default: true.
	VerifyJWT *bool `json:"verify_jwt,omitempty"`

	// auto (default) or function: who answers preflights.
	CORS string `json:"cors,omitempty"`

	// text/plain or keep: what becomes of HTML on shared hosts. Default: the
	// site's choice.
	HTML string `json:"html,omitempty"`

	// ACTIVE (default), REMOVED, which is answered 404, or THROTTLED: 429.
	Status string `json:"status,omitempty"`

	// How long an invocation may run. Default: the project's.
	WallClock Duration `json:"wall_clock,omitempty"`

	// query or subprotocol: where a WebSocket may bring its token. Default:
	// nowhere but the headers.
	WebSocketToken string `json:"websocket_token,omitempty"`

	// query: where an EventSource may bring its token or publishable key. Default:
	// nowhere but the headers, which browsers cannot set on one.
	EventSourceToken string `json:"event_source_token,omitempty"`

	// Headers of its answers that scripts in browsers may read, besides those that
	// the site and the project name. Default: none.
	Expose []string `json:"expose,omitempty"`
}
