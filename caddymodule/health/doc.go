// Package health says whether a gateway serves (live) and whether new calls should be
// sent to it (ready), to load balancers, orchestrators and commands, and takes a
// gateway out of service gradually.
//
// It decides which conditions make a gateway not ready, how long an answer of the
// checks holds, and what happens in which order when a gateway is drained. It does not
// find out the conditions: the gateway hands them over as [Checks]. [State] outlives
// configurations; [Handler] is the module http.handlers.edge_functions_health.
package health
