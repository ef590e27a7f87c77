// Package integration holds the tests that need a whole Caddy: what each
// Caddyfile becomes (testdata/adapt), what each wrong one is answered with
// (testdata/wrong), and what loading a configuration may and may not touch.
//
// The expected texts are files. After a wanted change rewrite them and read the
// difference:
//
//	go test ./caddymodule/integration -update
//
// It decides nothing, and no other package may import it.
package integration
