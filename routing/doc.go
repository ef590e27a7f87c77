// Package routing decides what a request is, whether it may pass, and where it
// may run.
//
//	pipeline := routing.NewPipeline(catalogue, network, routing.Settings{})
//	var inv routing.Invocation
//	if refusal := pipeline.Admit(request, routing.Site{}, &inv); refusal != nil {
//		// answer with refusal.Status and refusal.Body()
//	}
//	// else carry out inv.Plan
//
// It sees a neutral view of a request and returns values. It never writes a
// response, opens a connection or knows the server in front of it. The order of its
// checks is the order of contract 3.16 to 3.31: a security and billing invariant,
// kept in this one place.
package routing
