package routing

import (
	"net/http"
	"testing"
	"time"

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

// Contract 3.17 to 3.19, 3.21 to 3.23: the order is a security and billing invariant. The
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

// Contract 3.16, 3.20, 3.31: a preflight that the gateway answers is 204 before all of it; other OPTIONS after the client's 429 and before 401,
// 413 and the region's 400; those of a function in mode `cors function` are wrong in all the ways that any method is.
func TestOrderOfOptions(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "held", CORS: projects.CORSFunction, Status: projects.StatusThrottled})
	p := f.pipeline(t)
	options := func(slug string, usage *purse, header ...string) *Request {
		r := request("/functions/v1/"+slug, append([]string{"Apikey", "sb_secret_unknown", "X-Region", "mars"}, header...)...)
		r.Method, r.ContentLength, r.Usage = http.MethodOptions, testMaxBody+1, usage
		return r
	}
	preflight := []string{"Origin", "https://app.test", "Access-Control-Request-Method", "POST"}
	spent := &purse{wait: time.Hour, client: time.Second, soon: time.Second}
	for _, slug := range []string{"hello", "nobody", "hello/..", "own-cors/.."} {
		if inv := admit(t, p, options(slug, spent, preflight...)); inv.Answer != AnswerPreflight {
			t.Errorf("contract 4.7: %s: %+v", slug, inv)
		}
	}
	refused(t, p, options("hello", spent), 429, CodeRateLimitExceeded)
	refused(t, p, options("nobody", spent), 404, CodeNotFound)
	refused(t, p, options("hello/..", spent), 400, CodeInvalidURL)
	client := &purse{wait: time.Hour, soon: time.Second}
	if inv := admit(t, p, options("hello", client)); inv.Answer != AnswerOptions || client.calls != 1 || client.tokens+client.taken != 0 {
		t.Errorf("contract 4.2: %+v took %+v", inv, client)
	}

	// Contract 4.1: the preflight of a function that answers it: the client's limit and the region count, nothing else does.
	refused(t, p, options("held", spent, preflight...), 429, CodeRateLimitExceeded)
	refused(t, p, options("held", client, preflight...), 400, CodeInvalidRegion)
	asked := options("held", client, preflight...)
	asked.Header.(http.Header).Set("X-Region", "us-east-1")
	if inv := admit(t, p, asked); !inv.Preflight || inv.Answer != AnswerNone || client.tokens+client.taken != 0 || client.places != 1 {
		t.Errorf("contract 4.1: %+v took %+v", inv, client)
	}
	asked.Usage = &purse{full: "project"}
	refused(t, p, asked, 503, CodeGatewayOverloaded)

	// Contract 4.2, 7.1: its other OPTIONS.
	full := &purse{}
	r := options("own-cors", full)
	refused(t, p, r, 401, auth.CodeInvalidAPIKey)
	r.Header.(http.Header).Set("Apikey", publishableKey)
	refused(t, p, r, 413, CodePayloadTooLarge)
	r.ContentLength = 0
	refused(t, p, r, 400, CodeInvalidRegion)
	r.Header.(http.Header).Set("X-Region", "us-east-1")
	admit(t, p, r)
	if full.calls != 4 || full.tokens != 1 || full.taken != 1 {
		t.Errorf("contract 7.1: it took %+v", full)
	}
	r.Usage = client
	refused(t, p, r, 402, CodeProjectRestricted)
}

// Contract 2.8: what was found out before a refusal is there for
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
		t.Errorf("contract 1.7, 2.8, 4.4: after an unknown project: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/nobody"), 404, CodeNotFound)
	if inv.Project != project || inv.Function != nil || inv.Slug != "nobody" || inv.Target != "" {
		t.Errorf("contract 1.4, 2.8: after an unknown function: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/hello/.."), 400, CodeInvalidURL)
	if inv.Function == nil || inv.Slug != "hello" || inv.Target != "" {
		t.Errorf("contract 1.5: after an invalid URL: %+v", inv)
	}
	_, inv = refused(t, p, request("/functions/v1/hello"), 401, auth.CodeNoAuthHeader)
	if inv.Identity != (auth.Identity{}) || inv.Plan.Candidates != nil {
		t.Errorf("contract 3.2: after a 401: %+v", inv)
	}
}
