package routing

import (
	"fmt"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/projects"
)

// allowedMethods is the Allow header of 405 (contract 5.8).
const allowedMethods = "GET, POST, PUT, PATCH, DELETE, OPTIONS"

// Projects looks projects up by host. It must be safe for concurrent use.
type Projects interface {
	Find(host string) (projects.Match, bool)
	// Ready reports whether it is known which projects there are.
	Ready() bool
	// Many reports whether there is more than one project.
	Many() bool
}

// Pipeline decides over requests in the fixed order of contract 3.16 to 3.31.
// It is immutable and safe for concurrent use.
type Pipeline struct {
	projects Projects
	network  *regions.Network
	planner  *plan.Planner
	settings Settings
	anywhere *cors.Policy // for sites without a policy
	built    time.Time    // when the configuration was loaded
}

// NewPipeline returns the pipeline of a gateway in front of the regions of
// network.
func NewPipeline(catalogue Projects, network *regions.Network, settings Settings) *Pipeline {
	if settings.IdleTimeout == 0 {
		settings.IdleTimeout = DefaultIdleTimeout
	}
	if settings.CapacityShare == 0 {
		settings.CapacityShare = DefaultCapacityShare
	}
	anywhere, err := cors.New(cors.Config{})
	if err != nil {
		panic(err) // the zero policy is valid
	}
	return &Pipeline{
		projects: catalogue,
		network:  network,
		planner:  plan.New(settings.Nearest),
		settings: settings,
		built:    time.Now(),
		anywhere: anywhere,
	}
}

// Admit decides whether the request may pass and where it may run. It fills
// inv as far as it comes; nil means that inv is complete.
func (p *Pipeline) Admit(r *Request, site Site, inv *Invocation) *Refusal {
	inv.ID = NewRequestID(r.Start)
	inv.Origin = cors.Origin(r.Header)
	preflight := cors.IsPreflight(r.Method, r.Header)
	match, refusal := p.callee(r, site, inv)
	if preflight && (refusal != nil || inv.OwnCORS()) {
		// Also where the call would be refused: a failed preflight would hide the
		// reason from the page (contract 4.7).
		inv.Answer = AnswerPreflight
		return nil
	}
	if refusal != nil {
		return refusal
	}
	if refusal := checkMethod(r.Method); refusal != nil {
		return refusal
	}
	if refusal := clientLimited(r, inv); refusal != nil {
		return refusal
	}
	if r.Method == http.MethodOptions && inv.OwnCORS() {
		inv.Answer, inv.Allow = AnswerOptions, allowedMethods
		return nil
	}
	p.setLimits(r, inv)
	p.answerPolicy(r, match, site, inv)
	if preflight {
		inv.Preflight = true
		if refusal := p.place(r, inv); refusal != nil {
			return refusal
		}
		return enter(r, inv)
	}
	if refusal := authenticate(r, inv); refusal != nil {
		return refusal
	}
	if inv.Limits.MaxBody > 0 && r.ContentLength > inv.Limits.MaxBody {
		return p.tooLarge(inv)
	}
	planRefusal := p.place(r, inv)
	if planRefusal != nil && planRefusal.Status == http.StatusBadRequest {
		return planRefusal
	}
	if refusal := upgradable(r, inv); refusal != nil {
		return refusal
	}
	if refusal := restricted(r, inv); refusal != nil {
		return refusal
	}
	if inv.Function.Status == projects.StatusThrottled {
		return throttled()
	}
	if refusal := limited(r, inv); refusal != nil {
		return refusal
	}
	if planRefusal != nil {
		return planRefusal
	}
	if refusal := enter(r, inv); refusal != nil {
		return refusal
	}
	return take(r, inv)
}

// callee finds the project and the function that are called, and the CORS policy
// for the answer.
func (p *Pipeline) callee(r *Request, site Site, inv *Invocation) (projects.Match, *Refusal) {
	inv.Exposed[0] = site.Exposed
	if inv.CORS = site.CORS; inv.CORS == nil {
		inv.CORS = p.anywhere
	}
	match, ok := p.projects.Find(r.Host)
	if !ok {
		return match, p.unknownHost()
	}
	inv.Project = match.Project
	inv.Exposed[1] = match.Project.Exposed
	if match.Project.CORS != nil {
		inv.CORS = match.Project.CORS
	}
	refusal := p.address(r, match, inv)
	if inv.Function != nil {
		inv.Exposed[2] = inv.Function.Exposed
	}
	return match, refusal
}

