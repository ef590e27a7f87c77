package routing

import (
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/projects"
)

// ordinaryRegions is the number of regions up to which a plan needs no allocation.
const ordinaryRegions = 16

// Invocation is the result of Admit. On a refusal the fields decided before it are
// set, so that the answer can carry them.
type Invocation struct {
	ID       string // sb-request-id
	Project  *projects.Project
	Function *projects.Function
	Slug     string // as called, also if there is no such function; differs from Function.Slug under the wildcard
	Target   string // raw path and query for the backend, /<slug>[/rest][?query]

	Origin  string          // the request's Origin, "" without one
	CORS    *cors.Policy    // the policy in force, never nil
	Exposed [3]cors.Exposed // by the site, the project and the function (contract 4.5)
	Answer  Answer          // an answer by the gateway itself that is no refusal, else AnswerNone
	Allow   string          // of AnswerOptions: the methods

	// Preflight is true for a preflight that goes to the function. It has no body,
	// and does not count (contract 4.1).
	Preflight bool

	Identity auth.Identity
	Hint     regions.Hint
	Plan     regions.Plan
	Tenant   capacity.Tenant // takes a place in a region
	Socket   bool            // a WebSocket: takes a place among those
	Limits   regions.Limits

	candidates [ordinaryRegions]regions.Candidate // of Plan, if they fit

	// SharedHost is true if answers are restricted as on hosts that several owners
	// share, PlainHTML if HTML becomes plain text there (contract 6.3, 6.4).
	SharedHost bool
	PlainHTML  bool
}

// Answer is the kind of a 204 by the gateway itself.
type Answer uint8

const (
	// AnswerNone leaves the answer to the function.
	AnswerNone Answer = iota
	// AnswerPreflight answers a CORS preflight (contract 4.2, 4.7).
	AnswerPreflight
	// AnswerOptions answers any other OPTIONS of a function in mode `cors auto`
	// (contract 4.2).
	AnswerOptions
)

// OwnCORS reports whether the gateway adds its CORS headers to answers of the
// function (contract 4.1).
func (inv *Invocation) OwnCORS() bool {
	return inv.Function != nil && inv.Function.CORS == projects.CORSAuto
}

// Callee returns the function that is called, to blame for broken connections
// (contract 9.2). A project without an organization is an owner by itself, and all
// slugs under a wildcard are one function: clients choose them.
func (inv *Invocation) Callee() regions.Callee {
	owner := inv.Project.Ref
	if o := inv.Project.Organization; o != nil {
		owner = o.ID
	}
	return regions.Callee{Owner: owner, Project: inv.Project.Ref, Function: inv.Function.Slug}
}

// Site has the options of a site's block, for all projects that it serves.
type Site struct {
	CORS     *cors.Policy // nil: any origin
	Exposed  cors.Exposed // the option expose
	KeepHTML bool         // html keep
}

// Settings has the options of the global block.
type Settings struct {
	IdleTimeout time.Duration // contract 6.1; 0 means DefaultIdleTimeout
	MaxBody     int64         // bytes; 0 means no limit
	Nearest     plan.Policy   // how a region is chosen
	// CapacityShare is the part of a region's capacity that one of many projects may
	// hold, in percent; 0 means DefaultCapacityShare (contract 9.6).
	CapacityShare int64
}

// DefaultCapacityShare is in percent. It keeps room for small projects and wastes
// little of the capacity that one large project could use.
const DefaultCapacityShare = 80

// DefaultIdleTimeout is that of the hosted platform (contract 6.1).
const DefaultIdleTimeout = 150 * time.Second
