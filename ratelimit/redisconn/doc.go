// Package redisconn decides how Redis is reached: by one URL for a single server,
// Sentinel or Cluster ([Parse]), with the options that a proxy needs ([Open]), how
// long a call may take, and when a watch has lost its server ([Conn.Watch]). Calls are
// on hashes, scripts and changes.
//
// It does not decide what keys mean, when a call is made again after an error, nor
// what happens while Redis is away. It logs nothing; [SetLogger] has what the library
// underneath logs.
//
// Each command ends with its context, and a timeout after it was sent at the latest
// (Config.ReadTimeout). A write that timed out may have been done. It is sent once; but
// in a cluster the library sends it again, so writes are of values that may be written
// twice.
//
//	config, err := redisconn.Parse("redis://:PASSWORD@HOST:6379/1")
//	conn, err := redisconn.Open(config)
//	defer conn.Close()
//	fields, err := conn.HashAll(ctx, "edge:{projects}:projects")
package redisconn
