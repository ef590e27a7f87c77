package quota

import "context"

// An override is a limit that an operator set (`edgegate quota set`) in place of
// the configured one. The authority keeps the overrides of all organizations; the
// copy here is read again every second tick.

// effectiveLimit returns the limit in force, as far as known here.
func (m *Manager) effectiveLimit(organization string, allowance *Allowance) int64 {
	if limit, ok := (*m.overrides.Load())[organization]; ok {
		return limit
	}
	return allowance.Quota
}

// refreshOverrides reads the overrides from the authority. It reports whether the
// copy here and the authority agree now.
func (m *Manager) refreshOverrides(ctx context.Context) bool {
	authority := *m.authority.Load()
	overrides, err := authority.Overrides(ctx)
	if err != nil {
		return false
	}
	known := *m.overrides.Load()
	if overrides == nil && len(known) > 0 {
		// The authority is a new one, or its store was emptied: write ours into it.
		return writeOverrides(ctx, authority, known) == nil
	}
	m.overrides.Store(&overrides)
	return true
}

func writeOverrides(ctx context.Context, to Authority, overrides map[string]int64) error {
	for organization, limit := range overrides {
		if err := to.SetOverride(ctx, organization, &limit); err != nil {
			return err
		}
	}
	return nil
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
	for organization := range stale {
		if _, ok := known[organization]; ok {
			continue
		}
		if err := to.SetOverride(ctx, organization, nil); err != nil {
			return err
		}
	}
	return writeOverrides(ctx, to, known)
}

// SetOverride puts a limit in force in place of the configured one, for all
// gateways that share the authority; nil removes the override. The error is
// ErrUnavailable, or wraps it.
func (m *Manager) SetOverride(ctx context.Context, organization string, limit *int64) error {
	if err := (*m.authority.Load()).SetOverride(ctx, organization, limit); err != nil {
		return err
	}
	m.refreshOverrides(ctx)
	return nil
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
	var limit *int64
	if known, ok := (*m.overrides.Load())[organization]; ok {
		limit = &known
	}
	_ = (*m.authority.Load()).SetOverride(ctx, organization, limit) // the next claim finds out
}
