// Package quota decides whether an organization may use another unit of its quota in
// a billing period.
//
// A hard quota is exact over all gateways: units are granted beforehand by an
// [Authority] that gateways share, and an invocation takes one that its gateway was
// granted. A request waits for the authority only if its gateway has no unit left.
// Soft quotas are counted, and never claimed. [Redis] is the authority of gateways
// that share a Redis, [Embedded] that of those on one machine.
//
// The package does not decide how much an organization may use (its caller gives an
// [Allowance]) nor what was used: that is in the ledger (package metering), which has
// a record of each unit. It knows neither requests nor regions. docs/counting.md
// proves that a quota is not passed, and says what that assumes.
//
//	manager := quota.NewManager(ledger, quota.NewEmbedded(dir, time.Now))
//	defer manager.Close(ctx)
//	unit, err := manager.Take(ctx, "acme", &quota.Allowance{Quota: 1000, Hard: true})
//	switch {
//	case errors.Is(err, quota.ErrExhausted): // answer 402
//	case err != nil: // answer 503
//	}
//	// Record the invocation in the ledger with the time unit.At, or unit.Return().
package quota
