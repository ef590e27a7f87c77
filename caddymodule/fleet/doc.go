// Package fleet exchanges the heartbeats and drain orders of gateways that share a
// store.
//
// It decides when a gateway is heard, which clients another gateway is much nearer
// to, and how orders to drain outlive restarts. It does not decide when to beat,
// what a region's state is, or what an order does: the gateway runs the exchange
// ([Interval]) and puts the orders into force.
//
// Redis has two hashes, whose names have the same hash tag so that they are in one
// slot of a Cluster:
//
//	edge:{fleet}:gateways  id of a gateway -> its Heartbeat as JSON
//	edge:{fleet}:drains    name of a region -> the regions.Drain as JSON
package fleet
