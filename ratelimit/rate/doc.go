// Package rate decides how fast requests may come, and how many may run at once.
//
// A [Limit] is a token bucket by the generic cell rate algorithm. A [Limiter] has the
// buckets of one gateway; with [SharedTokens] gateways have them together, in Redis.
// [InFlight] counts calls that run. Which limits a request is under, and what its
// keys are, its caller decides: the package knows neither requests nor regions.
//
//	limit := &rate.Limit{Name: "client_ip", Count: 100, Window: time.Minute}
//	if !limit.Prepare() { ... } // not in range
//	limiter := rate.NewLimiter()
//	defer limiter.Close()
//	passes := limiter.Take([]*rate.Limit{limit}, []rate.Key{{Policy: limit.Name, Address: address}}, states)
package rate
