package cors

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Contract 4.1, 4.3-4.5 for responses of functions.
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
		"contract 4.3 none of theirs gets ours": {star, app, auto, http.Header{}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"contract 4.3 a blank one is none": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {" "}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"contract 4.3 theirs stays": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {other}}, http.Header{
			"Access-Control-Allow-Origin": {other}, "Access-Control-Expose-Headers": {exposed},
		}},
		"contract 4.3 theirs stays under a list": {list(t), other, auto, http.Header{"Access-Control-Allow-Origin": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"contract 4.9 the same in one line": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {"*, *"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"contract 4.9 the same in two lines, no origin sent": {star, "", auto, http.Header{"Access-Control-Allow-Origin": {app, "", app}}, http.Header{
			"Access-Control-Allow-Origin": {app},
		}},
		"contract 4.9 two different: none, and not ours": {star, app, auto, http.Header{"Access-Control-Allow-Origin": {"*", app}}, http.Header{}},
		"contract 4.9 credentials and Max-Age leave once": {
			star, app, auto,
			http.Header{"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true", "true"}, "Access-Control-Max-Age": {"60, 7200", "1"}},
			http.Header{
				"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Max-Age": {"60"},
				"Access-Control-Expose-Headers": {exposed},
			},
		},
		"contract 4.3 their credentials stay with their origin": {
			star, app, auto,
			http.Header{"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"}},
			http.Header{
				"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"},
				"Access-Control-Expose-Headers": {exposed},
			},
		},
		"contract 4.6 credentials without an origin do not widen ours": {
			list(t), app, auto,
			http.Header{"Access-Control-Allow-Credentials": {"true"}},
			http.Header{"Access-Control-Allow-Origin": {app}, "Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"}},
		},
		"contract 4.6 ours with credentials": {cookies, app, auto, http.Header{}, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"},
			"Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"contract 4.4 no origin, nothing": {star, "", auto, http.Header{}, http.Header{}},
		"contract 4.4 no origin, theirs stays as it is": {star, "", auto, http.Header{"Access-Control-Allow-Origin": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"},
		}},
		"contract 4.4 unlisted":                {list(t), other, auto, http.Header{}, http.Header{"Vary": {"Origin"}}},
		"contract 4.4 unlisted, a blank one":   {list(t), other, auto, http.Header{"Access-Control-Allow-Origin": {""}}, http.Header{"Vary": {"Origin"}}},
		"contract 4.4 a list, no origin, Vary": {list(t), "", auto, http.Header{"Vary": {"Accept"}}, http.Header{"Vary": {"Accept, Origin"}}},
		"contract 4.5 merged with theirs": {
			star, app, auto,
			http.Header{"Access-Control-Expose-Headers": {"X-Total, SB-Request-Id", "x-total"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {
				"X-Total, SB-Request-Id, sb-error-code, x-sb-edge-region, x-sb-region-reason, retry-after, www-authenticate, ratelimit, ratelimit-policy, x-sb-quota-remaining",
			}},
		},
		"contract 4.5 * of theirs stays": {star, app, auto, http.Header{"Access-Control-Expose-Headers": {"*"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"*, " + exposed},
		}},
		"contract 4.5 what is no name is dropped": {star, app, auto, http.Header{"Access-Control-Expose-Headers": {"x y, , (z), ok"}}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"ok, " + exposed},
		}},
		"contract 4.5 only beside an origin": {list(t), other, auto, http.Header{"Access-Control-Expose-Headers": {"x"}}, http.Header{
			"Access-Control-Expose-Headers": {"x"}, "Vary": {"Origin"},
		}},
		"contract 4.1 function: nothing added": {list(t), app, function, http.Header{}, http.Header{}},
		"contract 4.1, 4.5 function: nothing merged": {
			list(t), other, function,
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"x", "x"}, "Vary": {"Accept"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"x", "x"}, "Vary": {"Accept"}},
		},
		"contract 4.9 function: each once": {
			list(t), app, function,
			http.Header{"Access-Control-Allow-Origin": {"*", "*"}, "Access-Control-Allow-Credentials": {"true", "false"}, "Access-Control-Max-Age": {"5", "5"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Max-Age": {"5"}},
		},
		"contract 4.9 function: two different": {list(t), app, function, http.Header{"Access-Control-Allow-Origin": {"*, " + app}}, http.Header{}},
		"contract 4.4 function: no origin sent": {
			list(t), "", function,
			http.Header{"Access-Control-Allow-Origin": {"*"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		"contract 4.1 function: a blank one is its own": {
			list(t), app, function,
			http.Header{"Access-Control-Allow-Origin": {""}},
			http.Header{"Access-Control-Allow-Origin": {""}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := tt.before.Clone()
			contradicted := tt.policy.Response(h, tt.origin, tt.ours)
			if want := len(distinct(tt.before.Values("Access-Control-Allow-Origin"))) > 1; contradicted != want {
				t.Errorf("contract 4.9: contradicted: %v", contradicted)
			}
			if !reflect.DeepEqual(h, tt.want) {
				t.Errorf("Response(%q, %v):\n got %v\nwant %v", tt.origin, tt.ours, h, tt.want)
			}
			if contradicted {
				return // a second time nobody knows of it
			}
			again := h.Clone()
			tt.policy.Response(again, tt.origin, tt.ours)
			if !reflect.DeepEqual(again, h) {
				t.Errorf("a second Response changed %v to %v", h, again)
			}
		})
	}
}

// distinct are the different origins in a header.
func distinct(values []string) map[string]bool {
	set := make(map[string]bool)
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if item = strings.Trim(item, whitespace); item != "" {
			set[item] = true
		}
	}
	return set
}

// Contract 4.9 for any number and spelling of the three headers, in both modes: one value or none leaves, it is the first, and none only
// where there was none or where origins differ.
func TestResponseOnce(t *testing.T) {
	const most = 3
	values := map[string][]string{
		"Access-Control-Allow-Origin":      {"*", app, other, "", "*, *", app + "," + other, " , "},
		"Access-Control-Allow-Credentials": {"true", "false", "", "true, true", "true,false"},
		"Access-Control-Max-Age":           {"1", "7200", "", "1, 2", ","},
	}
	policy := mustNew(t, Config{})
	for name, pieces := range values {
		total := 1
		for range most {
			total *= len(pieces) + 1
		}
		for n := range total {
			var given []string
			for rest := n; rest > 0; rest /= len(pieces) + 1 {
				if i := rest % (len(pieces) + 1); i > 0 {
					given = append(given, pieces[i-1])
				}
			}
			for _, ours := range []bool{true, false} {
				h := http.Header{}
				if given != nil {
					h[name] = slices.Clone(given)
				}
				contradicted := policy.Response(h, "", ours)
				items := items(given)
				differ := name == "Access-Control-Allow-Origin" && len(distinct(given)) > 1
				got := h[name]
				switch {
				case contradicted != differ:
					t.Fatalf("contract 4.9: %s %q: contradicted %v", name, given, contradicted)
				case differ && got != nil, len(got) > 1:
					t.Fatalf("contract 4.9: %s %q left as %q", name, given, got)
				case !differ && len(items) > 0 && (len(got) != 1 || got[0] != items[0]):
					t.Fatalf("contract 4.9: %s %q left as %q", name, given, got)
				}
			}
		}
	}
}

// Contract 4.5: the lists of site, project and function, the function's own words, and ours, each name once.
func TestExpose(t *testing.T) {
	policy := mustNew(t, Config{})
	for _, tt := range []struct {
		name string
		own  []string
		more []Exposed
		want string
	}{
		{"none", nil, nil, exposed},
		{"empty ones", nil, []Exposed{"", "", ""}, exposed},
		{"of the site", nil, []Exposed{"x-site"}, "x-site, " + exposed},
		{"of all", []string{"X-Own"}, []Exposed{"x-site", "x-project, x-own", "X-Function"}, "X-Own, x-site, x-project, X-Function, " + exposed},
		{"one of ours", nil, []Exposed{"retry-after"}, "retry-after, " + strings.Replace(exposed, "retry-after, ", "", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.own != nil {
				h["Access-Control-Expose-Headers"] = tt.own
			}
			gateway := h.Clone()
			policy.Response(h, app, true, tt.more...)
			policy.Gateway(gateway, app, tt.more...)
			for _, h := range []http.Header{h, gateway} {
				if got := h.Values("Access-Control-Expose-Headers"); len(got) != 1 || got[0] != tt.want {
					t.Errorf("contract 4.5: %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestParseExposed(t *testing.T) {
	if got, err := ParseExposed([]string{"x-total-count", "X-Page"}); err != nil || got != "x-total-count, X-Page" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := ParseExposed(nil); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	for _, names := range [][]string{{""}, {"x y"}, {"x,y"}, {"x:"}, {"x-a", "X-A"}, {"bücher"}, {"ok", "\n"}} {
		if got, err := ParseExposed(names); err == nil || got != "" {
			t.Errorf("%q passes as %q", names, got)
		}
	}
}
