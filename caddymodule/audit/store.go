package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// clockNear and clockFar are how far the clocks of a gateway and of Redis may be
// apart. Invocations are counted by the clock of Redis at any offset.
const (
	clockNear = time.Second
	clockFar  = metering.MaxClockOffset
)

// storeWait bounds how long the audit waits for the store.
const storeWait = 3 * time.Second

// ofStore judges the Redis that quotas and sums are in. It asks it.
func ofStore(ctx context.Context, s *Store) []Finding {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	settings, err := s.Server.Settings(ctx, "maxmemory-policy", "appendonly", "min-replicas-to-write")
	if err != nil {
		return []Finding{storeAway(s.URL, logs.StoreCause(err))}
	}
	var findings []Finding
	// It may answer, and yet refuse what calls need: writes.
	for _, c := range s.Conditions() {
		if c.State == string(redisconn.Down) {
			findings = append(findings, storeAway(c.Name, c.Why))
		}
	}
	if policy, ok := settings["maxmemory-policy"]; ok && policy != "noeviction" {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "store_eviction",
			Subject:  s.URL,
			Message:  "maxmemory-policy is " + policy + ": Redis may throw sums and grants away when its memory is full",
			Remedy:   "set `maxmemory-policy noeviction` in redis.conf",
		})
	}
	if settings["appendonly"] == "no" {
		findings = append(findings, Finding{
			Severity: Medium,
			Check:    "store_appendonly",
			Subject:  s.URL,
			Message:  "appendonly is off: after a restart gateways send all sums again, and hard quotas wait up to 15 s for them",
			Remedy:   "set `appendonly yes` and `appendfsync everysec` in redis.conf",
		})
	}
	if tells, err := s.Server.TellsRestarts(ctx); err == nil && !tells {
		findings = append(findings, Finding{
			Severity: Medium,
			Check:    "store_info",
			Subject:  s.URL,
			Message:  billing.NoRestarts,
			Remedy:   "let the user of the gateways run INFO: `ACL SETUSER <user> +info`",
		})
	}
	if replicas, err := s.Server.Replicas(ctx); err == nil && replicas == 0 {
		findings = append(findings, Finding{
			Severity: Low,
			Check:    "store_replicas",
			Subject:  s.URL,
			Message:  "it has no replica: when it is lost, hard quotas are answered 503 as soon as what was granted is used",
			Remedy:   "add a replica with Sentinel or Cluster, and `min-replicas-to-write 1`",
		})
	}
	findings = append(findings, silentGateways(ctx, s)...)
	if offset, _, err := s.Server.ClockOffset(ctx); err == nil && offset.Abs() > clockNear {
		f := Finding{
			Severity: Medium,
			Check:    "clock_offset",
			Subject:  s.URL,
			Message:  fmt.Sprintf("the clocks of this machine and of Redis are %s apart", offset.Abs().Round(time.Millisecond)),
			Remedy:   "synchronize both by NTP: the gateway counts by the clock of Redis; its logs, certificates and tokens go by its own, and beyond 30 s it is degraded",
		}
		if offset.Abs() > clockFar {
			f.Severity = High
		}
		findings = append(findings, f)
	}
	return findings
}

func storeAway(url, why string) Finding {
	return Finding{
		Severity: Medium,
		Check:    "store_away",
		Subject:  url,
		Message:  "Redis cannot be used: quotas are served from what was granted before, then hard ones are answered 503: " + why,
		Remedy:   "start it, make room for it, or correct `store redis URL`",
	}
}

// silentAfter is for how long a gateway may be silent that did not end properly.
const silentAfter = time.Hour

// copySilentAfter is the time without a sign of a copied gateway after which it is
// reported: no other takes over what it left.
const copySilentAfter = time.Minute

// silentGateways finds those that hold up bills and grants.
func silentGateways(ctx context.Context, s *Store) []Finding {
	seen, err := s.Peers(ctx)
	if err != nil {
		return nil // what is wrong with Redis is said elsewhere
	}
	var findings []Finding
	held := make(map[string]int64)
	if len(s.Copied) > 0 {
		held = s.Held(ctx)
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		p := seen[id]
		awaited := !p.Left && !p.Lost
		switch {
		case slices.Contains(s.Copied, id):
			if awaited && p.Silent > copySilentAfter || held[id] > 0 {
				findings = append(findings, Finding{
					Severity: Medium,
					Check:    "gateway_copied",
					Subject:  id,
					Message: "a gateway runs on a copy of the directory of this one, or on one that was set back, under another id; this one is not there: " +
						"hours since it was last heard of stay provisional unless it ended properly, and what it was granted stays its own",
					Remedy: "start it on its directory if that is still there; if no gateway runs on it any more: edgegate quota release " + id,
				})
			}
		case awaited && p.Silent > silentAfter:
			findings = append(findings, Finding{
				Severity: Medium,
				Check:    "gateway_silent",
				Subject:  id,
				Message:  fmt.Sprintf("this gateway was last heard of at %s and did not end properly: hours since then stay provisional, and what it was granted stays its own", p.At.UTC().Format(time.RFC3339)),
				Remedy:   "start it, or another one, on its directory; if that is lost: edgegate quota release " + id,
			})
		}
	}
	return findings
}
