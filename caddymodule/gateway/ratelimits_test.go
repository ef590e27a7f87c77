package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// Contract 9.6: a call that one cap of in_flight refuses holds no place within another, and what it held is given back once,
// however often its end is told.
func TestInFlightIsGivenBack(t *testing.T) {
	app := &App{InFlight: &InFlight{Project: 3, Function: 1}, shared: &sharedState{inFlight: &inFlightCounter{InFlight: rate.NewInFlight()}}}
	if err := app.provisionRoom(); err != nil {
		t.Fatal(err)
	}
	enter := func(slug string) (*callMeter, string) {
		m := &callMeter{call: &call{handler: &Handler{app: app}}}
		return m, m.Enter(&routing.Invocation{Project: &projects.Project{Ref: "p"}, Function: &projects.Function{Slug: slug}, Slug: slug})
	}
	held, scope := enter("a")
	if scope != "" {
		t.Fatal(scope)
	}
	for range 5 { // a project of three would be full after two
		if _, scope := enter("a"); scope != "function" {
			t.Errorf("refused by %q", scope)
		}
	}
	var others []*callMeter
	for i := range 2 {
		m, scope := enter(fmt.Sprint("b", i))
		if scope != "" {
			t.Errorf("refused by %q", scope)
		}
		others = append(others, m)
	}
	if _, scope := enter("c"); scope != "project" {
		t.Errorf("refused by %q", scope)
	}
	if n := app.shared.inFlight.Len(); n != 4 {
		t.Errorf("%d entries, want the project and three functions", n)
	}
	for range 2 {
		held.leave()
		for _, m := range others {
			m.leave()
		}
	}
	if n := app.shared.inFlight.Len(); n != 0 {
		t.Errorf("%d entries at the end", n)
	}
}

// What JSON may say wrong, which a Caddyfile cannot.
func TestProvisionRoom(t *testing.T) {
	for _, tc := range []struct {
		app  *App
		want string
	}{
		{&App{CapacityShare: -1}, "capacity_share: must be from 1 to 100, in percent"},
		{&App{CapacityShare: 101}, "capacity_share: must be from 1 to 100, in percent"},
		{&App{InFlight: &InFlight{Function: -1}}, "in_flight: function: must be a number from 1"},
		{&App{Plans: map[string]*Plan{"pro": {Weight: -1}}}, "plan pro: weight: must be from 1 to 1000"},
		{&App{Plans: map[string]*Plan{"pro": {Weight: 1001}}}, "plan pro: weight: must be from 1 to 1000"},
	} {
		if err := tc.app.provisionRoom(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
	for _, share := range []int64{0, 1, 100} {
		if err := (&App{CapacityShare: share, InFlight: new(InFlight)}).provisionRoom(); err != nil {
			t.Errorf("%d: %v", share, err)
		}
	}
}
