// Package metering is the ledger: a log with one record for each invocation,
// written before the function is called. It decides the layout of a record, where
// records are stored, when they are safe, and how they add up to sums by hour and
// billing period. It knows neither prices nor quotas.
//
// Open a ledger, look up the numbers of a subject and a region, and record:
//
//	ledger, err := metering.Open(metering.Config{Dir: dir})
//	subject, err := ledger.Subject(metering.Subject{Organization: "acme", Project: "shop", Function: "hello"})
//	region, err := ledger.Region("eu")
//	call := metering.Invocation{Subject: subject, Region: region, At: ledger.Now()}
//	seq, err := ledger.Admit(call) // then send the request
//	err = ledger.Done(seq, call, metering.Ending{Status: 200})
//
// [Ledger.Usage] returns the sums. A [Mirror] copies them to Redis, where other
// gateways read them.
//
// Records lie in memory that is mapped to a file: they survive the end of the
// process from the moment that Admit returns. What a power loss can take is
// bounded by the sync mode, see [Sync].
//
// A ledger directory holds one instance log for each process that ever wrote to
// it (inst/ID): segments (wal), archives of full segments (archive), the names
// behind the numbers (dict.seg) and the sums up to some record (checkpoint.db).
package metering
