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

// ordinaryRegions is how many regions a gateway may have before a plan costs an
// allocation.
const ordinaryRegions = 16

// Invocation is what Admit found out about a request. On a refusal the fields
// decided before it are set, so that the answer can carry them.
type Invocation struct {
	ID       string // sb-request-id
	Project  *projects.Project
	Function *projects.Function
	Slug     string // as called; differs from Function.Slug under the wildcard
	Target   string // raw path and query for the backend, /<slug>[/rest][?query]

	Origin  string          // the request's Origin, "" without one
	CORS    *cors.Policy    // the policy in force, never nil
	Exposed [3]cors.Exposed // by the site, the project and the function (contract 4.5)
	Answer  Answer          // what the gateway answers itself without refusing, AnswerNone if it does not
	Allow   string          // of AnswerOptions: the methods

	// Preflight says that it is a preflight that goes to the function: without a
	// body, and it does not count (contract 4.1).
	Preflight bool

	Identity auth.Identity
	Hint     regions.Hint
	Plan     regions.Plan
	Tenant   capacity.Tenant // whose room in a region it takes
	Socket   bool            // a WebSocket, which has room of its own
	Limits   regions.Limits

	candidates [ordinaryRegions]regions.Candidate // of Plan, if they fit

	// SharedHost says that answers are restrained as on hosts that functions of
	// several people share, and PlainHTML that HTML becomes text there besides
	// (contract 6.3, 6.4).
	SharedHost bool
	PlainHTML  bool
}

// Answer is an answer of the gateway that is no refusal: 204.
type Answer uint8

const (
	// AnswerNone leaves the answer to the function.
	AnswerNone Answer = iota
	// AnswerPreflight is that to a CORS preflight (contract 4.2, 4.7).
	AnswerPreflight
	// AnswerOptions is that to any other OPTIONS of a function in mode `cors auto`
	// (contract 4.2).
	AnswerOptions
)

// OwnCORS reports whether the gateway adds its CORS headers to answers of the
// function (contract 4.1).
func (inv *Invocation) OwnCORS() bool {
	return inv.Function != nil && inv.Function.CORS == projects.CORSAuto
}

// Callee returns whose code is called, as far as blame depends on it
// (contract 9.2). A project that nobody pays for is an owner by itself, and
// all slugs under a wildcard are one function: clients choose them.
func (inv *Invocation) Callee() regions.Callee {
	owner := inv.Project.Ref
	if o := inv.Project.Organization; o != nil {
		owner = o.ID
	}
	return regions.Callee{Owner: owner, Project: inv.Project.Ref, Function: inv.Function.Slug}
}

// Site is what the site's block says, for all projects that it answers for.
type Site struct {
	CORS     *cors.Policy // nil: any origin
	Exposed  cors.Exposed // the option expose
	KeepHTML bool         // html keep
}

// Settings are what the global block says.
type Settings struct {
	IdleTimeout time.Duration // contract 6.1; 0 means DefaultIdleTimeout
	MaxBody     int64         // bytes; 0 means no limit
	Nearest     plan.Policy   // how a region is chosen
	// CapacityShare is how much of a region's capacity one of many projects may
	// hold, in percent; 0 means DefaultCapacityShare (contract 9.6).
	CapacityShare int64
}

// DefaultCapacityShare keeps room for the small and wastes little of what one
// large project could use, in percent.
const DefaultCapacityShare = 80

// DefaultIdleTimeout is the hosted platform's (contract 6.1).
const DefaultIdleTimeout = 150 * time.Second
