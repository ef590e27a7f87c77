// Package exporters has the modules that line items of usage go to: files (`export
// file`), an HTTP endpoint (`export webhook`) and Stripe's billing meters (`export
// stripe`).
//
// A module decides how it is configured and what of its options is unsafe. The
// engine (ratelimit/billing) decides when it is told something, and again after a
// failure; what is sent, and how an answer is read, is in the packages below
// ratelimit/usage.
//
// Other exporters are Caddy modules in the namespace edge_functions.exporters that
// implement gateway.Exporter; see the example.
package exporters
