package cors

import (
	"net/http"
	"reflect"
	"testing"
)

// BEHAVIOUR 4.1, 4.3-4.5 for responses of functions.
func TestResponse(t *testing.T) {
	star := mustNew(t, Config{})
	cookies := mustNew(t, Config{Origins: []string{app}, Credentials: true})
	const (
		auto     = true
		function = false
	)
	tests := map[string]struct {
		policy *Policy
		origin string
		ours   bool
		before http.Header
		want   http.Header
	}{
		"4.3 none of theirs gets ours": {star, app, auto, http.Header{}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"4.3 a blank one is none": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {" "}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"4.3 theirs stays": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {other}}, http.Header{
			"Access-Control-Allow-Origin": {other}, "Access-Control-Expose-Headers": {exposed},
		}},
		"4.3 theirs stays under a list": {list(t), other, auto, http.Header{"Access-Control-Allow-Origin": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"4.3 two values: the one that fits": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {"*", app}}, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Expose-Headers": {exposed},
		}},
		"4.3 two in one line: the first": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {"*, *"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"4.3 two values, no origin sent": {star, "", auto, http.Header{"Access-Control-Allow-Origin": {"*", app}}, http.Header{
			"Access-Control-Allow-Origin": {"*"},
		}},
		"4.3 their credentials stay with their origin": {
			star, app, auto,
			http.Header{"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"}},
			http.Header{
				"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"},
				"Access-Control-Expose-Headers": {exposed},
			},
		},
		"4.6 credentials without an origin do not widen ours": {
			list(t), app, auto,
			http.Header{"Access-Control-Allow-Credentials": {"true"}},
			http.Header{"Access-Control-Allow-Origin": {app}, "Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"}},
		},
		"4.6 ours with credentials": {cookies, app, auto, http.Header{}, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"},
			"Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"4.4 no origin, nothing": {star, "", auto, http.Header{}, http.Header{}},
		"4.4 no origin, theirs stays as it is": {star, "", auto, http.Header{"Access-Control-Allow-Origin": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"},
		}},
		"4.4 unlisted":                {list(t), other, auto, http.Header{}, http.Header{"Vary": {"Origin"}}},
		"4.4 unlisted, a blank one":   {list(t), other, auto, http.Header{"Access-Control-Allow-Origin": {""}}, http.Header{"Vary": {"Origin"}}},
		"4.4 a list, no origin, Vary": {list(t), "", auto, http.Header{"Vary": {"Accept"}}, http.Header{"Vary": {"Accept, Origin"}}},
		"4.5 merged with theirs": {
			star, app, auto,
			http.Header{"Access-Control-Expose-Headers": {"X-Total, SB-Request-Id", "x-total"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {
				"X-Total, SB-Request-Id, sb-error-code, x-sb-edge-region, x-sb-region-reason, retry-after",
			}},
		},
		"4.5 * of theirs stays": {star, app, auto, http.Header{"Access-Control-Expose-Headers": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"*, " + exposed},
		}},
		"4.5 what is no name is dropped": {star, app, auto, http.Header{"Access-Control-Expose-Headers": {"x y, , (z), ok"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"ok, " + exposed},
		}},
		"4.5 only beside an origin": {list(t), other, auto, http.Header{"Access-Control-Expose-Headers": {"x"}}, http.Header{
			"Access-Control-Expose-Headers": {"x"}, "Vary": {"Origin"},
		}},
		"4.1 function: nothing added": {list(t), app, function, http.Header{}, http.Header{}},
		"4.5 function: merged where it allows": {
			list(t), other, function,
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"x"}, "Vary": {"Accept"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"x, " + exposed}, "Vary": {"Accept"}},
		},
		"4.1 function: two values are its own": {
			list(t), app, function,
			http.Header{"Access-Control-Allow-Origin": {"*", "*"}},
			http.Header{"Access-Control-Allow-Origin": {"*", "*"}, "Access-Control-Expose-Headers": {exposed}},
		},
		"4.4 function: no origin sent": {
			list(t), "", function,
			http.Header{"Access-Control-Allow-Origin": {"*"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		"4.5 function: a blank one is none": {
			list(t), app, function,
			http.Header{"Access-Control-Allow-Origin": {""}},
			http.Header{"Access-Control-Allow-Origin": {""}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := tt.before.Clone()
			tt.policy.Response(h, tt.origin, tt.ours)
			if !reflect.DeepEqual(h, tt.want) {
				t.Errorf("Response(%q, %v):\n got %v\nwant %v", tt.origin, tt.ours, h, tt.want)
			}
			again := h.Clone()
			tt.policy.Response(again, tt.origin, tt.ours)
			if !reflect.DeepEqual(again, h) {
				t.Errorf("a second Response changed %v to %v", h, again)
			}
		})
	}
}
