package billing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// nearShare says when a quota is near its end: when at most one in so many of its
// invocations remains.
const nearShare = 5

// MaxLimit is the highest limit of a QuotaOrder.
const MaxLimit = quota.MaxLimit

// Quota returns how far the quota of an organization is used; with "", those of all
// organizations of the catalogue. While the store is away, Used has only what this
// gateway counted, and QuotaAnswer.Partial says so. The error is an UnknownError for an organization that
// is not in the catalogue.
func (e *Engine) Quota(ctx context.Context, organization string) (QuotaAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return QuotaAnswer{}, err
	}
	if organization != "" {
		a, err := accountOf(catalogue, organization)
		if err != nil {
			return QuotaAnswer{}, err
		}
		return o.quotaAnswer(ctx, &a)
	}
	others, partial := o.others(ctx, "")
	partial = o.limitsKnown(ctx, partial)
	held, partial := o.held(ctx, others, partial)
	answer := QuotaAnswer{Organizations: []OrganizationQuota{}, Partial: partial}
	for a := range catalogue.Accounts() {
		if a.ID == "" {
			continue
		}
		one, err := o.quotaOf(&a, others)
		if err != nil {
			return QuotaAnswer{}, err
		}
		one.Held = heldOf(&one, held)
		answer.Organizations = append(answer.Organizations, one)
	}
	return answer, nil
}

// SetQuota puts a limit in force in place of the configured one, for all gateways that
// share the store, and returns the quota of the organization. With Release in the order
// it gives back the grants of a gateway instead, and returns all quotas.
func (e *Engine) SetQuota(ctx context.Context, order QuotaOrder) (QuotaAnswer, error) {
	if order.Release != "" {
		return e.release(ctx, order.Release)
	}
	o, catalogue, err := e.inForce()
	if err != nil {
		return QuotaAnswer{}, err
	}
	a, err := accountOf(catalogue, order.Organization)
	if err != nil {
		return QuotaAnswer{}, err
	}
	if order.Limit != nil && (*order.Limit < 0 || *order.Limit > MaxLimit) {
		return QuotaAnswer{}, fmt.Errorf("limit: must be a whole number from 0 to %d, or null for the configured one", MaxLimit)
	}
	err = o.quotas.SetOverride(ctx, a.ID, order.Limit)
	if err != nil {
		return QuotaAnswer{}, fmt.Errorf("the limit is not set, or not for all gateways yet; `edgegate quota show` says what is in force: %w", err)
	}
	return o.quotaAnswer(ctx, &a)
}

// quotaAnswer returns the quota of one account.
func (o *opened) quotaAnswer(ctx context.Context, a *Account) (QuotaAnswer, error) {
	others, partial := o.others(ctx, a.ID)
	partial = o.limitsKnown(ctx, partial)
	held, partial := o.held(ctx, others, partial)
	one, err := o.quotaOf(a, others)
	if err != nil {
		return QuotaAnswer{}, err
	}
	one.Held = heldOf(&one, held)
	return QuotaAnswer{Organizations: []OrganizationQuota{one}, Partial: partial}, nil
}

// limitsKnown reads which limits operators set, and says why they are not known; partial if
// they are.
func (o *opened) limitsKnown(ctx context.Context, partial string) string {
	if err := o.quotas.Refresh(ctx); err != nil && partial == "" {
		return "which limits `quota set` set may not be known: " + err.Error()
	}
	return partial
}

// held returns what gateways hold that are not there, and why not all is known: "" if it
// is. others and partial are those of others.
func (o *opened) held(ctx context.Context, others []metering.Entry, partial string) ([]quota.HeldUnits, string) {
	s := o.shared.Load()
	if s == nil {
		held, err := o.quotas.HeldByGone(ctx)
		if err != nil && partial == "" {
			partial = "what gateways hold whose log is gone is not known: " + err.Error()
		}
		return held, partial
	}
	if partial != "" {
		return nil, partial
	}
	ctx, cancel := context.WithTimeout(ctx, lastWait)
	defer cancel()
	held, err := o.quotas.HeldByAbsent(ctx, s.mirror, others)
	if err != nil {
		return nil, "the store does not say what gateways hold that are not there; `edgegate status` says what is wrong with the store"
	}
	return held, ""
}

