package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// InFlight caps how many calls run at once, WebSockets among them
// (contract 9.6). 0 is no cap.
type InFlight struct {
	// Of one project.
	Project int64 `json:"project,omitempty"`

	// Of one function.
	Function int64 `json:"function,omitempty"`

	// Of one client to one project: an IPv4 address or an IPv6 network of 64 bits.
	Client int64 `json:"client_ip,omitempty"`
}

var inFlightScopes = []string{scopeProject, scopeFunction, scopeClient}

// of returns the cap of a scope.
func (f *InFlight) of(scope string) *int64 {
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

// most is one cap of the configuration.
type most struct {
	limit
	calls int64
}

// provisionRoom checks what one of many may take.
func (a *App) provisionRoom() error {
	if a.CapacityShare < 0 || a.CapacityShare > 100 {
		return errors.New("capacity_share: must be from 1 to 100, in percent")
	}
	for name, p := range a.Plans {
		if p.Weight < 0 || p.Weight > projects.MaxWeight {
			return fmt.Errorf("plan %s: weight: must be from 1 to %d", name, projects.MaxWeight)
		}
	}
	if a.InFlight == nil {
		return nil
	}
	for _, scope := range inFlightScopes {
		switch calls := *a.InFlight.of(scope); {
		case calls < 0:
			return fmt.Errorf("in_flight: %s: must be a number from 1", scope)
		case calls > 0:
			a.inFlight = append(a.inFlight, most{limit{scope, &rate.Limit{Name: scope}}, calls})
		}
	}
	return nil
}

// Enter implements routing.Usage.
func (m *meter) Enter(inv *routing.Invocation) string {
	app := m.call.handler.app
	for i := range app.inFlight {
		scope := &app.inFlight[i]
		key, _ := scope.key(m, inv) // of these scopes everybody has one
		id, ok := app.shared.inFlight.Enter(&key, scope.calls)
		if !ok {
			m.leave()
			app.shared.inFlight.refused[slices.Index(inFlightScopes, scope.scope)].Add(1)
			return scope.scope
		}
		m.inFlight[m.entered] = id
		m.entered++
	}
	return ""
}

// leave gives back what Enter took, once.
func (m *meter) leave() {
	for _, id := range m.inFlight[:m.entered] {
		m.call.handler.app.shared.inFlight.Leave(id)
	}
	m.entered = 0
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
	calls := a.InFlight.of(args[0])
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

// parseCapacityShare reads a part in percent.
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
