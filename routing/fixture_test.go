package routing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

const (
	testSecret      = "a-secret-of-the-tests-with-40-characters"
	publishableKey  = "sb_publishable_0123456789abcdef"
	secretKey       = "sb_secret_0123456789abcdef"
	sharedHost      = "gateway.test:8000"
	ownHost         = "api.customer.test"
	hostFormHost    = "abcdefghijklmnopqrst.functions.example.com"
	testIdle        = 20 * time.Second
	testMaxBody     = 1000
	testProjectWall = 90 * time.Second
)

// testNow is the arrival of every request that a test does not time itself.
var testNow = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

// frankfurt is the gateway's place in the tests: the order by the built-in
// prior is then eu-central-1, eu-west-1, us-east-1.
var frankfurt = geo.Place{Region: "eu-central-1"}

// testFunctions has one function for each setting that Admit reads.
func testFunctions() []projects.Function {
	return []projects.Function{
		{Slug: "hello", VerifyJWT: true},
		{Slug: "open"},
		{Slug: "own-cors", VerifyJWT: true, CORS: projects.CORSFunction},
		{Slug: "page", HTML: projects.HTMLKeep},
		{Slug: "text", HTML: projects.HTMLPlain},
		{Slug: "quick", WallClock: 5 * time.Second},
		{Slug: "gone", Status: projects.StatusRemoved},
	}
}

// fixture is a gateway in front of closed ports, with what a test changes.
type fixture struct {
	functions []projects.Function
	residency []string
	cors      *cors.Config
	expose    []string
	from      geo.Place
	catalogue Projects
	settings  Settings
}

func newFixture() *fixture {
	return &fixture{
		functions: testFunctions(), from: frankfurt,
		settings: Settings{IdleTimeout: testIdle, MaxBody: testMaxBody},
	}
}

// pipeline builds the gateway. Regions are configured farthest first, so that
// the configuration's order is no order by distance.
func (f *fixture) pipeline(t testing.TB) *Pipeline {
	t.Helper()
	catalogue := f.catalogue
	if catalogue == nil {
		single, err := projects.NewSingle(f.project(t), "example.com")
		if err != nil {
			t.Fatal(err)
		}
		catalogue = single
	}
	return NewPipeline(catalogue, newNetwork(t, f.from, "us-east-1", "eu-west-1", "eu-central-1"), f.settings)
}

func (f *fixture) project(t testing.TB) *projects.Project {
	t.Helper()
	cfg := projects.ProjectConfig{
		Domains: []string{ownHost}, Regions: f.residency, Expose: f.expose, WallClock: projects.Duration(testProjectWall),
		JWT: &projects.JWTConfig{Secret: testSecret},
		APIKeys: []projects.APIKeyConfig{
			{Name: "web", Type: "publishable", Key: publishableKey},
			{Name: "ci", Type: "secret", Key: secretKey},
		},
	}
	if f.cors != nil {
		cfg.CORS = &projects.CORSConfig{Origins: f.cors.Origins, Credentials: f.cors.Credentials}
	}
	for _, function := range f.functions {
		var exposed []string
		if function.Exposed != "" {
			exposed = strings.Split(string(function.Exposed), ", ")
		}
		cfg.Functions = append(cfg.Functions, projects.FunctionConfig{
			Slug: function.Slug, VerifyJWT: &function.VerifyJWT, CORS: function.CORS.String(), HTML: function.HTML.String(),
			Status: function.Status.String(), WallClock: projects.Duration(function.WallClock), WebSocketToken: function.WebSocketToken.String(),
			EventSourceToken: function.EventSourceToken.String(), Expose: exposed,
		})
	}
	return newProject(t, cfg)
}

