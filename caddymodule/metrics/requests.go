package metrics

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

// Ended is what is counted of a request at its end.
type Ended struct {
	// Region and Reason are empty for a request for which no region was chosen.
	Region  string
	Reason  regions.Reason
	Outcome string // contract 8.19
	Status  int    // that the client got; 0 if the connection ended before any
	// Attempts counts the requests to backends.
	Attempts int

	// Duration is from the request's arrival to the last byte of its answer.
	Duration time.Duration
	// Own is from its arrival until it was handed to a backend, or answered by the
	// gateway itself.
	Own time.Duration
	// Backend is from then until the head of the answer; 0 if there was no attempt.
	Backend time.Duration
	// Socket is true for a WebSocket: it lasts as long as its client likes, so its
	// times are not counted.
	Socket bool

	// Project is empty where no project was called.
	Project string
	// Code is the error code of a refusal; empty for other answers.
	Code string
	// Checked is true once credentials were judged: Method says by what they were
	// accepted, Failure why they were not.
	Checked bool
	Method  auth.Method
	Failure error
}

// none is the label of what a request lacks: a region, a reason, a status.
const none = "none"

// other is the label of what no list has. Nothing that callers choose becomes a label.
const other = "other"

// The values of labels. Each list is closed, so that the number of series is bounded;
// a test compares them with the sources.
var (
	reasons = [...]string{
		none, string(regions.ReasonExplicit), string(regions.ReasonExplicitList), string(regions.ReasonNearest),
		string(regions.ReasonFailover), string(regions.ReasonDefault), string(regions.ReasonFailOpen),
		string(regions.ReasonSpill), string(regions.ReasonDrain), other,
	}
	outcomes = [...]string{"complete", "backend_cut", "client_gone", "timed_out", "refused", "reloaded", other}
	classes  = [...]string{none, "1xx", "2xx", "3xx", "4xx", "5xx"}
	codes    = [...]string{
		"PROJECTS_UNAVAILABLE", "INVALID_REGION", "INVALID_URL", "INVALID_REQUEST",
		"NOT_FOUND", "PROJECT_NOT_FOUND", "METHOD_NOT_ALLOWED", "REQUEST_TIMEOUT",
		"PAYLOAD_TOO_LARGE", "BACKEND_ERROR", "UPGRADE_UNSUPPORTED", "REGION_UNAVAILABLE",
		"RATE_LIMIT_EXCEEDED", "GATEWAY_OVERLOADED", "IDLE_TIMEOUT", "WORKER_RESOURCE_LIMIT",
		"EDGE_FUNCTION_ERROR", "PROJECT_RESTRICTED", "METERING_UNAVAILABLE", "INVALID_RESPONSE_STATUS_CODE",
		auth.CodeNoAuthHeader, auth.CodeInvalidFormat, auth.CodeLegacyJWT, auth.CodeAsymmetricJWT,
		auth.CodeUnsupportedAlgorithm, auth.CodeInvalidAPIKey, auth.CodeSecretInBrowser, other,
	}
)

// indexOf returns the place of a value in a list; the last one's if it is not there.
func indexOf(list []string, value string) int {
	if i := slices.Index(list, value); i >= 0 {
		return i
	}
	return len(list) - 1
}

// classOf returns the place of a status in classes.
func classOf(status int) int {
	if class := status / 100; class >= 1 && class < len(classes) {
		return class
	}
	return 0
}

// Requests counts the requests of a process and their times. It outlives
// configurations, and is safe for concurrent use.
type Requests struct {
	credentials [len(judgements)]atomic.Uint64
	codes       [len(codes)]atomic.Uint64
	projects    projectCounts

	mu      sync.Mutex // guards regions
	regions map[string]*regionRequests
}

// regionRequests are the counts of one region.
type regionRequests struct {
	name                string
	counts              [len(reasons)][len(outcomes)][len(classes)]atomic.Uint64
	retries             atomic.Uint64
	whole, backend, own histogram
}

// NewRequests returns counts of 0.
func NewRequests() *Requests { return &Requests{regions: make(map[string]*regionRequests)} }

// in returns the counts of a region.
func (r *Requests) in(region string) *regionRequests {
	if region == "" {
		region = none
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.regions[region]
	if counts == nil {
		counts = &regionRequests{name: region}
		counts.whole.bounds, counts.backend.bounds, counts.own.bounds = callBounds, callBounds, ownBounds
		r.regions[region] = counts
	}
	return counts
}

// all returns the counts of all regions, by their names.
func (r *Requests) all() []*regionRequests {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*regionRequests, 0, len(r.regions))
	for _, name := range slices.Sorted(maps.Keys(r.regions)) {
		list = append(list, r.regions[name])
	}
	return list
}

// TopProjects sets how many of the busiest projects have series of their own; 0 for
// none, which ends those that are there.
func (r *Requests) TopProjects(n int) { r.projects.keep(n) }

// Counter counts the requests of one configuration. Nil counts nothing.
type Counter struct {
	requests *Requests
	regions  map[string]*regionRequests // never changed
}

// Counter returns a counter for requests of regions. Their counts go on over
// configurations.
func (r *Requests) Counter(names []string) *Counter {
	c := &Counter{r, make(map[string]*regionRequests, len(names)+1)}
	for _, name := range append(names, "") {
		c.regions[name] = r.in(name)
	}
	return c
}

// Count counts a request that has ended. It allocates nothing.
func (c *Counter) Count(e *Ended) {
	if c == nil {
		return
	}
	in := c.regions[e.Region]
	if in == nil {
		in = c.requests.in(e.Region)
	}
	reason := 0
	if e.Reason != "" {
		reason = indexOf(reasons[:], string(e.Reason))
	}
	class := classOf(e.Status)
	in.counts[reason][indexOf(outcomes[:], e.Outcome)][class].Add(1)
	if e.Attempts > 1 {
		in.retries.Add(uint64(e.Attempts - 1))
	}
	if !e.Socket {
		in.whole.observe(e.Duration)
		in.own.observe(e.Own)
		if e.Attempts > 0 {
			in.backend.observe(e.Backend)
		}
	}
	if e.Code != "" {
		c.requests.codes[indexOf(codes[:], e.Code)].Add(1)
	}
	if e.Checked {
		c.requests.credentials[judgementOf(e.Method, e.Failure)].Add(1)
	}
	if e.Project != "" {
		c.requests.projects.count(e.Project, class, e.Duration, e.Socket)
	}
}
