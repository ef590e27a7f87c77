package routing

import (
	"net/http"
	"testing"
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
