package regions

// Reason says why an invocation runs where it runs: a code of the closed list
// of contract 2.7, sent as x-sb-region-reason.
type Reason string

// The reasons that are given.
const (
	ReasonExplicit     Reason = "explicit"      // the caller named this region
	ReasonExplicitList Reason = "explicit_list" // the caller named several, this is one of them
	ReasonNearest      Reason = "nearest"       // first by score
	ReasonFailover     Reason = "failover"      // a better region is down or failed
	ReasonDefault      Reason = "default"       // the gateway's place is unknown: configuration order
	ReasonFailOpen     Reason = "fail_open"     // every region is down; the first one was tried all the same
	ReasonSpill        Reason = "spill"         // a better region is full
	ReasonDrain        Reason = "drain"         // a better region is being drained
)

// Candidate is a region that may run an invocation.
type Candidate struct {
	Region *Region
	// Reason holds when the region runs the invocation.
	Reason Reason
	// Spill says that the region may take a call for which a better one has no
	// room, though that one works.
	Spill bool
}

// Plan says where an invocation may run, best first. It is decided before
// anything is sent; Transport carries it out.
type Plan struct {
	Candidates []Candidate // at least one
	// Strict plans never leave the regions that the caller named
	// (contract 2.3, 2.5).
	Strict bool
	// Full says that every candidate that may be used is: the first one is
	// waited for, for a moment.
	Full bool
	// Unavailable says that no candidate may be asked: they are named to the
	// caller only (contract 2.5).
	Unavailable bool
}

// First returns the region that a refusal names: the nearest, or the first one
// asked for.
func (p Plan) First() *Region { return p.Candidates[0].Region }
