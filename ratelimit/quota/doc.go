// Package quota decides how much of an organization's quota may be used in a
// billing period.
//
// A hard quota is exact by escrow: what may be used is granted beforehand by an
// [Authority] that all gateways share, and an invocation takes from what its
// gateway was granted. No request waits for the authority but where nothing is
// left here. How much was used is the ledger's to say (package metering); this
// package knows neither requests nor regions.
package quota
