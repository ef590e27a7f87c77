package projects

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/cors"
)

// compiler turns what an operator wrote about one project into a Project. Its
// paths are those inside the object.
type compiler struct {
	*Builder
	cfg    *ProjectConfig
	single bool // single-project mode
	// organization finds who pays. Its error names the nearest match.
	organization func(id string) (*Organization, error)

	invalid    *InvalidError
	unread     []string // paths that have an error already: its consequences are no news
	problems   []Problem
	conditions []condition
}

// condition is a problem that comes and goes while the text stays the same.
type condition struct {
	path    string
	name    string    // of the API key, or of
	file    string    // the file, which may be missing; "" for a key
	expires time.Time // of the key
}

// wrong notes a structural problem.
func (c *compiler) wrong(path, format string, args ...any) {
	for _, unread := range c.unread {
		if rest, ok := strings.CutPrefix(path, unread); ok && (unread == "" || rest == "" || rest[0] == '.') {
			return
		}
	}
	c.invalid.add(Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// project checks everything, so that all that is wrong is said at once. The
// result counts only if nothing is.
func (c *compiler) project() *Project {
	p := &Project{
		Ref:               c.cfg.Ref,
		MaxBody:           int64(c.cfg.MaxBody),
		CountUnauthorized: c.cfg.CountUnauthorized,
		WallClock:         time.Duration(c.cfg.WallClock),
	}
	switch {
	case c.single && (p.Ref == "" || p.Ref == DefaultRef):
		p.Ref = DefaultRef
	case c.single:
		c.wrong("ref", "%s: the only project is called %s", quoted(p.Ref), DefaultRef)
	case !ValidRef(p.Ref):
		c.wrong("ref", "%s: must be twenty lower-case letters", quoted(p.Ref))
	}
	if id := c.cfg.Organization; id != "" {
		var err error
		if p.Organization, err = c.organization(id); err != nil {
			c.wrong("organization", "%s: %s", quoted(id), err)
		}
	}
	c.nonNegative("max_body", int64(c.cfg.MaxBody))
	c.nonNegative("wall_clock", int64(c.cfg.WallClock))
	if p.WallClock == 0 && p.Organization != nil && p.Organization.Plan != nil {
		p.WallClock = p.Organization.Plan.WallClock
	}
	p.Domains = c.domains()
	p.Regions = c.regions()
	p.Auth = c.verifier()
	if c.cfg.CORS != nil {
		var err error
		if p.CORS, err = cors.New(cors.Config{Origins: c.cfg.CORS.Origins, Credentials: c.cfg.CORS.Credentials}); err != nil {
			c.wrongLines("cors", err)
		}
	}
	p.Exposed = c.exposed("expose", c.cfg.Expose)
	c.functions(p)
	return p
}

// wrongLines notes each line of an error that joins several.
func (c *compiler) wrongLines(path string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		c.wrong(path, "%s", line)
	}
}

// exposed reads the option expose.
func (c *compiler) exposed(path string, names []string) cors.Exposed {
	list, err := cors.ParseExposed(names)
	if err != nil {
		c.wrongLines(path, err)
	}
	return list
}

func (c *compiler) nonNegative(path string, n int64) {
	if n < 0 {
		c.wrong(path, "must not be negative")
	}
}

// domains returns the own hosts. Hosts that are a project's by its ref cannot be
// claimed by another, nor can the domain that they all are below. A single
// project has nobody to claim from.
func (c *compiler) domains() []string {
	list := make([]string, 0, len(c.cfg.Domains))
	places := make(map[string]int, len(c.cfg.Domains)) // of those in list
	for i, domain := range c.cfg.Domains {
		path := fmt.Sprintf("domains[%d]", i)
		if strings.Contains(domain, placeholder) {
			c.wrong(path, "%s: placeholders are filled in only in keys and secrets", quoted(domain))
			continue
		}
		host, err := ParseDomain(domain)
		if err != nil {
			c.wrong(path, "%s: %s", quoted(domain), err)
			continue
		}
		at := cutApex(host, c.suffix)
		first, twice := places[host]
		if !twice {
			places[host] = i
		}
		switch {
		case twice:
			c.wrong(path, "%s: listed twice, first at domains[%d]", quoted(domain), first)
		case !c.single && c.suffix != "" && host == c.suffix[1:]:
			c.wrong(path, "%s: is the apex of all projects", quoted(domain))
		case !c.single && ValidRef(at.label):
			c.wrong(path, "%s: is a host of the project %s by its ref", quoted(domain), quoted(at.label))
		}
		list = append(list, host) // also a wrong one
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// regions returns the residency list. Regions that are not configured here are
// no mistake: the document may serve gateways that have them.
func (c *compiler) regions() []string {
	if len(c.cfg.Regions) == 0 {
		return nil // an empty list is no list, not one of nothing
	}
	var unknown []int
	places := make(map[string]int, len(c.cfg.Regions))
	for i, name := range c.cfg.Regions {
		path := fmt.Sprintf("regions[%d]", i)
		first, twice := places[name]
		if !twice {
			places[name] = i
		}
		switch {
		case name == "":
			c.wrong(path, "must not be empty")
		case twice:
			c.wrong(path, "%s: listed twice, first at regions[%d]", quoted(name), first)
		case len(c.config.Regions) > 0 && !slices.Contains(c.config.Regions, name):
			unknown = append(unknown, i)
		}
	}
	for _, i := range unknown {
		name := c.cfg.Regions[i]
		c.problems = append(c.problems, Problem{
			Path:    fmt.Sprintf("regions[%d]", i),
			Message: fmt.Sprintf("%s is not configured here%s", quoted(name), spelling.DidYouMean(name, c.config.Regions)),
			Remedy:  "configured are " + strings.Join(c.config.Regions, ", "),
		})
	}
	if len(unknown) == len(c.cfg.Regions) {
		c.problems = append(c.problems, Problem{
			Path: "regions", Message: "none of them is configured here: every call is answered 503",
			Remedy: "add a configured region or remove the list",
		})
	}
	return slices.Clone(c.cfg.Regions)
}
