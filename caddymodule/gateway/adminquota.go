package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// quotaAnswer is what `edgegate quota show` shows.
type quotaAnswer struct {
	Organizations []organizationQuota `json:"organizations"`
}

// The states of a quota.
const (
	quotaOK         = "ok"
	quotaNear       = "near"       // 80 % are used
	quotaOver       = "over"       // all of a soft one, or of a hard one's grace
	quotaRestricted = "restricted" // invocations are answered 402
)

type organizationQuota struct {
	ID        string       `json:"id"`
	Plan      string       `json:"plan"` // "" for none
	Period    periodAnswer `json:"period"`
	Limit     *int64       `json:"limit"` // null: none
	Used      uint64       `json:"used"`
	Remaining *int64       `json:"remaining"` // null: there is no limit
	State     string       `json:"state"`
	Hard      bool         `json:"hard"` // invocations stop at the limit
	Set       bool         `json:"set"`  // the limit is by `quota set`, not by the configuration
}

// quota tells how far quotas are used.
func (a *App) quota(r *http.Request) (any, error) {
	answer, only := quotaAnswer{Organizations: []organizationQuota{}}, r.URL.Query().Get("organization")
	if only != "" {
		if _, err := a.organization(only); err != nil {
			return nil, err
		}
	}
	for _, o := range a.organizations() {
		if o == nil || only != "" && o.ID != only {
			continue
		}
		one, err := a.quotaOf(o)
		if err != nil {
			return nil, err
		}
		answer.Organizations = append(answer.Organizations, one)
	}
	return answer, nil
}

// organization finds one by its id.
func (a *App) organization(id string) (*projects.Organization, error) {
	var ids []string
	for _, o := range a.organizations() {
		if o == nil {
			continue
		}
		if o.ID == id {
			return o, nil
		}
		ids = append(ids, o.ID)
	}
	return nil, fmt.Errorf("organization %q: no project in force has it%s", id, spelling.DidYouMean(id, ids))
}

func (a *App) quotaOf(o *projects.Organization) (organizationQuota, error) {
	if a.engine.Quotas() == nil {
		return organizationQuota{}, billing.ErrNotOpen
	}
	id, t := allowanceOf(o)
	state, err := a.engine.Quotas().State(id, &t)
	if err != nil {
		return organizationQuota{}, err
	}
	by, err := a.engine.Ledger().SpentBy(id, state.Period)
	if err != nil {
		return organizationQuota{}, err
	}
	q := organizationQuota{ID: id, Period: period(state.Period), Hard: state.Hard, Set: state.Overridden, State: quotaOK}
	for _, n := range by {
		q.Used += n
	}
	if s := a.engine.Shared(); s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), askWait)
		defer cancel()
		others, err := s.Mirror().PeerSums(ctx, id)
		if err != nil {
			return q, fmt.Errorf("reading what other gateways used: %w", err)
		}
		for _, e := range others {
			if e.Span == metering.Monthly && e.ID == state.Period.ID {
				q.Used += e.Invocations
			}
		}
	}
	if o.Plan != nil {
		q.Plan = o.Plan.Name
	}
	if state.Limit < 0 {
		return q, nil
	}
	remaining := max(0, state.Limit-int64(q.Used))
	q.Limit, q.Remaining = &state.Limit, &remaining
	switch {
	case state.Refusing:
		q.State = quotaRestricted
	case remaining == 0:
		q.State = quotaOver
	case remaining*announcedFrom <= state.Limit:
		q.State = quotaNear
	}
	return q, nil
}

// askWait bounds how long Redis is asked for what others used.
const askWait = 3 * time.Second

// quotaOrder is what `edgegate quota set` and `quota release` order.
type quotaOrder struct {
	Organization string `json:"organization"`
	Limit        *int64 `json:"limit"`   // null: the configured one again
	Release      string `json:"release"` // in place of both: the id of a gateway that is gone for good
}

// setQuota puts a limit in force in place of the configured one.
func (a *App) setQuota(r *http.Request) (any, error) {
	var order quotaOrder
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","limit":NUMBER}, or null for the configured limit: %w`, err)
	}
	if order.Release != "" {
		return a.release(r, order.Release)
	}
	o, err := a.organization(order.Organization)
	if err != nil {
		return nil, err
	}
	if order.Limit != nil && *order.Limit < 0 {
		return nil, errors.New("limit: must be a whole number from 0, or null for the configured one")
	}
	if a.engine.Quotas() == nil {
		return nil, billing.ErrNotOpen
	}
	if err := a.engine.Quotas().SetOverride(r.Context(), o.ID, order.Limit); err != nil {
		if errors.Is(err, quota.ErrUnavailable) {
			return nil, errors.New("the store cannot be written; nothing was changed")
		}
		return nil, err
	}
	one, err := a.quotaOf(o)
	return quotaAnswer{Organizations: []organizationQuota{one}}, err
}

// release gives back what a gateway was granted that is gone for good.
func (a *App) release(r *http.Request, instance string) (any, error) {
	if a.engine.Quotas() == nil {
		return nil, billing.ErrNotOpen
	}
	s := a.engine.Shared()
	if s == nil {
		return nil, fmt.Errorf("release %s: %w; a gateway on this machine takes the grants of others back by itself", instance, quota.ErrNotShared)
	}
	if err := a.engine.Quotas().Release(r.Context(), s.Mirror(), instance); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return a.quota(r)
}
