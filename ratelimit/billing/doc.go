// Package billing answers how much each organization used, how much of its quota is
// left, what it has to pay, and how far bills were exported.
//
// It decides when an hour is final, what a bill adds up to and which adjustments are
// allowed. It does not decide who pays what: organizations, plans and prices are told
// to it. It counts nothing itself ([github.com/edgegate/edgegate/ratelimit/metering]
// does), grants no quotas ([github.com/edgegate/edgegate/ratelimit/quota] does) and
// knows no HTTP.
//
// The types with JSON tags are the answers and orders of the admin API. The command
// line decodes the same types: their names, order and types are a contract that golden
// files keep.
package billing