// unknownHost is the answer to a host without a project: 404 (contract 1.7), or 503
// until the projects are loaded.
func (p *Pipeline) unknownHost() *Refusal {
	if p.projects.Ready() {
		return refuse(http.StatusNotFound, CodeProjectNotFound, "Requested project was not found")
	}
	refusal := refuse(http.StatusServiceUnavailable, CodeProjectsUnavailable, "The projects are not known yet")
	refusal.RetryAfter = unavailableRetry
	return refusal
}

// throttled is the answer of a function that the operator throttled.
func throttled() *Refusal {
	refusal := refuse(http.StatusTooManyRequests, CodeRateLimitExceeded, "Function is throttled")
	refusal.RetryAfter = throttledRetry
	return refusal
}

// address finds the function and the path inside it: 404 before 400.
func (p *Pipeline) address(r *Request, match projects.Match, inv *Invocation) *Refusal {
	path, query := SplitTarget(r.Target)
	backendPath, slug, ok := functionPath(path, match.HostForm)
	if ok {
		inv.Slug = slug // also where there is no such function: who looks into the refusal must know which one was called
		inv.Function, ok = match.Project.Function(slug)
	}
	if !ok {
		inv.Function = nil
		return refuse(http.StatusNotFound, CodeNotFound, "Requested function was not found")
	}
	if !validHost(r.Host) {
		return refuse(http.StatusBadRequest, CodeInvalidURL, "The host is not valid")
	}
	if breaksRequestLine(backendPath) || breaksRequestLine(query) {
		return refuse(http.StatusBadRequest, CodeInvalidURL, "The URL must not contain spaces, control characters or #")
	}
	if escapesFunction(backendPath[1+len(slug):]) {
		return refuse(http.StatusBadRequest, CodeInvalidURL, "The path must stay inside the function")
	}
	if !validTrailers(r) {
		return refuse(http.StatusBadRequest, CodeInvalidRequest, "The Trailer header is invalid")
	}
	// Not backendPath + query, which would be copied: they end the target.
	inv.Target = r.Target[len(r.Target)-len(backendPath)-len(query):]
	return nil
}

func checkMethod(method string) *Refusal {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return nil
	}
	refusal := refuse(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "Method not allowed")
	refusal.Allow = allowedMethods
	return refusal
}

func authenticate(r *Request, inv *Invocation) *Refusal {
	userAgent := ""
	if values := r.Header.Values("User-Agent"); len(values) > 0 {
		userAgent = values[0]
	}
	token, keys := otherCredentials(r, inv.Function)
	identity, failure := inv.Project.Auth.Check(auth.Credentials{
		Authorization: r.Header.Values("Authorization"),
		APIKey:        r.Header.Values("Apikey"),
		Token:         token,
		URLKeys:       keys,
		Browser:       auth.FromBrowser(r.Header.Values("Origin"), r.Header.Values("Sec-Fetch-Site"), userAgent),
	}, inv.Function.VerifyJWT, r.Start)
	if failure != nil {
		return unauthorized(failure)
	}
	inv.Identity = identity
	return nil
}

// setLimits sets the invocation's limits: the function's, else the project's, else
// the gateway's.
func (p *Pipeline) setLimits(r *Request, inv *Invocation) {
	inv.Limits = regions.Limits{
		Idle:      p.settings.IdleTimeout,
		MaxBody:   p.settings.MaxBody,
		WallClock: inv.Project.WallClock,
		Start:     r.Start,
	}
	if inv.Project.MaxBody > 0 {
		inv.Limits.MaxBody = inv.Project.MaxBody
	}
	if inv.Function.WallClock > 0 {
		inv.Limits.WallClock = inv.Function.WallClock
	}
}

func (p *Pipeline) tooLarge(inv *Invocation) *Refusal {
	return refuse(http.StatusRequestEntityTooLarge, CodePayloadTooLarge,
		fmt.Sprintf("Request body exceeds the limit of %d bytes", inv.Limits.MaxBody))
}

// answerPolicy decides on the restrictions of answers on shared domains. The
// function's html option overrides the site's.
func (p *Pipeline) answerPolicy(r *Request, match projects.Match, site Site, inv *Invocation) {
	keep := site.KeepHTML
	if inv.Function.HTML != projects.HTMLBySite {
		keep = inv.Function.HTML == projects.HTMLKeep
	}
	inv.SharedHost = match.Shared && !keep
	inv.PlainHTML = inv.SharedHost && r.Method == http.MethodGet
}
