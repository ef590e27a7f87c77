package quota

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

const (
	// overridesKey is the hash of the overrides, by organization.
	overridesKey = "gw:limits"
	// overridesMarker is a field that the hash always has, since a missing hash was lost;
	// with the name of an organization behind it, it is the version of that override.
	overridesMarker = "|"
	// configuredLimit stands in place of the limit of an override that was removed.
	configuredLimit = "default"
)

// HeldBy implements HoldingsAuthority.
func (r *Redis) HeldBy(ctx context.Context, holder string) (claims []Claim, err error) {
	for shard := range r.Shards() {
		news, err := r.Grants(ctx, shard)
		if err != nil {
			return nil, err
		}
		for i := range news.Windows {
			w := &news.Windows[i]
			if g, ok := w.Grants[holder]; ok {
				claims = append(claims, Claim{
					Holder:       holder,
					Organization: w.Organization,
					Period:       metering.Period{ID: w.Period},
					Holds:        g.Holds,
					Number:       g.Number,
					Limit:        noLimit,
				})
			}
		}
	}
	return claims, nil
}

// Grants implements EpochAuthority. It reads the fields `g|PERIOD|ORGANIZATION|HOLDER`
// of the shard's hash, which are `GRANTED:NUMBER`, and `y|PERIOD|ORGANIZATION`.
func (r *Redis) Grants(ctx context.Context, shard int) (news News, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*callWait)
	defer cancel()
	r.calls.Add(3) // as in Overrides
	fields, err := r.conn.HashAll(ctx, grantsKey(shard))
	if err != nil {
		return News{}, fmt.Errorf("%w: reading grants: %w", ErrUnavailable, err)
	}
	if fields["_run"] != "" {
		news.Epoch = fields["_id"] + ":" + fields["_run"]
	}
	news.Members, _ = strconv.Atoi(fields["_m"])
	windows := make(map[string]*WindowNews)
	window := func(period, organization string) *WindowNews {
		w := windows[period+"|"+organization]
		if w == nil {
			w = &WindowNews{Organization: organization, Period: period, Grants: make(map[string]Grant)}
			windows[period+"|"+organization] = w
		}
		return w
	}
	for field, value := range fields {
		parts := strings.Split(field, "|")
		switch {
		case len(parts) == 4 && parts[0] == "g":
			g, err := parseGrant(value)
			if err != nil {
				return News{}, fmt.Errorf("reading grants in %s: field %q: %w", grantsKey(shard), field, err)
			}
			window(parts[1], parts[2]).Grants[parts[3]] = g
		case len(parts) == 3 && parts[0] == "y":
			w := window(parts[1], parts[2])
			if w.Grace, err = parseGrace(value[:max(0, strings.LastIndexByte(value, '|'))]); err != nil {
				return News{}, fmt.Errorf("reading grants in %s: field %q: %w", grantsKey(shard), field, err)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(windows)) {
		news.Windows = append(news.Windows, *windows[key])
	}
	return news, nil
}

// parseGrant reads a grant as claim.lua stores it.
func parseGrant(text string) (g Grant, err error) {
	if _, err := fmt.Sscanf(text, "%d:%d", &g.Holds, &g.Number); err != nil {
		return Grant{}, fmt.Errorf("%q is no grant", text)
	}
	return g, nil
}

// SetOverride implements Authority.
func (r *Redis) SetOverride(ctx context.Context, organization string, o Override) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callWait)
	defer cancel()
	r.calls.Add(2)
	text := strconv.FormatInt(o.Limit, 10)
	if o.Removed {
		text = configuredLimit
	}
	// The list is written before the field that claims read: if the second write
	// fails, repairOverride mends the field by the list.
	reply, err := r.conn.Run(ctx, limitsScript, overridesKey, "organization", organization, "limit", text, "version", o.Version)
	if err == nil {
		if list, _ := reply.([]any); len(list) == 1 {
			text, _ = list[0].(string)
		}
		key, field := grantsKey(r.Shard(organization)), "l|"+organization
		if _, bad := strconv.ParseInt(text, 10, 64); bad != nil {
			err = r.conn.HashDelete(ctx, key, field)
		} else {
			err = r.conn.HashSet(ctx, key, field, text)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: setting an override: %w", ErrUnavailable, err)
	}
	return nil
}

// Overrides implements Authority.
func (r *Redis) Overrides(ctx context.Context) (map[string]Override, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	r.calls.Add(3) // HashAll asks for the length before and after
	fields, err := r.conn.HashAll(ctx, overridesKey)
	if err != nil {
		return nil, fmt.Errorf("%w: reading overrides: %w", ErrUnavailable, err)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	found := make(map[string]Override, len(fields)/2)
	for field, text := range fields {
		// A version without a limit is of one that a build removed which keeps no versions.
		if organization, ok := strings.CutPrefix(field, overridesMarker); ok {
			if _, there := fields[organization]; there || organization == "" {
				continue
			}
			field, text = organization, configuredLimit
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil && text != configuredLimit {
			continue
		}
		version, _ := strconv.ParseUint(fields[overridesMarker+field], 10, 64)
		found[field] = Override{Limit: n, Removed: err != nil, Version: version}
	}
	return found, nil
}
