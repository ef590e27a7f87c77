// Package billing is the engine that counts and bills what organizations use.
//
// An Engine owns the instance log (package metering), the quotas (package
// quota), the line items (package usage) and their delivery to exporters. It
// lives longer than a configuration: no reload loses a unit. It decides
//
//   - when a request becomes an invocation, and what is counted of the others,
//   - under which name a function is counted that a wildcard matched,
//   - when an hour is final, and at which price it is billed,
//   - when exporters are told, in whose turn, and how long they are left alone
//     after failures,
//   - for how long a refused call makes the log or the quotas count as down.
//
// It does not decide who may call what, where functions run, nor what plans are
// called: the configuration in force tells it by a Catalogue whom there is to
// bill, and by Settings where it is shared. It knows no HTTP.
//
// The types with JSON tags are the answers and orders of the admin API. The command
// line decodes the same types: their names, order and types are a contract that golden
// files keep.
//
//	engine := billing.NewEngine("/var/lib/edgegate")
//	if err := engine.Start(billing.Settings{}); err != nil {
//		return err
//	}
//	defer engine.Close()
//	engine.Use(catalogue)
//
//	request := engine.Receive()
//	if err := request.Take(ctx, "acme", &allowance); err != nil {
//		request.Refused(subject, http.StatusPaymentRequired)
//		return request.Finish(metering.Ending{})
//	}
//	if err := request.Send(&dispatch); err != nil { // recorded, or not sent
//		...
//	}
//	return request.Finish(ending)
package billing
