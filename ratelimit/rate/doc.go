// Package rate limits how fast requests may come, and how many may run at once.
//
// A [Limit] is a token bucket after the generic cell rate algorithm. A [Limiter]
// has the buckets of one gateway; with [SharedTokens] gateways share them by Redis.
// [InFlight] counts what runs. Keys are opaque: the package knows neither requests
// nor regions.
package rate
