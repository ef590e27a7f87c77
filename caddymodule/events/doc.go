// Package events keeps what happened to a gateway and its fleet: each change of state of
// a region, a backend, Redis, the ledger and so on is one event.
//
// It decides which events are kept, for how long and how many, and how gateways share
// them. It does not find out what changed: package logs does, and its log lines are the
// same changes. Nothing here is on the path of a call: [Log.Add] only appends in memory,
// and [Log.Run] writes in the background.
//
// Each gateway writes its own events into a file of the store's directory,
// events/ID.jsonl, and with a shared store into a hash of Redis as well:
//
//	edge:{fleet}:events  id of an event -> the Event as JSON
//
// Whatever happens, at most 10,000 events are kept, each for 7 days. When there are too
// many, kinds get equal parts, and things of a kind equal parts of that: a backend that
// flaps, or a tenant who makes key sets fail, displaces its own events.
package events
