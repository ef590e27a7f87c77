package quota

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

const (
	// overridesKey is the hash of the overrides, by organization.
	overridesKey = "gw:limits"
	// overridesMarker is a field that the hash keeps when the last override is
	// removed: a missing hash was lost.
	overridesMarker = "|"
)

// HeldBy implements HoldingsAuthority.
func (r *Redis) HeldBy(ctx context.Context, holder string) (claims []Claim, err error) {
	for shard := range r.Shards() {
		some, err := r.heldBy(ctx, shard, holder)
		if err != nil {
			return nil, err
		}
		claims = append(claims, some...)
	}
	return claims, nil
}

// heldBy returns what a holder has in a shard: the fields
// `g|PERIOD|ORGANIZATION|HOLDER` of its hash, which are `GRANTED:NUMBER`.
func (r *Redis) heldBy(ctx context.Context, shard int, holder string) (claims []Claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callWait)
	defer cancel()
	r.calls.Add(3) // as in Overrides
	fields, err := r.conn.HashAll(ctx, grantsKey(shard))
	if err != nil {
		return nil, fmt.Errorf("%w: reading grants: %w", ErrUnavailable, err)
	}
	for field, value := range fields {
		parts := strings.Split(field, "|")
		if len(parts) != 4 || parts[0] != "g" || parts[3] != holder {
			continue
		}
		var holds int64
		var number uint64
		if _, err := fmt.Sscanf(value, "%d:%d", &holds, &number); err != nil {
			return nil, fmt.Errorf("reading grants in %s: field %q has %q, which is no grant", grantsKey(shard), field, value)
		}
		claims = append(claims, Claim{
			Holder:       holder,
			Organization: parts[2],
			Period:       metering.Period{ID: parts[1]},
			Holds:        holds,
			Number:       number,
			Limit:        noLimit,
		})
	}
	return claims, nil
}

// SetOverride implements Authority.
func (r *Redis) SetOverride(ctx context.Context, organization string, limit *int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callWait)
	defer cancel()
	r.calls.Add(3)
	// The list is written before the field that claims read: if the second write
	// fails, repairOverride mends the field by the list.
	key, field := grantsKey(r.Shard(organization)), "l|"+organization
	err := r.conn.HashSet(ctx, overridesKey, overridesMarker, "")
	switch {
	case err != nil:
	case limit == nil:
		if err = r.conn.HashDelete(ctx, overridesKey, organization); err == nil {
			err = r.conn.HashDelete(ctx, key, field)
		}
	default:
		text := strconv.FormatInt(*limit, 10)
		if err = r.conn.HashSet(ctx, overridesKey, organization, text); err == nil {
			err = r.conn.HashSet(ctx, key, field, text)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: setting an override: %w", ErrUnavailable, err)
	}
	return nil
}

// Overrides implements Authority.
func (r *Redis) Overrides(ctx context.Context) (map[string]int64, error) {
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
	overrides := make(map[string]int64, len(fields))
	for organization, text := range fields {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			overrides[organization] = n
		}
	}
	return overrides, nil
}
