// Package ratelimit is the directory of the packages that limit and count use. It has
// no code, but a test of the rules for all scripts that run in Redis.
//
//   - quota: an organization's quota in a billing period, exact over all gateways
//   - rate: limits over short windows, and on calls that run at once
//   - metering: the ledger, with a record of each invocation
//   - usage: line items, prices and exports, computed from the ledger
//   - billing: the engine, which owns ledger, quotas, line items and exports
//   - redisconn: the connection to Redis
//   - faultproxy: a proxy for tests that breaks connections
package ratelimit
