// Package metering is the record of what was used: a log with one record for
// each invocation, written before a function is called. It decides what a record
// is, where it lies and when it is safe; it knows nothing of prices, and of
// quotas only the revision of the grant that a record was admitted under.
//
// A record is in memory that is shared with the kernel as soon as Append
// returns: the end of the process, however it comes, loses none. What the end of
// the machine may lose is bounded by when Sync was last called.
package metering
