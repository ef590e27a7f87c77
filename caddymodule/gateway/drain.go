package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/spelling"
)

// maxOrder bounds the body of an order, in bytes.
const maxOrder = 16 << 10

func (a *App) readOrder(r *http.Request) (DrainOrder, *regions.Region, error) {
	var order DrainOrder
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxOrder))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return order, nil, fmt.Errorf(`the order is not {"region":R,"over":"5m","dry_run":false,"last_resort":false}: %w`, err)
	}
	region, ok := a.network.Set.Lookup(order.Region)
	if !ok {
		names := a.network.Set.Names()
		return order, nil, fmt.Errorf("region %q is not configured%s; configured are %s",
			order.Region, spelling.DidYouMean(order.Region, names), strings.Join(names, ", "))
	}
	return order, region, nil
}

// drain takes a region out of use, little by little.
func (a *App) drain(r *http.Request) (any, error) {
	order, region, err := a.readOrder(r)
	if err != nil {
		return nil, err
	}
	over := regions.DefaultDrainOver
	if order.Over != "" {
		if over, err = caddy.ParseDuration(order.Over); err != nil {
			return nil, fmt.Errorf("over %q: must be a duration such as 5m", order.Over)
		}
	}
	drain := regions.Drain{Since: time.Now(), Over: over, LastResort: order.LastResort}
	if err := drain.Validate(); err != nil {
		return nil, err
	}
	if standing := a.network.State(region).Drain(); standing.Active() {
		// The order stands; only how it ends may be changed.
		drain.Since = standing.Since
	}
	answer := a.drainAnswer(region, drain, order.DryRun)
	if order.DryRun {
		return answer, nil
	}
	return answer, a.setDrain(r.Context(), region, drain)
}

// drains lists the orders that stand.
func (a *App) listDrains(*http.Request) (any, error) {
	answer := DrainsAnswer{Drains: []RegionDrain{}}
	for _, r := range a.regionStatus() {
		if r.Drain != nil {
			answer.Drains = append(answer.Drains, RegionDrain{r.Region, r.State, *r.Drain})
		}
	}
	return answer, nil
}

// undrain takes a region back into use. Its share grows as after an outage.
func (a *App) undrain(r *http.Request) (any, error) {
	order, region, err := a.readOrder(r)
	if err != nil {
		return nil, err
	}
	drain := a.network.State(region).Drain()
	if !drain.Active() {
		return nil, fmt.Errorf("region %s is not drained", region.Name)
	}
	drain.Ended = time.Now()
	answer := a.drainAnswer(region, drain, order.DryRun)
	if order.DryRun {
		return answer, nil
	}
	return answer, a.setDrain(r.Context(), region, drain)
}

// setDrain puts an order in force and keeps it.
func (a *App) setDrain(ctx context.Context, region *regions.Region, drain regions.Drain) error {
	if err := a.drains.Save(ctx, region.Name, drain); err != nil {
		return fmt.Errorf("the order cannot be kept, and so is not carried out: %w", err)
	}
	a.network.State(region).SetDrain(drain)
	a.network.Refresh(time.Now())
	a.logger.Info("drain", zap.String("region", region.Name), zap.Bool("drained", drain.Active()), zap.Duration("over", drain.Over))
	return nil
}

func (a *App) drainAnswer(region *regions.Region, drain regions.Drain, dry bool) DrainAnswer {
	view := a.network.View()
	i, _ := view.Lookup(region.Name)
	r := &view.Regions[i]
	answer := DrainAnswer{
		Region:     region.Name,
		State:      r.Health,
		DryRun:     dry,
		Takers:     []string{},
		Warnings:   []string{},
		InFlight:   r.Load.InFlight(),
		WebSockets: a.shared.sockets.InRegion(region.Name),
	}
	if !drain.Active() {
		return answer
	}
	ends := drain.Since.Add(drain.Over).UTC()
	answer.Ends, answer.State = &ends, drain.State(time.Now())
	for _, i := range view.Order {
		if other := &view.Regions[i]; other.Region != region && other.Usable() && other.State != regions.StateDraining {
			answer.Takers = append(answer.Takers, other.Region.Name)
		}
	}
	if len(answer.Takers) == 0 {
		answer.Warnings = append(answer.Warnings, "no other region can take its requests: they will be answered 503")
	}
	for p := range a.Projects() {
		if p.Regions != nil && !slices.ContainsFunc(p.Regions, func(name string) bool { return slices.Contains(answer.Takers, name) }) &&
			slices.Contains(p.Regions, region.Name) {
			answer.Warnings = append(answer.Warnings, "project "+p.Ref+" may run nowhere else: its requests will be answered 503")
		}
	}
	if len(answer.Warnings) > shownProblems {
		answer.Warnings = append(answer.Warnings[:shownProblems], fmt.Sprintf("and %d more", len(answer.Warnings)-shownProblems))
	}
	return answer
}

// closeDrained says goodbye to the WebSockets of regions that are drained, over
// the whole time of it, until ctx is done.
func (a *App) closeDrained(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, r := range a.network.Set.All() {
				if part := a.network.State(r).Drain().Closed(now); part > 0 {
					a.shared.sockets.CloseShare(r.Name, part)
				}
			}
		}
	}
}
