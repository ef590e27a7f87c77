package admin

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/projects"
)

// explain answers for a hypothetical request: ?region= is what it names, ?from=
// the country it comes from, ?project= whose it is and ?request_id= its id;
// ?down= and ?load= say what to suppose of the regions, and ?at= has it arrive at
// another gateway of the fleet.
func explain(app *gateway.App, r *http.Request) (any, error) {
	query := r.URL.Query()
	view, err := suppose(app, query)
	if err != nil {
		return nil, err
	}
	q, err := hypothetical(app, query)
	if err != nil {
		return nil, err
	}
	return app.Explain(view, q)
}

// hypothetical is the request that is asked about.
func hypothetical(app *gateway.App, query url.Values) (*plan.Query, error) {
	hint, err := regions.ParseHint([]string{query.Get("region")}, "")
	if err != nil {
		return nil, err
	}
	q := &plan.Query{Hint: hint, ID: query.Get("request_id")}
	if q.ID == "" {
		q.ID = routing.NewRequestID(time.Now())
	}
	if country := query.Get("from"); country != "" {
		if !plan.ValidCountry(country) {
			return nil, fmt.Errorf("from %q: must be a country's two capital letters, such as KE", country)
		}
		q.Client = geo.Client{Country: country, Source: "said"}
	}
	if !app.ManyProjects() {
		for project := range app.Projects() {
			q.Tenant = app.Tenant(project)
		}
	}
	if ref := query.Get("project"); ref != "" {
		project, err := projectByRef(app.Projects(), ref)
		if err != nil {
			return nil, err
		}
		q.Residency, q.Tenant = project.Regions, app.Tenant(project)
	}
	return q, nil
}

// suppose is the view with what the question supposes.
func suppose(app *gateway.App, query url.Values) (*regions.View, error) {
	what := plan.WhatIf{Down: items(query["down"]), Load: make(map[string]float64)}
	for _, item := range items(query["load"]) {
		name, load, err := plan.ParseLoad(item)
		if err != nil {
			return nil, fmt.Errorf("load %w", err)
		}
		what.Load[name] = load
	}
	view := app.View()
	if at := query.Get("at"); at != "" {
		var err error
		if view, err = viewAt(app, at); err != nil {
			return nil, err
		}
	}
	view, err := plan.Suppose(view, what)
	if unknown := (*plan.InvalidRegionError)(nil); errors.As(err, &unknown) {
		return nil, fmt.Errorf("region %q is not configured%s; configured are %s",
			unknown.Region, spelling.DidYouMean(unknown.Region, unknown.Allowed), strings.Join(unknown.Allowed, ", "))
	}
	return view, err
}

// items splits lists at their commas.
func items(values []string) []string {
	var list []string
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

func projectByRef(inForce iter.Seq[*projects.Project], ref string) (*projects.Project, error) {
	var refs []string
	for p := range inForce {
		if p.Ref == ref {
			return p, nil
		}
		refs = append(refs, p.Ref)
	}
	return nil, fmt.Errorf("project %q is not there%s", ref, spelling.DidYouMean(ref, refs))
}

// viewAt is the regions as another gateway of the fleet sees them.
func viewAt(app *gateway.App, name string) (*regions.View, error) {
	view, ok := app.Fleet().ViewAt(name, app.View())
	if ok {
		return view, nil
	}
	heard, _ := app.Fleet().Heard()
	if len(heard) == 0 {
		return nil, errors.New("at: no other gateway is heard; they need a `store redis` that they share")
	}
	names := make([]string, 0, len(heard))
	for i := range heard {
		names = append(names, heard[i].Gateway)
	}
	return nil, fmt.Errorf("at %q: no such gateway is heard%s; heard are %s", name, spelling.DidYouMean(name, names), strings.Join(names, ", "))
}
