// Package routing decides what a request is, whether it may pass, and where
// it may go.
//
// It sees a neutral view of a request and returns values; it never writes a
// response, opens a connection or knows the server in front of it. The order
// of its checks is the order of contract 3.16 to 3.31: a security and billing
// invariant, kept in one place for every front door.
package routing
