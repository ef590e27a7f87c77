// Package manual holds the test of what the papers print: README.md,
// SECURITY.md, every page of docs, and the comments of configs. Each fenced
// block has a class, given by its language and, where that is not enough, by a
// rule in the tables of this package; a block or command without one fails.
//
// Caddyfiles are validated by the real binary, fragments inside a wrapper.
// Commands run in the order of their page, in a directory of the page's own,
// against gateways, a Redis and Deno functions that the test starts, and what
// the page prints below a command is compared with what it said. Commands that
// cannot run in a test have a rule with the reason; of those the names are
// looked up: commands and flags, files, make targets, packages and tests.
//
// It judges the papers and decides nothing. The tests have the build tag e2e
// and need what the end-to-end suite needs.
package manual
