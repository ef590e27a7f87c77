package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/headwriter"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
)

// aCall is a call of a handler that knows no app.
func aCall(ctx context.Context, engine *billing.Engine) *call {
	c := &call{handler: &Handler{logger: zap.NewNop()}, w: httptest.NewRecorder()}
	c.r = httptest.NewRequestWithContext(context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, new(caddyhttp.ExtraLogFields)), http.MethodPost, "/", nil)
	c.meter = callMeter{call: c, request: engine.Receive()}
	return c
}

// Contract 5.29: no panic passes through other people's handlers, but the one that is left to break an answer off; and
// whatever happened, nothing waits any more.
func TestPanicsStayInside(t *testing.T) {
	var nobody *Handler
	for name, panics := range map[string]func(){
		"the proxy's":      func() { panic(http.ErrAbortHandler) },
		"net/http's":       func() { panic("invalid WriteHeader code 0") },
		"an error":         func() { panic(errors.New("secret")) },
		"a fault":          func() { _ = nobody.logger.Name() },
		"none":             func() {},
		"of a nil pointer": func() { panic(nil) },
	} {
		for _, unable := range []bool{false, true} {
			engine := billing.NewEngine(t.TempDir())
			var c *call
			left := func() (left any) {
				defer func() { left = recover() }()
				defer func() {
					if c.head != nil && !c.head.Stopped() {
						t.Errorf("%s: the timer of the head runs on", name)
					}
				}()
				c = aCall(t.Context(), engine)
				if !unable {
					c.w = &deadlines{ResponseRecorder: httptest.NewRecorder()}
				}
				defer c.end()
				c.exchange, _ = regions.Begin(t.Context(), regions.Plan{}, regions.Limits{})
				c.head = &headwriter.Writer{ResponseWriter: c.w}
				c.head.Expect(10)
				c.head.WriteHeader(http.StatusOK)
				_, _ = c.head.Write([]byte("half"))
				panics()
				c.setEnding(endComplete, nil)
				return nil
			}()
			// A writer without deadlines leaves net/http's own way.
			if want := unable && name != "none"; (left == http.ErrAbortHandler) != want || !want && left != nil {
				t.Errorf("%s: the handler panicked with %v, want it: %v", name, left, want)
			}
			if c.record.ending == "" || (c.record.ending == endComplete) != (name == "none") {
				t.Errorf("%s: the call ended as %q", name, c.record.ending)
			}
			if n := engine.UnderWay(); n != 0 {
				t.Errorf("%s: %d wait", name, n)
			}
		}
	}
}

// deadlines is a writer that takes them.
type deadlines struct{ *httptest.ResponseRecorder }

func (*deadlines) SetWriteDeadline(time.Time) error { return nil }

// Contract 8.19: what an answer of the gateway's stands for.
func TestRefusedAs(t *testing.T) {
	for code, want := range map[string]callEnding{
		routing.CodeBackendError: endBackendCut, routing.CodeIdleTimeout: endTimedOut, routing.CodeResourceLimit: endTimedOut,
		routing.CodeRequestTimeout: endTimedOut, routing.CodeInvalidStatus: endRefused, routing.CodeNotFound: endRefused,
	} {
		if got := refusedAs(&routing.Refusal{Code: code}); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
}
