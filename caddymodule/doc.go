// Package caddymodule is the glue between Caddy and the gateway: the app
// edge_functions, which holds the configuration and the state that outlives
// it, the HTTP handler of the same name, their Caddyfile syntax and the admin
// API.
//
// It takes no decisions. What a request is and whether it may pass is decided
// by package routing; where it runs and how it gets there by package regions.
package caddymodule
