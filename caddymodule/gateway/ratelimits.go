package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing"
)

// The scopes of rate limits and caps.
const (
	scopeProject  = "project"
	scopeFunction = "function"
	scopeClient   = "client_ip"
	scopeSubject  = "subject"
)

var rateLimitScopes = []string{scopeProject, scopeFunction, scopeClient, scopeSubject}

// RateLimit bounds the rate of invocations. It applies to each project by itself.
type RateLimit struct {
	// What has a bucket of its own: project; function; client_ip, an IPv4 address or
	// an IPv6 network of 64 bits, which shares one four times as large with its network
	// of 56 bits and one sixteen times as large with that of 48; subject, the sub of a
	// token. Calls without a sub are not limited by subject.
	Scope string `json:"scope"`

	// Invocations in Window on average.
	Count int64 `json:"count"`

	// The time that Count is for, at least one second.
	Window caddy.Duration `json:"window"`

	// Invocations at once. Default: Count.
	Burst int64 `json:"burst,omitempty"`

	// Whether invocations over the limit are counted and not refused.
	Shadow bool `json:"shadow,omitempty"`

	// How gateways with a store in Redis share the limit: shared (default), each takes
	// tokens for 50 ms; strict, each asks Redis for every request; local, they do not
	// share it.
	Mode string `json:"mode,omitempty"`
}

// rateModes are the modes by name.
var rateModes = map[string]rate.Mode{
	"": rate.Shared, "local": rate.Local, "shared": rate.Shared, "strict": rate.Strict,
}

// scopedLimit is a RateLimit, or a cap of calls in flight, in force.
type scopedLimit struct {
	scope string
	rate  *rate.Limit
	// wider are the limits of networkSteps, for client_ip; nil where the limit would be
	// so high that it limits nothing.
	wider [len(networkSteps)]*rate.Limit
}

// networkStep is an IPv6 network that a client may have as a whole: it can send from
// each network of 64 bits in it, so that a limit of these alone is none. All of it has
// times the limit of one.
type networkStep struct {
	name  string // after the scope, in the names of buckets
	bits  int
	times int64
}

// networkSteps are the networks that providers assign to homes (RFC 6177) and to sites.
var networkSteps = [...]networkStep{{"/56", 56, 4}, {"/48", 48, 16}}

// One Take has place for the buckets of all limits.
var _ [rate.MaxBuckets - rate.MaxLimits*(1+len(networkSteps))]struct{}

// widen builds the limits of wider networks. A product that overflows is not prepared.
func (l *scopedLimit) widen() {
	for i, step := range networkSteps {
		wide := *l.rate
		wide.Name += step.name
		wide.Count *= step.times
		wide.Burst *= step.times
		if wide.Count/step.times == l.rate.Count && wide.Burst/step.times == l.rate.Burst && wide.Prepare() {
			l.wider[i] = &wide
		}
	}
}

// callLimits holds the rate limits and the caps of calls in flight of a configuration.
type callLimits struct {
	scoped []scopedLimit // the rate limits
	rates  []*rate.Limit // of scoped, in the same order
	policy string        // the value of Ratelimit-Policy
	caps   []inFlightCap
}

// add builds a rate limit and adds it.
func (l *callLimits) add(r *RateLimit) error {
	built, err := r.build()
	if err != nil {
		return fmt.Errorf("rate_limit: %w", err)
	}
	for _, other := range l.rates {
		if other.Name == built.rate.Name {
			built.rate.Name += "-" + time.Duration(r.Window).String()
		}
	}
	if built.scope == scopeClient {
		built.widen()
	}
	l.scoped, l.rates = append(l.scoped, built), append(l.rates, built.rate)
	return nil
}

// provisionLimits builds the rate limits of the configuration.
func (a *App) provisionLimits() error {
	if len(a.RateLimits) > rate.MaxLimits {
		return fmt.Errorf("rate_limit: %d are too many, at most %d are possible", len(a.RateLimits), rate.MaxLimits)
	}
	for _, r := range a.RateLimits {
		if err := a.limits.add(r); err != nil {
			return err
		}
	}
	if len(a.limits.rates) == 0 {
		return nil
	}
	var err error
	a.limits.policy, err = rate.PolicyHeader(a.limits.rates)
	return err
}

func (r *RateLimit) build() (scopedLimit, error) {
	if r == nil || !slices.Contains(rateLimitScopes, r.Scope) {
		name := ""
		if r != nil {
			name = r.Scope
		}
		return scopedLimit{}, fmt.Errorf("%q: allowed are %s%s", name, strings.Join(rateLimitScopes, ", "), spelling.DidYouMean(name, rateLimitScopes))
	}
	mode, ok := rateModes[r.Mode]
	if !ok {
		allowed := []string{"local", "shared", "strict"}
		return scopedLimit{}, fmt.Errorf("mode %q: allowed are %s%s", r.Mode, strings.Join(allowed, ", "), spelling.DidYouMean(r.Mode, allowed))
	}
	rate := &rate.Limit{
		Name:   r.Scope,
		Count:  r.Count,
		Window: time.Duration(r.Window),
		Burst:  r.Burst,
		Shadow: r.Shadow,
		Mode:   mode,
	}
	if !rate.Prepare() {
		return scopedLimit{}, errors.New("the count must be from 1 to 1000000000 a second, and the burst from 1; write `" + options.Form("rate_limit") + "`")
	}
	return scopedLimit{scope: r.Scope, rate: rate}, nil
}

