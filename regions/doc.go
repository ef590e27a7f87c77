// Package regions knows where the regions are, how far they are from one
// another, and which servers run functions in each. It parses the configured
// backends, orders the configured regions for a place by their expected round
// trip, and reads which regions a client asks for.
//
// It does not decide whether an invocation may pass, nor what a client is told
// when it may not: package routing does. It knows nothing of projects,
// functions, limits or metering but names to tell whose code a request runs, and but for its transport and its probes it
// opens no connection. It imports the standard library only.
package regions
