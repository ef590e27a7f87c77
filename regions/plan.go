package regions

// Reason is why a region was chosen for an invocation: a code of the closed list
// of contract 2.7, sent as x-sb-region-reason.
type Reason string

// The reasons.
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
	// Reason is the reason to report if the region runs the invocation.
	Reason Reason
	// Spill allows the region to take a call for which a better, healthy one has
	// no room.
	Spill bool
}

// Plan lists the regions that may run an invocation, best first. It is made before
// anything is sent (package routing/plan), and Transport carries it out.
type Plan struct {
	Candidates []Candidate // at least one
	// Strict plans never leave the regions that the caller named
	// (contract 2.3, 2.5).
	Strict bool
	// Full is true if no usable candidate has room: the first one is waited for,
	// for a moment.
	Full bool
	// Unavailable is true if no candidate may be asked: they are only named to the
	// caller (contract 2.5).
	Unavailable bool
}

// First returns the region to name in a refusal: the nearest, or the first one the
// caller asked for.
func (p Plan) First() *Region { return p.Candidates[0].Region }
