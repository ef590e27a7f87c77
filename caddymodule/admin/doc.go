// Package admin serves the admin API of a gateway below /edge_functions/, which the
// command line and operators ask. It is the module admin.api.edge_functions.
//
// It decides paths, methods, parameters and the status of errors. It does not decide
// what is answered: an endpoint parses the question, calls the gateway or the billing
// engine, and encodes the answer, whose type is theirs.
//
// To add an endpoint, write a handler in a file of its own, and add a row to the
// table endpoints (api.go).
//
//	curl localhost:2019/edge_functions/status
package admin
