// Package dnstest is a name server for tests. It answers what a test tells it to, over
// UDP and TCP on loopback; it resolves nothing by itself.
package dnstest
