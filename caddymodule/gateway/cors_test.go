package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

// Contract 4.9: what `header` of the site has set counts as the first value, and nothing of it leaves beside the function's. Values are in
// no log.
func TestAllowOriginBesideTheSite(t *testing.T) {
	policy, err := cors.New(cors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	handler := &Handler{logger: zap.New(core)}
	const allow = "Access-Control-Allow-Origin"
	for _, tt := range []struct {
		name                 string
		site, function, want []string
		mode                 projects.CORSMode
		warnings             int
	}{
		{"none", nil, nil, []string{"*"}, projects.CORSAuto, 0},
		{"the site's alone", []string{"https://a.test"}, nil, []string{"https://a.test"}, projects.CORSAuto, 0},
		{"both the same", []string{"https://a.test"}, []string{"https://a.test"}, []string{"https://a.test"}, projects.CORSFunction, 0},
		{"different", []string{"https://a.test"}, []string{"*"}, nil, projects.CORSFunction, 1},
		{"different, soon after", []string{"https://a.test"}, []string{"*"}, nil, projects.CORSAuto, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			header := http.Header{}
			for _, set := range []struct {
				h      http.Header
				values []string
			}{{w.Header(), tt.site}, {header, tt.function}} {
				for _, value := range set.values {
					set.h.Add(allow, value)
				}
			}
			c := &call{handler: handler, w: w, inv: routing.Invocation{
				Project: &projects.Project{Ref: "default"}, Function: &projects.Function{Slug: "f", CORS: tt.mode}, CORS: policy, Origin: "https://a.test",
			}}
			c.allowOrigin(header)
			if got := header.Values(allow); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("contract 4.9: %q, want %q", got, tt.want)
			}
			if left := w.Header().Values(allow); left != nil {
				t.Errorf("contract 4.9: %q leaves besides", left)
			}
			if got := logs.TakeAll(); len(got) != tt.warnings {
				t.Errorf("contract 4.9: logged %v", got)
			}
		})
	}
}

// Contract 4.9: a warning once a minute and function, with the same memory for any number of functions.
func TestOnceAMinute(t *testing.T) {
	var o warningLimiter
	start := time.Unix(1_790_000_000, 0)
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {119 * time.Second, false}, {2 * time.Minute, true}} {
		if got := o.due("p", "f", start.Add(tt.after)); got != tt.want {
			t.Errorf("contract 4.9: after %s: %v", tt.after, got)
		}
	}
	warned := 0
	for i := range 100_000 {
		if o.due("p", fmt.Sprint("f", i), start.Add(time.Hour)) {
			warned++
		}
	}
	if warned == 0 || warned > len(o.last) {
		t.Errorf("contract 4.9: %d warnings of %d slots", warned, len(o.last))
	}
}
