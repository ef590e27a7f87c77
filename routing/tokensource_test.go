package routing

import (
	"net/http"
	"slices"
	"testing"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/projects"
)

// Contract 3.15: where the token of a WebSocket is looked for, and where not.
func TestWebSocketToken(t *testing.T) {
	const in, protocol, query = "Sec-Websocket-Protocol", projects.TokenSubprotocol, projects.TokenQuery
	tests := map[string]struct {
		from      projects.TokenSource
		target    string
		protocols []string
		want      string
	}{
		"contract 3.15 nowhere by default":         {projects.TokenHeader, "/functions/v1/a?jwt=q", []string{"jwt-p"}, ""},
		"contract 3.15 query":                      {query, "/functions/v1/a?jwt=q", []string{"jwt-p"}, "q"},
		"contract 3.15 query among others":         {query, "/functions/v1/a?x=1&jwt=a.b.c&y=2", nil, "a.b.c"},
		"contract 3.15 query decoded":              {query, "/functions/v1/a?j%77t=a%2Eb", nil, "a.b"},
		"contract 3.15 query not decodable":        {query, "/functions/v1/a?jwt=a%zzb", nil, "a%zzb"},
		"contract 3.15 query empty":                {query, "/functions/v1/a?jwt=&jwt", nil, ""},
		"contract 3.15 query twice":                {query, "/functions/v1/a?jwt=a&jwt=b", nil, "a b"},
		"contract 3.15 query, another name":        {query, "/functions/v1/a?JWT=a&xjwt=b", nil, ""},
		"contract 3.15 query, absolute form":       {query, "http://a/functions/v1/a?jwt=q", nil, "q"},
		"contract 3.15 subprotocol":                {protocol, "/functions/v1/a?jwt=q", []string{"jwt-p"}, "p"},
		"contract 3.15 subprotocol among others":   {protocol, "/functions/v1/a", []string{"realtime , jwt-a.b.c,x"}, "a.b.c"},
		"contract 3.15 subprotocol, another line":  {protocol, "/functions/v1/a", []string{"realtime", "jwt-p"}, "p"},
		"contract 3.15 subprotocol without token":  {protocol, "/functions/v1/a", []string{"jwt-, jwt"}, ""},
		"contract 3.15 subprotocol twice":          {protocol, "/functions/v1/a", []string{"jwt-a, jwt-b"}, "a b"},
		"contract 3.15 subprotocol case-sensitive": {protocol, "/functions/v1/a", []string{"JWT-a"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, in: tt.protocols}
			r := &Request{Method: http.MethodGet, Target: tt.target, Header: header}
			function := &projects.Function{WebSocketToken: tt.from}
			if got, _ := otherCredentials(r, function); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			header.Del("Upgrade")
			if got, keys := otherCredentials(r, function); got != "" || keys != nil {
				t.Errorf("got %q, %q of a request that asks for no WebSocket", got, keys)
			}
		})
	}
}

// Contract 3.15: what is a request of an EventSource: GET, and event streams alone.
func TestIsEventSource(t *testing.T) {
	for _, tt := range []struct {
		method string
		accept []string
		want   bool
	}{
		{"GET", []string{"text/event-stream"}, true},
		{"GET", []string{" Text/Event-Stream "}, true},
		{"GET", []string{"text/event-stream;q=1"}, true},
		{"POST", []string{"text/event-stream"}, false},
		{"GET", nil, false},
		{"GET", []string{""}, false},
		{"GET", []string{"*/*"}, false},
		{"GET", []string{"text/event-stream, */*"}, false},
		{"GET", []string{"application/json, text/event-stream"}, false},
		{"GET", []string{"text/event-stream", "text/html"}, false},
		{"GET", []string{"text/event-streams"}, false},
	} {
		if got := isEventSource(tt.method, http.Header{"Accept": tt.accept}); got != tt.want {
			t.Errorf("contract 3.15: %s with %q: %v", tt.method, tt.accept, got)
		}
	}
}

