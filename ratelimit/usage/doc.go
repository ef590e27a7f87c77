// Package usage turns recorded usage into lines with prices, one for each hour,
// project, function and region, and delivers them. It decides what is billed, when
// a line is final, and what a sink was told. It reads usage from
// ratelimit/metering as sums and knows nothing of single records.
//
// A [LineStore] keeps the lines in a file. Update it with everything that is
// known, then read lines or deliver them:
//
//	store := usage.NewLineStore(path, ledgerID)
//	changed, err := store.Update(usage.UpdateInput{Now: now, Sums: sums, Price: price, Complete: complete})
//	for line, err := range store.Lines(want) { ... }
//
// A line is provisional until its hour is complete, then final. A final line that
// changes becomes a correction with the next revision; nothing is ever removed.
//
// Sinks take lines as they become final. A [Deliverer] keeps track of what it has,
// as [Files] do, and is served by [LineStore.Drain]. A [Service] is told over a
// network; an [Outbox] stores every message before it is sent, so that each change
// counts once. Package webhook and package stripemeter are services.
package usage
