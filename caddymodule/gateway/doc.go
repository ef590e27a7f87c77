// Package gateway is the glue between Caddy and the gateway: the app
// edge_functions, which holds the configuration and the state that outlives
// it, the HTTP handler of the same name, and their Caddyfile syntax.
//
// What a request is and whether it may pass is decided by package routing; where
// it runs and how it gets there by package regions; how much it may use by the
// packages below ratelimit.
package gateway
