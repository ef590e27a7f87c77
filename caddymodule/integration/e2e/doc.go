// Package e2e holds the end-to-end suite: the real binary in front of real Deno processes, one per region, driven by
// supabase-js, ws, curl, plain HTTP and raw sockets. It judges only what a client or a backend can see on the wire, in
// the terms of docs/contract.md, whose numbers its tests quote; it knows nothing of the inside and
// decides nothing itself.
//
// The tests have the build tag e2e, since they need Node 20 or later, curl and the packages of package-lock.json:
//
//	npm ci && go test -tags e2e -count 1 .
//
// They fail, and never skip, when one of these is missing. They run on Linux (/proc is read, children die with the
// test process).
package e2e
