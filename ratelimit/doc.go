// Package ratelimit is the directory of what is counted: how much may be used,
// and how much was.
//
//   - quota: of an organization's quota in a billing period, exact over gateways
//   - rate: of limits over short windows, and of calls at a time
//   - metering: the ledger, one record an invocation
//   - usage: line items, prices and exports, computed from the ledger
//   - redisconn: the connection to Redis
//
// It has no code of its own but the test that all scripts for Redis pass.
package ratelimit
