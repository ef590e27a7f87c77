package routing

import (
	"net/http"
	"testing"

	"github.com/edgegate/edgegate/routing/projects"
)

func TestIsWebSocket(t *testing.T) {
	tests := map[string]struct {
		method string
		header http.Header
		want   bool
	}{
		"as browsers ask":    {"GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, true},
		"as Firefox asks":    {"GET", http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}}, true},
		"in another line":    {"GET", http.Header{"Connection": {"keep-alive", "upgrade"}, "Upgrade": {"websocket"}}, true},
		"POST":               {"POST", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, false},
		"h2c":                {"GET", http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}}, false},
		"without Connection": {"GET", http.Header{"Upgrade": {"websocket"}}, false},
		"without Upgrade":    {"GET", http.Header{"Connection": {"Upgrade"}}, false},
		"two protocols":      {"GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket, h2c"}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsWebSocket(tt.method, tt.header); got != tt.want {
				t.Errorf("IsWebSocket = %t, want %t", got, tt.want)
			}
		})
	}
}

// BEHAVIOUR 3.15: where the token of a WebSocket is looked for, and where not.
func TestWebSocketToken(t *testing.T) {
	const in, protocol, query = "Sec-Websocket-Protocol", projects.TokenSubprotocol, projects.TokenQuery
	tests := map[string]struct {
		from      projects.TokenSource
		target    string
		protocols []string
		want      string
	}{
		"3.15 nowhere by default":         {projects.TokenHeader, "/functions/v1/a?jwt=q", []string{"jwt-p"}, ""},
		"3.15 query":                      {query, "/functions/v1/a?jwt=q", []string{"jwt-p"}, "q"},
		"3.15 query among others":         {query, "/functions/v1/a?x=1&jwt=a.b.c&y=2", nil, "a.b.c"},
		"3.15 query decoded":              {query, "/functions/v1/a?j%77t=a%2Eb", nil, "a.b"},
		"3.15 query not decodable":        {query, "/functions/v1/a?jwt=a%zzb", nil, "a%zzb"},
		"3.15 query empty":                {query, "/functions/v1/a?jwt=&jwt", nil, ""},
		"3.15 query twice":                {query, "/functions/v1/a?jwt=a&jwt=b", nil, "a b"},
		"3.15 query, another name":        {query, "/functions/v1/a?JWT=a&xjwt=b", nil, ""},
		"3.15 query, absolute form":       {query, "http://a/functions/v1/a?jwt=q", nil, "q"},
		"3.15 subprotocol":                {protocol, "/functions/v1/a?jwt=q", []string{"jwt-p"}, "p"},
		"3.15 subprotocol among others":   {protocol, "/functions/v1/a", []string{"realtime , jwt-a.b.c,x"}, "a.b.c"},
		"3.15 subprotocol, another line":  {protocol, "/functions/v1/a", []string{"realtime", "jwt-p"}, "p"},
		"3.15 subprotocol without token":  {protocol, "/functions/v1/a", []string{"jwt-, jwt"}, ""},
		"3.15 subprotocol twice":          {protocol, "/functions/v1/a", []string{"jwt-a, jwt-b"}, "a b"},
		"3.15 subprotocol case-sensitive": {protocol, "/functions/v1/a", []string{"JWT-a"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, in: tt.protocols}
			r := &Request{Method: http.MethodGet, Target: tt.target, Header: header}
			if got := webSocketToken(r, tt.from); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			header.Del("Upgrade")
			if got := webSocketToken(r, tt.from); got != "" {
				t.Errorf("got %q of a request that asks for no WebSocket", got)
			}
		})
	}
}
