// Package usage makes lines of what was used, with their prices: one for each
// hour, project, function and region. It decides what is billed; what was used
// it is told by ratelimit/metering.
package usage
