package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// listProjects answers the projects in force.
func listProjects(app *gateway.App, _ *http.Request) (any, error) {
	status := app.ProjectStatus()
	answer := gateway.ProjectsAnswer{
		Source:   status.Source,
		Location: status.Location,
		LoadedAt: status.LoadedAt,
		Error:    status.Error,
		Projects: []gateway.ProjectSummary{},
	}
	for p := range app.Projects() {
		one := gateway.ProjectSummary{
			Ref:       p.Ref,
			Functions: p.Functions(),
			LeftOut:   p.LeftOut(),
			Domains:   append([]string{}, p.Domains...),
			Regions:   append([]string{}, p.Regions...),
		}
		if o := p.Organization; o != nil {
			one.Organization = o.ID
			if o.Plan != nil {
				one.Plan = o.Plan.Name
			}
		}
		answer.Projects = append(answer.Projects, one)
	}
	return answer, nil
}