// key returns the bucket of a call, or false if the limit does not apply to it.
func (l *scopedLimit) key(m *callMeter, inv *routing.Invocation) (rate.Key, bool) {
	key := rate.Key{Policy: l.rate.Name, Project: inv.Project.Ref}
	switch l.scope {
	case scopeFunction:
		key.Name = m.request.FunctionName(inv.Project.Ref, inv.Function.Slug, inv.Slug)
	case scopeClient:
		key.Address = clientNetwork(m)
	case scopeSubject:
		key.Name = inv.Identity.JWT.Subject
		return key, key.Name != ""
	}
	return key, true
}

// clientNetwork returns the part of the client's address that the client cannot choose
// freely: an IPv4 address, or the first 64 bits of an IPv6 address.
func clientNetwork(m *callMeter) netip.Addr {
	text, _ := caddyhttp.GetVar(m.call.r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return address
}

// rateForm matches a number and the time that it is for, such as 100/10s.
var rateForm = regexp.MustCompile(`^([0-9]{1,10})/([0-9]{0,4})(s|m|h|d)$`)

// parseRateLimit reads `rate_limit SCOPE N/UNIT [burst N] [local|shared|strict]
// [shadow]`.
func (a *App) parseRateLimit(d *caddyfile.Dispenser) error {
	args, err := options.PlainArguments(d, 2, 6)
	if err != nil {
		return err
	}
	wrong := func() error {
		return d.Errf("rate_limit %s: write `%s`", strings.Join(args, " "), options.Form("rate_limit"))
	}
	match := rateForm.FindStringSubmatch(args[1])
	if match == nil {
		return wrong()
	}
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[match[3]]
	r := &RateLimit{Scope: args[0], Window: caddy.Duration(unit)}
	if match[2] != "" {
		n, _ := strconv.ParseInt(match[2], 10, 32) // four digits
		r.Window *= caddy.Duration(n)
	}
	r.Count, _ = strconv.ParseInt(match[1], 10, 64) // ten digits
	rest := args[2:]
	if len(rest) >= 2 && rest[0] == "burst" {
		if r.Burst, err = strconv.ParseInt(rest[1], 10, 64); err != nil || r.Burst < 1 {
			return wrong()
		}
		rest = rest[2:]
	}
	if len(rest) > 0 {
		if _, mode := rateModes[rest[0]]; mode { // no argument is ""
			r.Mode, rest = rest[0], rest[1:]
		}
	}
	if len(rest) == 1 && rest[0] == "shadow" {
		r.Shadow, rest = true, nil
	}
	if len(rest) > 0 {
		return wrong()
	}
	if _, err := r.build(); err != nil {
		return d.Errf("rate_limit: %w", err)
	}
	a.RateLimits = append(a.RateLimits, r)
	return nil
}

// InFlight bounds the number of calls that run at once, WebSockets included
// (contract 9.6). 0 means no bound.
type InFlight struct {
	// Of one project.
	Project int64 `json:"project,omitempty"`

	// Of one function.
	Function int64 `json:"function,omitempty"`

	// Of one client to one project: an IPv4 address or an IPv6 network of 64 bits. Its
	// network of 56 bits has four times as many, that of 48 bits sixteen times.
	Client int64 `json:"client_ip,omitempty"`
}

var inFlightScopes = []string{scopeProject, scopeFunction, scopeClient}

// capOf returns the cap of a scope, nil if there is no such scope.
func (f *InFlight) capOf(scope string) *int64 {
	switch scope {
	case scopeProject:
		return &f.Project
	case scopeFunction:
		return &f.Function
	case scopeClient:
		return &f.Client
	}
	return nil
}

// inFlightCap is one cap of the configuration.
type inFlightCap struct {
	scopedLimit
	calls int64
}

// provisionRoom checks the options that divide capacity between projects, and builds
// the caps of calls in flight.
func (a *App) provisionRoom() error {
	if a.CapacityShare < 0 || a.CapacityShare > 100 {
		return errors.New("capacity_share: must be from 1 to 100, in percent")
	}
	if err := a.checkPlans(); err != nil {
		return err
	}
	if a.InFlight == nil {
		return nil
	}
	for _, scope := range inFlightScopes {
		switch calls := *a.InFlight.capOf(scope); {
		case calls < 0:
			return fmt.Errorf("in_flight: %s: must be a number from 1", scope)
		case calls > 0:
			a.limits.caps = append(a.limits.caps, inFlightCap{scopedLimit{scope: scope, rate: &rate.Limit{Name: scope}}, calls})
		}
	}
	return nil
}

// parseInFlight reads `in_flight project|function|client_ip N`.
func (a *App) parseInFlight(d *caddyfile.Dispenser) error {
	args, err := options.PlainArguments(d, 2, 2)
	if err != nil {
		return err
	}
	if !slices.Contains(inFlightScopes, args[0]) {
		return d.Errf("in_flight %q: allowed are %s%s", args[0], strings.Join(inFlightScopes, ", "), spelling.DidYouMean(args[0], inFlightScopes))
	}
	if a.InFlight == nil {
		a.InFlight = new(InFlight)
	}
	calls := a.InFlight.capOf(args[0])
	if *calls > 0 {
		return d.Errf("in_flight %s: given twice, keep one", args[0])
	}
	n, err := options.ParseNumber(args[1])
	if err != nil || n == 0 {
		return d.Errf("in_flight %s %q: must be a whole number from 1", args[0], args[1])
	}
	*calls = int64(n)
	return nil
}

// parseCapacityShare reads `capacity_share PERCENT%`.
func (a *App) parseCapacityShare(d *caddyfile.Dispenser) error {
	var text string
	if err := options.String(d, &text); err != nil {
		return err
	}
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(number, 10, 16)
	if err != nil || !percent || n < 1 || n > 100 {
		return d.Errf("capacity_share %q: must be from 1%% to 100%%; write `%s`", text, options.Form("capacity_share"))
	}
	a.CapacityShare = n
	return nil
}