// heldOf returns what is held of a quota in its period.
func heldOf(q *OrganizationQuota, all []quota.HeldUnits) (held []HeldUnits) {
	const returns = "it gives them back when it starts again on its directory"
	for i := range all {
		h := &all[i]
		if h.Organization != q.ID || h.Period != q.Period.ID || !q.Hard {
			continue
		}
		one := HeldUnits{Gateway: h.Gateway, Units: h.Units, Command: "edgegate quota release " + h.Gateway}
		switch {
		case h.Gone:
			one.Why = "its log is not in the directory any more, and what it used of them is lost with it"
		case h.Left:
			one.Why = "it ended and could not give them back; " + returns
		case h.Seen.IsZero():
			one.Why = "the store has lost what it used of them; it says so when it starts again on its directory"
			one.Command = fmt.Sprintf("edgegate quota set %s LIMIT", q.ID)
		default:
			one.Seen = &h.Seen
			one.Why = fmt.Sprintf("it has said nothing for %s; %s", h.Silent.Round(time.Second), returns)
		}
		if h.Copied {
			one.Why = strings.TrimSuffix(one.Why, returns) + "a gateway runs on a copy of its directory, or on one that was set back, and gives back nothing for it"
		}
		held = append(held, one)
	}
	return held
}

// release gives back the grants of a gateway that will never come back.
func (e *Engine) release(ctx context.Context, gateway string) (QuotaAnswer, error) {
	o, _, err := e.inForce()
	if err != nil {
		return QuotaAnswer{}, err
	}
	var released []quota.HeldUnits
	if s := o.shared.Load(); s != nil {
		released, err = o.quotas.Release(ctx, s.mirror, gateway)
	} else {
		released, err = o.quotas.ReleaseGone(ctx, gateway)
	}
	answer := Release{Gateway: gateway, Quotas: make([]ReleasedUnits, 0, len(released))}
	for _, r := range released {
		answer.Quotas = append(answer.Quotas, ReleasedUnits{Organization: r.Organization, Period: r.Period, Units: r.Units})
		e.log().Info("units of a lost gateway released", slog.String("gateway", gateway), slog.String("organization", r.Organization),
			slog.String("period", r.Period), slog.Int64("units", r.Units))
	}
	if err != nil {
		return QuotaAnswer{}, fmt.Errorf("release: %w", err)
	}
	all, err := e.Quota(ctx, "")
	all.Released = &answer
	return all, err
}

// quotaOf returns how far the quota of an account is used in its current period, with
// the sums of other gateways.
func (o *opened) quotaOf(a *Account, others []metering.Entry) (OrganizationQuota, error) {
	state, err := o.quotas.State(a.ID, &a.Allowance)
	if err != nil {
		return OrganizationQuota{}, err
	}
	q := OrganizationQuota{
		ID:     a.ID,
		Plan:   a.Price.Plan,
		Period: periodOf(state.Period),
		State:  QuotaOK,
		Hard:   state.Hard,
		Set:    state.Overridden,
	}
	if included := a.Price.Included; included >= 0 {
		q.Included = &included
	}
	if q.Used, err = o.used(a.ID, state.Period, others); err != nil || state.Limit < 0 {
		return q, err
	}
	remaining := max(0, state.Limit-int64(q.Used))
	q.Limit, q.Remaining = &state.Limit, &remaining
	switch {
	case state.Refusing:
		q.State = QuotaRestricted
	case remaining == 0:
		q.State = QuotaOver
	case remaining*nearShare <= state.Limit:
		q.State = QuotaNear
	}
	return q, nil
}

// used returns how many invocations this gateway and others counted of an organization
// in a period.
func (o *opened) used(organization string, p metering.Period, others []metering.Entry) (n uint64, err error) {
	own, err := o.ledger.SpentBy(organization, p)
	if err != nil {
		return 0, err
	}
	for _, units := range own {
		n += units
	}
	for i := range others {
		if others[i].Subject.Organization == organization && others[i].Span == metering.Monthly && others[i].ID == p.ID && metering.TakesQuota(others[i].Region) {
			n += others[i].Invocations
		}
	}
	return n, nil
}
