package projects

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// functions fills in the functions of p, and leaves those out that the plan
// does not pay for (contract 7.6).
func (c *compiler) functions(p *Project) {
	list := make([]Function, len(c.cfg.Functions))
	for i := range c.cfg.Functions {
		list[i] = c.function(i)
	}
	c.duplicateSlugs(list)
	if p.Organization != nil && p.Organization.Plan != nil {
		p.leftOut = c.leaveOut(list, p.Organization.Plan)
	}
	p.setFunctions(list)
}

func (c *compiler) function(i int) Function {
	cfg := &c.cfg.Functions[i]
	at := func(field string) string { return fmt.Sprintf("functions[%d].%s", i, field) }
	f := Function{
		Slug:      cfg.Slug,
		ID:        cfg.ID,
		Version:   cfg.Version,
		WallClock: time.Duration(cfg.WallClock),
		VerifyJWT: cfg.VerifyJWT == nil || *cfg.VerifyJWT,
	}
	if problem := slugProblem(f.Slug); problem != "" {
		c.wrong(at("slug"), "%s: %s", quoted(f.Slug), problem)
	}
	if !validFunctionID(f.ID) {
		c.wrong(at("id"), "must be at most %d visible ASCII characters", maxID)
	}
	if f.Version < 0 {
		c.wrong(at("version"), "must not be negative")
	}
	if f.WallClock < 0 {
		c.wrong(at("wall_clock"), "must not be negative")
	}
	var err error
	if f.CORS, err = ParseCORSMode(cfg.CORS); err != nil {
		c.wrong(at("cors"), "%s", err)
	}
	if f.HTML, err = ParseHTMLMode(cfg.HTML); err != nil {
		c.wrong(at("html"), "%s", err)
	}
	if f.Status, err = ParseStatus(cfg.Status); err != nil {
		c.wrong(at("status"), "%s", err)
	}
	if f.WebSocketToken, err = ParseTokenSource(cfg.WebSocketToken); err != nil {
		c.wrong(at("websocket_token"), "%s", err)
	}
	if f.EventSourceToken, err = ParseEventSourceToken(cfg.EventSourceToken); err != nil {
		c.wrong(at("event_source_token"), "%s", err)
	}
	f.Exposed = c.exposed(at("expose"), cfg.Expose)
	return f
}

// duplicateSlugs sorts places instead of slugs, which keeps both and needs no
// map.
func (c *compiler) duplicateSlugs(list []Function) {
	places := make([]int, len(list))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return strings.Compare(list[a].Slug, list[b].Slug) })
	first := 0 // of those with the same slug
	for k := 1; k < len(places); k++ {
		slug := list[places[k]].Slug
		if slug != list[places[first]].Slug {
			first = k
			continue
		}
		if slug != "" {
			c.wrong(fmt.Sprintf("functions[%d].slug", places[k]), "%s: listed twice, first at functions[%d]", quoted(slug), places[first])
		}
	}
}

// leaveOut marks what is beyond the plan as removed, so that a wildcard doesn't
// serve it, and returns how many functions that are.
func (c *compiler) leaveOut(list []Function, plan *Plan) int {
	if plan.Functions == 0 {
		return 0
	}
	count := 0
	var beyond []string
	for i := range list {
		if list[i].Status == StatusRemoved {
			continue
		}
		if count++; count > plan.Functions {
			list[i].Status = StatusRemoved
			beyond = append(beyond, list[i].Slug)
		}
	}
	if len(beyond) > 0 {
		const shown = 10
		names := strings.Join(beyond[:min(shown, len(beyond))], ", ")
		if more := len(beyond) - shown; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		c.problems = append(c.problems, Problem{
			Path: "functions",
			Message: fmt.Sprintf("%d functions, plan %s has %d: left out and answered 404 are %s",
				count, quoted(plan.Name), plan.Functions, names),
			Remedy: "remove functions or change the organization's plan",
		})
	}
	return len(beyond)
}

func validFunctionID(id string) bool {
	for i := 0; i < len(id); i++ {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return len(id) <= maxID
}
