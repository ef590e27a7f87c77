package gateway

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/regions"
)

// appOf runs a configuration and returns its app.
func appOf(t *testing.T) *App {
	t.Helper()
	load(t, appConfig(goodApp))
	return runningApp(t)
}

// A gateway that is drained is not ready until the order is taken back, which is possible once.
func TestDrainThisGateway(t *testing.T) {
	app := appOf(t)
	within(t, func() string {
		if a := app.Health(); !a.Ready {
			return "it is not ready"
		}
		return ""
	})
	if _, err := app.DrainGateway(-time.Second, true); err == nil {
		t.Error("it was drained over less than no time")
	}
	if status, err := app.DrainGateway(time.Hour, true); err != nil || status.Phase != health.Draining || status.Stops {
		t.Errorf("%+v, %v", status, err)
	}
	if a := app.Health(); a.Ready || len(a.Reasons) != 1 || app.GatewayDrain().Phase != health.Draining {
		t.Errorf("%+v while it is drained", a)
	}
	if status, err := app.UndrainGateway(); err != nil || status.Phase != health.Serving {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := app.UndrainGateway(); !errors.Is(err, health.ErrNotDrained) {
		t.Errorf("%v", err)
	}
	if a := app.Health(); !a.Ready {
		t.Errorf("%+v after that", a)
	}
}

// What lasts as long as a configuration ends when the next one takes over, and with its own context.
func TestWhile(t *testing.T) {
	app := appOf(t)
	parent, cancel := context.WithCancel(t.Context())
	own, releaseOwn := app.While(parent)
	defer releaseOwn()
	cancel()
	<-own.Done()
	other, release := app.While(t.Context())
	defer release()
	if other.Err() != nil {
		t.Fatal("it has ended before the configuration")
	}
	if err := caddy.Load(appConfig(goodApp), true); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.Done():
	case <-time.After(eventually):
		t.Error("it goes on although another configuration runs")
	}
}

// A certificate that cannot be had is a change of state, and so is that it can be had again.
func TestCertificatesAreWatched(t *testing.T) {
	app := appOf(t)
	for _, step := range []struct {
		name string
		data map[string]any
		want []string
	}{
		{"cert_failed", map[string]any{"identifier": "api.example.org", "error": errors.New("no challenge\nsecond line")}, []string{`"to":"failing"`, `"no challenge`}},
		{"cert_obtained", map[string]any{"identifier": "api.example.org"}, []string{`"from":"failing"`, `"to":"valid"`}},
	} {
		event, err := caddy.NewEvent(app.ctx, step.name, step.data)
		if err != nil {
			t.Fatal(err)
		}
		if err := (certificateWatch{app}).Handle(t.Context(), event); err != nil {
			t.Error(err)
		}
		logged.expect(t, append(step.want, `"what":"certificate"`, "api.example.org")...)
	}
	if app.Events() == nil {
		t.Error("there are no events")
	}
}

// A source of backends is shown with the age of its list, and with what is wrong with it.
func TestSourceStatus(t *testing.T) {
	now := time.Now().UTC()
	listed, failed := now.Add(-3*time.Second), errors.New("SERVFAIL\nsecond line")
	got := sourceStatus([]regions.SourceView{
		{Name: "a new:80"},
		{Name: "a stale:80", Backends: 2, ListedAt: listed, FailingSince: now, Err: failed},
		{Name: "a part:80", Backends: 1, ListedAt: listed, Incomplete: failed},
	}, now)
	age := 3.0
	want := []SourceStatus{
		{Source: "a new:80"},
		{Source: "a stale:80", Backends: 2, ListedAt: &listed, Age: &age, Failing: &now, Error: got[1].Error},
		{Source: "a part:80", Backends: 1, ListedAt: &listed, Age: &age, Incomplete: got[2].Incomplete},
	}
	if !reflect.DeepEqual(got, want) || got[1].Error == "" || got[2].Incomplete != got[1].Error {
		t.Errorf("%+v, want %+v", got, want)
	}
}