// Contract 3.15: who may bring what in the query. Secret keys never, and headers come first.
func TestAdmitQueryCredentials(t *testing.T) {
	f := newFixture()
	f.functions = append(
		f.functions,
		projects.Function{Slug: "events", VerifyJWT: true, EventSourceToken: projects.TokenQuery},
		projects.Function{Slug: "socket", VerifyJWT: true, WebSocketToken: projects.TokenQuery},
		projects.Function{Slug: "both", VerifyJWT: true, WebSocketToken: projects.TokenSubprotocol, EventSourceToken: projects.TokenQuery},
		projects.Function{Slug: "public", EventSourceToken: projects.TokenQuery},
	)
	p := f.pipeline(t)
	stream := []string{"Accept", "text/event-stream"}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	expired := jwtHS256(`{"alg":"HS256"}`, `{"exp":1}`, testSecret)
	for _, tt := range []struct {
		name, target string
		header       []string
		code         string // "" when it passes
	}{
		{"a token", "events?jwt=" + goodToken(), stream, ""},
		{"a publishable key", "events?apikey=" + publishableKey, stream, ""},
		{"both", "events?apikey=" + publishableKey + "&jwt=" + goodToken(), stream, ""},
		{"an expired token", "events?jwt=" + expired, stream, auth.CodeLegacyJWT},
		{"an unknown key", "events?apikey=sb_publishable_unknown", stream, auth.CodeInvalidAPIKey},
		{"a secret key", "events?apikey=" + secretKey, stream, auth.CodeInvalidAPIKey},
		{"a secret key from a browser", "events?apikey=" + secretKey, append([]string{"Origin", "https://app.test"}, stream...), auth.CodeSecretInBrowser},
		{"a secret key as a token", "events?jwt=" + secretKey, stream, auth.CodeInvalidAPIKey},
		{"two keys", "events?apikey=" + publishableKey + "&apikey=" + publishableKey, stream, auth.CodeInvalidAPIKey},
		{"two tokens", "events?jwt=" + goodToken() + "&jwt=" + goodToken(), stream, auth.CodeInvalidFormat},
		{"a token as a key", "events?apikey=" + goodToken(), stream, auth.CodeNoAuthHeader},
		{"no EventSource", "events?jwt=" + goodToken(), nil, auth.CodeNoAuthHeader},
		{"a key and no EventSource", "events?apikey=" + publishableKey, nil, auth.CodeNoAuthHeader},
		{"a WebSocket", "events?jwt=" + goodToken(), upgrade, auth.CodeNoAuthHeader},
		{"of a function that takes headers only", "hello?jwt=" + goodToken(), stream, auth.CodeNoAuthHeader},
		{"a header comes first", "events?apikey=" + publishableKey, append([]string{"Authorization", "Bearer " + expired}, stream...), auth.CodeLegacyJWT},
		{"an apikey header comes first", "events?apikey=" + publishableKey, append([]string{"Apikey", "sb_publishable_unknown"}, stream...), auth.CodeInvalidAPIKey},
		{"a good header beside an unknown key", "events?apikey=sb_publishable_unknown", append([]string{"Authorization", "Bearer " + goodToken()}, stream...), ""},
		{"socket: a publishable key", "socket?apikey=" + publishableKey, upgrade, ""},
		{"socket: a secret key", "socket?apikey=" + secretKey, upgrade, auth.CodeInvalidAPIKey},
		{"socket: a secret key as a token", "socket?jwt=" + secretKey, upgrade, auth.CodeInvalidAPIKey},
		{"socket: no WebSocket", "socket?apikey=" + publishableKey, stream, auth.CodeNoAuthHeader},
		{"both: subprotocol of a socket", "both?jwt=" + goodToken(), upgrade, auth.CodeNoAuthHeader},
		{"both: query of an EventSource", "both?jwt=" + goodToken(), stream, ""},
		{"verify_jwt off: the query is the function's", "public?apikey=sb_anything&jwt=x", stream, ""},
	} {
		t.Run("contract 3.15 "+tt.name, func(t *testing.T) {
			r := request("/functions/v1/"+tt.target, tt.header...)
			if tt.code != "" {
				refused(t, p, r, http.StatusUnauthorized, tt.code)
				return
			}
			if inv := admit(t, p, r); inv.Target != "/"+tt.target {
				t.Errorf("contract 3.15: the function gets %q", inv.Target)
			}
		})
	}
}

// Contract 4.5: the names of site, project and function are merged, also in refusals.
func TestAdmitExposed(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "counts", Exposed: "x-function"})
	f.expose = []string{"x-project"}
	p := f.pipeline(t)
	for target, want := range map[string][]string{
		"/functions/v1/counts": {"x-site", "x-project", "x-function"},
		"/functions/v1/hello":  {"x-site", "x-project", ""}, // 401
		"/functions/v1/nobody": {"x-site", "x-project", ""}, // 404
	} {
		var inv Invocation
		p.Admit(request(target, "Origin", "https://app.test"), Site{Exposed: "x-site"}, &inv)
		got := []string{string(inv.Exposed[0]), string(inv.Exposed[1]), string(inv.Exposed[2])}
		if !slices.Equal(got, want) {
			t.Errorf("contract 4.5: %s exposes %q, want %q", target, got, want)
		}
	}
}
