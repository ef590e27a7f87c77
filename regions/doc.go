// Package regions knows the configured regions, watches the health of their
// backends, ranks them, and carries out a plan: its Transport sends a request to
// one candidate after the other until a backend answers.
//
//	set, err := regions.NewSet(list)                       // configured regions
//	network := regions.NewNetwork(regions.NetworkConfig{Set: set, States: states})
//	network.Apply(nil, nil)
//	go network.Run(ctx)                                    // probes
//	view := network.View()                                 // what is known now
//	exchange, ctx := regions.Begin(ctx, plan, limits)      // one invocation
//	defer exchange.End()
//	res, err := transport.RoundTrip(req.WithContext(ctx))
//
// It does not choose a region for an invocation (package routing/plan does),
// nor decide whether it may pass or what a client is told when it may not
// (package routing does). Of projects and functions it knows names only, to
// tell whose code broke a connection. Package geo has places and expected round
// trips, package capacity the places in a region, package locate finds clients.
//
// Its breaker is github.com/sony/gobreaker, its HTTP/2 golang.org/x/net/http2.
package regions
