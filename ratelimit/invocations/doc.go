// Package invocations answers questions about single invocations from the records of
// the ledger: which ones failed, were slow, or run now ([List], [Follower]). What the
// ledger does not have, the requests that were refused, is kept in memory ([Refusals]).
//
// It decides what is asked ([Query]) and how an answer looks ([Invocation]). It does
// not decide what a record holds and where records are: package metering does. It
// reads files while they are written, holds no lock of the ledger, and needs the memory
// of one file of records, however many there are.
//
//	answer, err := invocations.List(ctx, ledger.RecordLogs(), nil, invocations.Query{Function: "hello", Limit: 20})
package invocations
