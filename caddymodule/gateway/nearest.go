package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/plan"
)

// Nearest says how a region is chosen for requests that name none.
type Nearest struct {
	// The point from which distances are measured: gateway (default) or client.
	From string `json:"from,omitempty"`

	// How much farther than the best region a region may be that takes the requests
	// of a full one. Default: 150ms.
	MaxSpill caddy.Duration `json:"max_spill,omitempty"`

	// How much farther from the gateway than its nearest region the region nearest to
	// the client may be. Default: any distance.
	MaxDetour caddy.Duration `json:"max_detour,omitempty"`
}

func (n *Nearest) policy() (plan.Policy, error) {
	if n == nil {
		return plan.Policy{}, nil
	}
	p := plan.Policy{Mode: plan.Mode(n.From), MaxSpill: time.Duration(n.MaxSpill), MaxDetour: time.Duration(n.MaxDetour)}
	switch {
	case n.From != "" && n.From != string(plan.NearGateway) && n.From != string(plan.NearClient):
		return p, fmt.Errorf("nearest: %q: allowed are gateway, client", n.From)
	case n.MaxSpill < 0 || n.MaxDetour < 0:
		return p, errors.New("nearest: max_spill and max_detour must not be negative")
	case n.MaxDetour > 0 && p.Mode != plan.NearClient:
		return p, errors.New("nearest: max_detour is for `nearest client`")
	}
	return p, nil
}

// Retry says which requests may be sent to a second backend, in addition to those that
// were never sent to the first.
type Retry struct {
	// Whether requests of every method are sent again if the connection broke before
	// the first byte of the answer, although the function may have run. Default: only
	// GET, OPTIONS and requests with an Idempotency-Key are.
	Sent bool `json:"sent,omitempty"`

	// Statuses of answers after which the same requests are sent to another backend.
	// Default: none.
	Status []int `json:"status,omitempty"`

	// The largest request body that is kept to be sent again, in bytes. Default:
	// 64 KiB, at most 1 MiB.
	Body int64 `json:"body,omitempty"`
}

func (r *Retry) policy() (regions.RetryPolicy, error) {
	if r == nil {
		return regions.RetryPolicy{}, nil
	}
	if r.Body < 0 || r.Body > regions.MaxReplay {
		return regions.RetryPolicy{}, errors.New("retry_body: must be at most 1MiB")
	}
	for i, status := range r.Status {
		if status < http.StatusBadRequest || status > 599 || slices.Contains(r.Status[:i], status) {
			return regions.RetryPolicy{}, fmt.Errorf("retry_status %d: must be a status from 400 to 599, once", status)
		}
	}
	return regions.RetryPolicy{Sent: r.Sent, Status: r.Status, Replay: r.Body}, nil
}

// retry returns the policy to be filled in.
func (a *App) retry() *Retry {
	if a.Retry == nil {
		a.Retry = new(Retry)
	}
	return a.Retry
}

// parseNearest reads
//
//	nearest gateway|client {
//		max_spill <duration>
//		max_detour <duration>
//	}
func (a *App) parseNearest(d *caddyfile.Dispenser) error {
	at := *d
	n := new(Nearest)
	if err := options.OneOf(d, &n.From, string(plan.NearGateway), string(plan.NearClient)); err != nil {
		return err
	}
	a.Nearest = n
	err := options.Block(d, options.Table{
		"max_spill":  func(d *caddyfile.Dispenser) error { return options.Duration(d, &n.MaxSpill) },
		"max_detour": func(d *caddyfile.Dispenser) error { return options.Duration(d, &n.MaxDetour) },
	})
	if err != nil {
		return err
	}
	if _, err := n.policy(); err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	return nil
}

func (a *App) parseRetryStatus(d *caddyfile.Dispenser) error {
	at := *d
	args, err := options.PlainArguments(d, 1, 200)
	if err != nil {
		return err
	}
	for _, arg := range args {
		status, err := options.ParseNumber(arg)
		if err != nil {
			return at.Errf("retry_status %q: must be a status from 400 to 599, such as 502", arg)
		}
		a.retry().Status = append(a.retry().Status, status)
	}
	if _, err := a.Retry.policy(); err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	return nil
}

func (a *App) parseRetryBody(d *caddyfile.Dispenser) error {
	at := *d
	if err := options.Size(d, &a.retry().Body); err != nil {
		return err
	}
	if _, err := a.Retry.policy(); err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	return nil
}
