package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// HeldByGone returns what quotas.db has granted to gateways whose log is not in the
// directory any more, in periods that go on: what they used of it is lost with the log.
// It is nil if the store is not embedded. The error wraps ErrUnavailable.
func (m *Manager) HeldByGone(context.Context) ([]HeldUnits, error) {
	e, ok := (*m.authority.Load()).(*Embedded)
	if !ok {
		return nil, nil
	}
	claims, err := e.held(m.isGone)
	if err != nil {
		return nil, err
	}
	return m.heldUnits(claims), nil
}

// isGone reports whether a gateway has no log in the directory. Those of this process are
// there, or its calls are refused until they are.
func (m *Manager) isGone(gateway string) bool {
	return !slices.Contains(m.ownHolders(), gateway) && !m.ledger.HasLog(gateway)
}

// heldUnits returns the units of claims whose periods go on, by organization, period and
// gateway.
func (m *Manager) heldUnits(claims []Claim) (held []HeldUnits) {
	for _, c := range claims {
		if remembered(c.Period.ID, m.ledger.Now()) {
			held = append(held, HeldUnits{
				Organization: c.Organization,
				Period:       c.Period.ID,
				Gateway:      c.Holder,
				Units:        c.Holds,
				Gone:         true,
			})
		}
	}
	slices.SortFunc(held, func(a, b HeldUnits) int {
		return strings.Compare(a.Organization+"|"+a.Period+"|"+a.Gateway, b.Organization+"|"+b.Period+"|"+b.Gateway)
	})
	return held
}

// ReleaseGone gives back all units of a gateway whose log is not in the directory any
// more. What it had used of them is granted once more: nobody knows how many that were.
// The error is ErrNotShared for a gateway whose log is there, or tells an operator why
// nothing, or not all, was released.
func (m *Manager) ReleaseGone(ctx context.Context, gateway string) (released []HeldUnits, err error) {
	e, ok := (*m.authority.Load()).(*Embedded)
	if !ok || !m.isGone(gateway) {
		return nil, fmt.Errorf("%w; a gateway on this machine takes the grants of others back by itself", ErrNotShared)
	}
	claims, err := e.HeldBy(ctx, gateway)
	if err != nil {
		return nil, err
	}
	if len(claims) == 0 {
		return nil, fmt.Errorf("no gateway %q has units in quotas.db; `edgegate quota show` lists those that hold some and have no log in the directory any more", gateway)
	}
	for i, c := range claims {
		c.Number, c.Holds = max(m.newNumber(), c.Number+1), 0
		if _, err := e.Claim(ctx, c); err != nil {
			return m.heldUnits(claims[:i]), err
		}
	}
	return m.heldUnits(claims), nil
}
