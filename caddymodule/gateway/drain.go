package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/spelling"
)

// Drain takes a region out of use gradually: at this gateway and, with a shared store,
// at all gateways. If the region is drained already, the drain keeps its beginning.
func (a *App) Drain(ctx context.Context, order DrainOrder) (DrainAnswer, error) {
	region, err := a.regionOf(order)
	if err != nil {
		return DrainAnswer{}, err
	}
	over := regions.DefaultDrainOver
	if order.Over != "" {
		if over, err = caddy.ParseDuration(order.Over); err != nil {
			return DrainAnswer{}, fmt.Errorf("over %q: must be a duration such as 5m", order.Over)
		}
	}
	drain := regions.Drain{Since: time.Now(), Over: over, LastResort: order.LastResort}
	if err := drain.Validate(); err != nil {
		return DrainAnswer{}, err
	}
	if standing := a.network.State(region).Drain(); standing.Active() {
		drain.Since = standing.Since
	}
	return a.carryOutDrain(ctx, order, region, drain)
}

// Undrain takes a region back into use. Its share of the requests grows gradually, as
// after an outage. It is an error if the region is not drained.
func (a *App) Undrain(ctx context.Context, order DrainOrder) (DrainAnswer, error) {
	region, err := a.regionOf(order)
	if err != nil {
		return DrainAnswer{}, err
	}
	drain := a.network.State(region).Drain()
	if !drain.Active() {
		return DrainAnswer{}, fmt.Errorf("region %s is not drained", region.Name)
	}
	drain.Ended = time.Now()
	return a.carryOutDrain(ctx, order, region, drain)
}

// Drains lists the drains in force.
func (a *App) Drains() DrainsAnswer {
	answer := DrainsAnswer{Drains: []RegionDrain{}}
	for _, r := range a.RegionStatus() {
		if r.Drain != nil {
			answer.Drains = append(answer.Drains, RegionDrain{r.Region, r.State, *r.Drain})
		}
	}
	return answer
}

func (a *App) regionOf(order DrainOrder) (*regions.Region, error) {
	region, ok := a.network.Set.Lookup(order.Region)
	if !ok {
		names := a.network.Set.Names()
		return nil, fmt.Errorf("region %q is not configured%s; configured are %s",
			order.Region, spelling.DidYouMean(order.Region, names), strings.Join(names, ", "))
	}
	return region, nil
}

// carryOutDrain puts a drain into force, unless the order is a dry run.
func (a *App) carryOutDrain(ctx context.Context, order DrainOrder, region *regions.Region, drain regions.Drain) (DrainAnswer, error) {
	answer := a.drainAnswer(region, drain, order.DryRun)
	if order.DryRun {
		return answer, nil
	}
	return answer, a.setDrain(ctx, region, drain)
}

// setDrain saves a drain and then puts it into force.
func (a *App) setDrain(ctx context.Context, region *regions.Region, drain regions.Drain) error {
	if err := a.drains.Save(ctx, region.Name, drain); err != nil {
		return fmt.Errorf("the order cannot be kept, and so is not carried out: %w", err)
	}
	a.network.State(region).SetDrain(drain)
	a.network.Refresh(time.Now())
	a.logger.Info("drain order changed", zap.String("region", region.Name), zap.Bool("drained", drain.Active()), zap.Duration("over", drain.Over))
	return nil
}

// drainAnswer describes the effects of a drain.
func (a *App) drainAnswer(region *regions.Region, drain regions.Drain, dry bool) DrainAnswer {
	view := a.network.View()
	i, _ := view.Lookup(region.Name)
	r := &view.Regions[i]
	answer := DrainAnswer{
		Region:     region.Name,
		State:      r.Health,
		DryRun:     dry,
		InFlight:   r.Load.InFlight(),
		WebSockets: a.shared.sockets.InRegion(region.Name),
		Takers:     []string{},
		Warnings:   []string{},
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

// closeDrained closes the WebSockets of drained regions, spread over the duration of
// the drain, and those of backends that left the list of their region, until ctx is
// done.
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
			for _, r := range a.network.View().Regions {
				for i := range r.Others {
					if part := r.Others[i].Closed(now); part > 0 {
						a.shared.sockets.CloseShareOf(r.Region.Name, r.Others[i].Key, part)
					}
				}
			}
		}
	}
}
