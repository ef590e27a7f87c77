// Package redistest starts real Redis servers for tests: one, a master with
// replicas and sentinels, or a cluster. All listen on loopback alone, keep
// nothing on disk but in the test's directory, and end with the test, also
// when it fails.
//
// [Scripted] alone is no real server: it gives the answers that a unit test says.
//
// It decides nothing about the product, which must not import it
// (caddymodule/archrules_test.go). Tests that start real servers have the build tag
// e2e, since a machine with nothing but Go has no redis-server; where it is missing
// they fail and say what to install.
package redistest
