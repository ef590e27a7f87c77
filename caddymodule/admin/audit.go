package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// auditNow judges the running configuration.
func auditNow(app *gateway.App, r *http.Request) (any, error) {
	config, err := runningConfig(r)
	if err != nil {
		return nil, fmt.Errorf("reading the running configuration: %w", err)
	}
	return audit.Find(r.Context(), auditInput(app, config, time.Now())), nil
}

// auditInput collects the state of a running gateway and its configuration for an
// audit.
func auditInput(app *gateway.App, config map[string]any, now time.Time) *audit.Input {
	status := app.ProjectStatus()
	in := &audit.Input{
		Config:  config,
		KeySets: app.KeySets().Remotes,
		Projects: audit.Projects{
			InForce:  app.Projects(),
			Source:   status.Source,
			Problems: status.Problems,
		},
		Regions: audit.Regions{
			ManyProjects:  app.ManyProjects(),
			CapPerProject: app.InFlight != nil && app.InFlight.Project > 0,
		},
		Ledger: auditLedger(app.Engine(), now),
		Now:    now,
	}
	if status.Error != nil {
		in.Projects.Error = *status.Error
	}
	for _, r := range app.Regions {
		if r.Capacity == 0 {
			in.Regions.Unbounded = append(in.Regions.Unbounded, r.Name)
		}
	}
	for _, r := range app.RegionStatus() {
		for _, s := range r.Sources {
			if s.Failing == nil && s.Incomplete == "" {
				continue
			}
			list := audit.List{
				Region:     r.Region,
				Source:     s.Source,
				Error:      cmp.Or(s.Error, s.Incomplete),
				Incomplete: s.Incomplete != "",
			}
			if s.ListedAt != nil {
				list.Age = now.Sub(*s.ListedAt)
			}
			in.Regions.Lists = append(in.Regions.Lists, list)
		}
	}
	for _, exporter := range app.Exporters() {
		if auditor, ok := exporter.(audit.Auditor); ok {
			in.Auditors = append(in.Auditors, auditor)
		}
	}
	if shared := app.Engine().Shared(); shared != nil {
		in.Store = &audit.Store{
			URL:        shared.URL(),
			Server:     shared.Conn(),
			Peers:      shared.Mirror().Peers,
			Conditions: app.StoreConditions,
			Held:       func(ctx context.Context) map[string]int64 { return heldUnits(ctx, app.Engine()) },
		}
		if records := app.Engine().Ledger(); records != nil {
			in.Store.Copied = records.Copied()
		}
	}
	return in
}

// heldUnits returns how many units of hard quotas gateways hold that are not there.
func heldUnits(ctx context.Context, engine *billing.Engine) map[string]int64 {
	units := make(map[string]int64)
	answer, err := engine.Quota(ctx, "")
	if err != nil {
		return units // what is wrong with the store or the ledger is said elsewhere
	}
	for _, o := range answer.Organizations {
		for _, h := range o.Held {
			units[h.Gateway] += h.Units
		}
	}
	return units
}

func auditLedger(engine *billing.Engine, now time.Time) audit.Ledger {
	ledger := audit.Ledger{Directory: engine.Dir()}
	switch state, err := engine.LedgerState(now); {
	case state == billing.StateDown:
		ledger.Down = err
	case errors.Is(err, metering.ErrCopied):
		ledger.Copied = err
	case state == billing.StateDegraded:
		ledger.Degraded = err
	}
	switch state, err := engine.QuotaState(now); state {
	case billing.StateDown:
		ledger.QuotasDown = err
	case billing.StateDegraded:
		ledger.LimitsUnknown = err
	case billing.StateUp:
	}
	if state, err := engine.BillsState(); state == billing.StateDegraded {
		ledger.NoBills = err
	}
	if records := engine.Ledger(); records != nil {
		ledger.UnknownZones = records.UnknownZones()
	}
	return ledger
}

// runningConfig returns the configuration as it was loaded. Modules let go of
// it once they are made, so the admin API itself is asked: the server that
// serves r, without another connection.
func runningConfig(r *http.Request) (map[string]any, error) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil, errors.New("the request came by no server")
	}
	inner := r.Clone(r.Context())
	inner.Method, inner.Body, inner.ContentLength = http.MethodGet, http.NoBody, 0
	inner.URL.Path, inner.URL.RawPath, inner.URL.RawQuery, inner.RequestURI = "/config/", "", "", "/config/"
	answer := &answerBuffer{header: make(http.Header), status: http.StatusOK}
	server.Handler.ServeHTTP(answer, inner)
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("the admin API answers %d", answer.status)
	}
	var config map[string]any
	if err := json.Unmarshal(answer.body, &config); err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	return config, nil
}

// answerBuffer is an http.ResponseWriter for an answer to ourselves.
type answerBuffer struct {
	header http.Header
	status int
	body   []byte
}

func (b *answerBuffer) Header() http.Header    { return b.header }
func (b *answerBuffer) WriteHeader(status int) { b.status = status }
func (b *answerBuffer) Write(p []byte) (int, error) {
	b.body = append(b.body, p...)
	return len(p), nil
}
