package routing

import (
	"net/http"
	"testing"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/projects"
)

// hosts is a catalogue that knows some hosts only, as those with many projects
// do.
type hosts map[string]projects.Match

func (h hosts) Ready() bool { return h != nil }

func (h hosts) Many() bool { return len(h) > 1 }

func (h hosts) Find(host string) (projects.Match, bool) {
	match, ok := h[host]
	return match, ok
}

// BEHAVIOUR section 3: the order is a security and billing invariant. The
// request is wrong in every way at once; each step mends what the answer named.
func TestOrder(t *testing.T) {
	f := newFixture()
	f.catalogue = hosts{sharedHost: {Project: f.project(t), Shared: true}}
	p := f.pipeline(t)
	r := request("/functions/v1/nobody/..", "X-Region", "mars", "Apikey", "sb_publishable_unknown")
	r.Host, r.Method, r.ContentLength = "elsewhere.test", "TRACE", testMaxBody+1

	refused(t, p, r, 404, CodeProjectNotFound)
	r.Host = sharedHost
	refused(t, p, r, 404, CodeNotFound)
	r.Target = "/functions/v1/hello/.."
	refused(t, p, r, 400, CodeInvalidURL)
	r.Target = "/functions/v1/hello"
	refused(t, p, r, 405, CodeMethodNotAllowed)
	r.Method = http.MethodPost
	refused(t, p, r, 401, auth.CodeInvalidAPIKey)
	r.Header.(http.Header).Del("Apikey")
	refused(t, p, r, 401, auth.CodeNoAuthHeader)
	r.Header.(http.Header).Set("Authorization", "Bearer "+goodToken())
	refused(t, p, r, 413, CodePayloadTooLarge)
	r.ContentLength = testMaxBody
	refused(t, p, r, 400, CodeInvalidRegion)
	r.Header.(http.Header).Set("X-Region", "us-east-1")
	admit(t, p, r)
}

// BEHAVIOUR section 3: a preflight is answered after 405 and before 401, 413
// and the region's 400; the checks before it still hold.
func TestOrderOfPreflights(t *testing.T) {
	p := newFixture().pipeline(t)
	preflight := func(target string) *Request {
		r := request(target, "Origin", "https://app.test", "Access-Control-Request-Method", "POST",
			"Apikey", "sb_secret_unknown", "X-Region", "mars")
		r.Method, r.ContentLength = http.MethodOptions, testMaxBody+1
		return r
	}
	if inv := admit(t, p, preflight("/functions/v1/hello")); !inv.Preflight {
		t.Error("4.2: not taken for a preflight")
	}
	refused(t, p, preflight("/functions/v1/nobody"), 404, CodeNotFound)
	refused(t, p, preflight("/functions/v1/hello/.."), 400, CodeInvalidURL)
}

// BEHAVIOUR section 3, 2.8: what was found out before a refusal is there for
// its headers, what comes later is not.
func TestOrderFillsTheInvocation(t *testing.T) {
	f := newFixture()
	project := f.project(t)
	f.catalogue = hosts{sharedHost: {Project: project, Shared: true}}
	p := f.pipeline(t)

	r := request("/functions/v1/hello", "Origin", "https://app.test")
	r.Host = "elsewhere.test"
	_, inv := refused(t, p, r, 404, CodeProjectNotFound)
	if !uuidV7.MatchString(inv.ID) || inv.Origin != "https://app.test" || inv.CORS == nil || inv.Project != nil {
		t.Errorf("1.7, 2.8, 4.4: after an unknown project: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/nobody"), 404, CodeNotFound)
	if inv.Project != project || inv.Function != nil || inv.Slug != "" || inv.Target != "" {
		t.Errorf("1.4, 2.8: after an unknown function: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/hello/.."), 400, CodeInvalidURL)
	if inv.Function == nil || inv.Slug != "hello" || inv.Target != "" {
		t.Errorf("1.5: after an invalid URL: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/hello"), 401, auth.CodeNoAuthHeader)
	if inv.Identity != (auth.Identity{}) || inv.Plan.Candidates != nil {
		t.Errorf("3.2: after a 401: %+v", inv)
	}
}
