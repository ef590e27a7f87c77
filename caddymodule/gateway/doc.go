// Package gateway is the glue between Caddy and the gateway: the app
// edge_functions, which holds the configuration and the state that outlives
// it, the HTTP handler of the same name, and their Caddyfile syntax.
//
// Package routing decides whether a request is admitted, package regions where it runs
// and how it is sent there, and the packages below ratelimit how much it may use.
package gateway
