// Package redisconn is the gateway's way to Redis: one address for a single
// server, Sentinel or Cluster, a client with the options that a proxy needs,
// and neutral calls on hashes and changes for the other rooms.
//
// It decides how Redis is reached, how long a call may take and when a watch
// has lost its server. It does not decide what keys mean, when to try again
// after an error, nor what happens while Redis is away: its callers do. It
// logs nothing itself.
//
// Every call ends with its context's deadline (which the library ignores
// unless told) and after Config.ReadTimeout at the latest. No write is ever
// sent twice: a write that timed out may have been done.
package redisconn