func newProject(t testing.TB, cfg projects.ProjectConfig) *projects.Project {
	t.Helper()
	builder, err := projects.NewBuilder(projects.BuilderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	project, _, err := builder.Project(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// newNetwork returns regions of one backend each, on ports where nothing
// listens: they were free a moment ago.
func newNetwork(t testing.TB, from geo.Place, names ...string) *regions.Network {
	t.Helper()
	var list []regions.Region
	for _, name := range names {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		backend, err := regions.ParseBackend("http://" + listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		list = append(list, regions.Region{Name: name, Backends: []regions.Backend{backend}})
	}
	set, err := regions.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	location := regions.Location{Place: from, Source: regions.LocationConfigured}
	if from == (geo.Place{}) {
		location.Source = regions.LocationUnknown
	}
	return regions.NewNetwork(regions.NetworkConfig{Set: set, States: &living{states: map[string]*regions.RegionState{}}, Location: location})
}

// living is the state of one network.
type living struct {
	states map[string]*regions.RegionState
	ranker regions.Ranker
}

func (*living) Upstream(_ string, b regions.Backend) *regions.Upstream { return regions.NewUpstream(b) }

func (*living) Release(string, regions.Backend) {}

func (l *living) Region(name string) *regions.RegionState {
	if l.states[name] == nil {
		l.states[name] = new(regions.RegionState)
	}
	return l.states[name]
}

func (l *living) Ranker() *regions.Ranker { return &l.ranker }

// markDown has the real transport find out that regions accept nothing.
func markDown(t testing.TB, p *Pipeline, names ...string) {
	t.Helper()
	for _, name := range names {
		r, ok := p.network.Set.Lookup(name)
		if !ok {
			t.Fatalf("no region %q", name)
		}
		plan := regions.Plan{Candidates: []regions.Candidate{{Region: r, Reason: regions.ReasonExplicit}}, Strict: true}
		for range 5 { // as many as open a breaker
			if _, err := runPlan(t, p, plan); !errors.Is(err, regions.ErrUnavailable) {
				t.Fatalf("region %s: err = %v, want ErrUnavailable", name, err)
			}
		}
		view := p.network.Refresh(time.Now())
		if i, _ := view.Lookup(name); view.Regions[i].State != regions.StateDown {
			t.Fatalf("region %s is %s, want down", name, view.Regions[i].State)
		}
	}
}

// runPlan carries a plan out and returns the exchange.
func runPlan(t testing.TB, p *Pipeline, plan regions.Plan) (*regions.Exchange, error) {
	t.Helper()
	x, ctx := regions.Begin(t.Context(), plan, regions.Limits{})
	defer x.End()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://backend", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "/hello"
	res, err := (&regions.Transport{Network: p.network}).RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return x, err
}

// request returns a GET that names no credentials; header is alternating
// names and values.
func request(target string, header ...string) *Request {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &Request{Method: http.MethodGet, Host: sharedHost, Target: target, Header: h, Start: testNow}
}

// admit runs one request and fails the test when it is refused.
func admit(t testing.TB, p *Pipeline, r *Request) *Invocation {
	t.Helper()
	var inv Invocation
	if refusal := p.Admit(r, Site{}, &inv); refusal != nil {
		t.Fatalf("%s %s refused: %d %s", r.Method, r.Target, refusal.Status, refusal.Body())
	}
	return &inv
}

// refused runs one request and fails the test unless it is refused like this.
func refused(t testing.TB, p *Pipeline, r *Request, status int, code string) (*Refusal, *Invocation) {
	t.Helper()
	var inv Invocation
	refusal := p.Admit(r, Site{}, &inv)
	if refusal == nil {
		t.Fatalf("%s %s passed to %q, want %d %s", r.Method, r.Target, inv.Target, status, code)
	}
	if refusal.Status != status || refusal.Code != code {
		t.Fatalf("%s %s: %d %s, want %d %s", r.Method, r.Target, refusal.Status, refusal.Code, status, code)
	}
	return refusal, &inv
}

// names lists the regions of a plan.
func names(plan regions.Plan) []string {
	var list []string
	for _, c := range plan.Candidates {
		list = append(list, c.Region.Name)
	}
	return list
}

// jwtHS256 signs a token with the HMAC-SHA256 of secret.
func jwtHS256(header, payload, secret string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func goodToken() string { return jwtHS256(`{"alg":"HS256"}`, `{"role":"anon"}`, testSecret) }
