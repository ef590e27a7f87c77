package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Override is a limit that an operator set (`edgegate quota set`) in place of the
// configured one, or took back. The authority keeps those of all organizations. Each
// gateway reads them every second tick, remembers them, also on its disk, and repeats
// them to an authority that has lost them, or has an earlier copy.
type Override struct {
	Limit   int64  `json:"limit"`
	Removed bool   `json:"removed,omitempty"` // the configured limit is in force
	Version uint64 `json:"version"`           // the highest of an organization prevails; 0: it was set by a build that kept none
}

// overrides has those of organizations.
type overrides map[string]Override

// effectiveLimit returns the limit in force, as far as known here.
func (m *Manager) effectiveLimit(organization string, allowance *Allowance) int64 {
	if o, ok := (*m.overrides.Load())[organization]; ok && !o.Removed {
		return o.Limit
	}
	return allowance.Quota
}

// overridden reports whether an operator set the limit in force.
func (m *Manager) overridden(organization string) bool {
	o, ok := (*m.overrides.Load())[organization]
	return ok && !o.Removed
}

// merged returns what is in force where an authority has theirs (nil: none, or it lost
// all) and this process knows of o, and which of these the authority must be told.
func (o overrides) merged(theirs overrides) (all overrides, lost []string) {
	all = make(overrides, len(theirs))
	maps.Copy(all, theirs)
	for organization, known := range o {
		if known.Version > theirs[organization].Version || known.Version == 0 && theirs == nil {
			all[organization] = known
			lost = append(lost, organization)
		}
	}
	return all, lost
}

// recallOverrides begins with what the process before knew, if it had the same
// authority. One that nobody here knows is believed in all that it has.
func (m *Manager) recallOverrides(authority Authority) {
	m.overriding.Lock()
	defer m.overriding.Unlock()
	m.believe = true
	f, ok := authority.(EpochAuthority)
	if !ok || !f.Known() {
		return
	}
	m.believe = false
	var kept overrides
	if json.Unmarshal(m.ledger.KeptOverrides(), &kept) != nil {
		return // nothing was kept
	}
	all, _ := (*m.overrides.Load()).merged(kept)
	m.overrides.Store(&all)
}

// Damage returns the damage for which the overrides could not be read the last time, nil
// if there was none. Those that are known stay in force; a process that started since
// knows none.
func (m *Manager) Damage() error {
	err := m.unread.Load()
	if err == nil || !errors.As(*err, new(*durable.DamageError)) {
		return nil
	}
	return *err
}

// refreshOverrides is Refresh, and reports whether it succeeded.
func (m *Manager) refreshOverrides(ctx context.Context) bool { return m.Refresh(ctx) == nil }

// Refresh reads the overrides from the authority, and repeats to it what it does not
// know: afterwards the copy here and the authority agree. The error is that of the
// authority; then limits that were set may not be known here.
func (m *Manager) Refresh(ctx context.Context) error {
	m.overriding.Lock()
	defer m.overriding.Unlock()
	authority := *m.authority.Load()
	theirs, err := authority.Overrides(ctx)
	m.unread.Store(&err)
	if err != nil {
		return err
	}
	known := *m.overrides.Load()
	all, lost := known.merged(theirs)
	if m.believe && theirs != nil {
		all, lost = theirs, nil
	}
	m.overrides.Store(&all)
	m.keepOverrides(authority, all)
	for _, organization := range lost {
		o := all[organization]
		if o.Version == 0 { // from now on it has one
			o.Version = m.newNumber()
		}
		if err := authority.SetOverride(ctx, organization, o); err != nil {
			return err
		}
	}
	m.believe = false
	return nil
}

// keepOverrides keeps the overrides of a shared authority on the disk. After an error
// the next call tries again.
func (m *Manager) keepOverrides(authority Authority, all overrides) {
	if _, shared := authority.(EpochAuthority); !shared || maps.Equal(all, m.kept) {
		return
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = m.ledger.KeepOverrides(text)
	}
	if err == nil {
		m.kept = all
	}
}

// CopyOverrides replaces the overrides of another authority by those in force:
// call it before SetAuthority, since the other may have some of an earlier time.
// The error is that of the authority.
func (m *Manager) CopyOverrides(ctx context.Context, to Authority) error {
	known := *m.overrides.Load()
	stale, err := to.Overrides(ctx)
	if err != nil {
		return err
	}
	for _, organization := range slices.Sorted(maps.Keys(union(known, stale))) {
		o, ok := known[organization]
		if !ok {
			o.Removed = true
		}
		before, was := stale[organization]
		if was && before.Limit == o.Limit && before.Removed == o.Removed && before.Version >= o.Version {
			continue
		}
		o.Version = max(o.Version, before.Version+1)
		if err := to.SetOverride(ctx, organization, o); err != nil {
			return err
		}
	}
	return nil
}

func union(a, b overrides) overrides {
	all := make(overrides, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// overrideTries bounds how often SetOverride begins again when another gateway sets the
// same override meanwhile.
const overrideTries = 3

// SetOverride puts a limit in force in place of the configured one, for all
// gateways that share the authority; nil removes the override. The error is
// ErrUnavailable, or wraps it.
func (m *Manager) SetOverride(ctx context.Context, organization string, limit *int64) error {
	for range overrideTries {
		m.refreshOverrides(ctx) // after an error the next call fails too
		o := Override{Version: max(m.newNumber(), (*m.overrides.Load())[organization].Version+1), Removed: limit == nil}
		if limit != nil {
			o.Limit = *limit
		}
		if err := (*m.authority.Load()).SetOverride(ctx, organization, o); err != nil {
			return err
		}
		if !m.refreshOverrides(ctx) || (*m.overrides.Load())[organization].Version <= o.Version {
			return nil
		}
	}
	return fmt.Errorf("%w: other gateways set the same quota", ErrUnavailable)
}

// repairOverride is called after a claim that the authority settled by another
// limit than the one known here. Either the override was set a moment ago, and
// reading the overrides again is enough; or the authority lost one of the two
// places where it keeps an override, or was interrupted between writing them. Then
// its list of overrides is right, and the limit that claims are settled by is
// written anew.
func (m *Manager) repairOverride(ctx context.Context, organization string, allowance *Allowance, settledBy int64) {
	if !m.refreshOverrides(ctx) || m.effectiveLimit(organization, allowance) == settledBy {
		return
	}
	o, ok := (*m.overrides.Load())[organization]
	if !ok {
		o.Removed = true
	}
	_ = (*m.authority.Load()).SetOverride(ctx, organization, o) // the next claim finds out
}
