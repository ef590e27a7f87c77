package simulation

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgegate/edgegate/regions/geo"
)

func (p *scenarioParser) scalar(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n, path, "needs a single value")
		return "", false
	}
	return n.Value, true
}

func (p *scenarioParser) text(into *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if value, ok := p.scalar(n, path); ok {
			*into = value
		}
	}
}

func (p *scenarioParser) word(into *string, allowed ...string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		switch {
		case !ok:
		case !slices.Contains(allowed, value):
			p.fail(n, path, "%q is not possible; allowed are %s", value, strings.Join(allowed, ", "))
		default:
			*into = value
		}
	}
}

func (p *scenarioParser) duration(into *time.Duration, least, most time.Duration) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			p.fail(n, path, "%q is no duration; write one as 90s, 2m30s or 20ms", value)
		case d < least || d > most:
			p.fail(n, path, "%s is not within %s to %s", value, least, most)
		default:
			*into = d
		}
	}
}

func (p *scenarioParser) number(into *float64, least, most float64) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		f, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
			p.fail(n, path, "%q is no number; allowed is %g to %g", value, least, most)
		case !(f >= least && f <= most):
			p.fail(n, path, "%s is not within %g to %g", value, least, most)
		default:
			*into = f
		}
	}
}

func (p *scenarioParser) count(into *int, least, most int) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		i, err := strconv.Atoi(value)
		if err != nil || i < least || i > most {
			p.fail(n, path, "%q is no number from %d to %d", value, least, most)
			return
		}
		*into = i
	}
}

func (p *scenarioParser) list(into *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			p.fail(n, path, "is no list; write it as [one, two]")
			return
		}
		*into = nil
		for i, item := range n.Content {
			inner := fmt.Sprintf("%s[%d]", path, i)
			value, ok := p.scalar(item, inner)
			p.lines[inner] = item.Line
			switch {
			case !ok:
			case slices.Contains(*into, value):
				p.fail(item, inner, "%q is listed twice", value)
			default:
				*into = append(*into, value)
			}
		}
	}
}

// wrong notes what is wrong with a field, or with one that is missing.
func (p *scenarioParser) wrong(path, name, format string, args ...any) {
	full := strings.TrimPrefix(path+"."+name, ".")
	line := p.lines[full]
	if line == 0 {
		line = max(1, p.lines[path])
	}
	p.problems = append(p.problems, &ScenarioError{Line: line, Field: full, Err: fmt.Errorf(format, args...)})
}

// check looks at what fields mean together.
func (p *scenarioParser) check(s *Scenario) {
	if s.Name == "" {
		p.wrong("", "name", "is missing")
	}
	if s.Warmup >= s.Duration {
		p.wrong("", "warmup", "%s is not less than the duration, %s", s.Warmup, s.Duration)
	}
	table := builtInRegions()
	for i, name := range s.Regions {
		if !slices.Contains(table, name) {
			p.wrong("", fmt.Sprintf("regions[%d]", i), "%q is not in the built-in table; allowed are %s", name, strings.Join(table, ", "))
		}
	}
	for i, name := range s.Gateways {
		if _, err := gatewayPlace(name); err != nil {
			p.wrong("", fmt.Sprintf("gateways[%d]", i), "%w", err)
		}
	}
	for i := range s.Events {
		p.checkEvent(s, &s.Events[i], fmt.Sprintf("events[%d]", i))
	}
}

// neededFields are the fields of an event by its kind, besides kind, at and for.
var neededFields = map[Kind]string{KindSlow: "factor", KindLoad: "factor", KindReset: "percent", KindFlap: "period", KindDrain: "over"}

func (p *scenarioParser) checkEvent(s *Scenario, e *Event, path string) {
	if e.Kind == "" {
		p.wrong(path, "kind", "is missing; allowed are %s", strings.Join(kinds, ", "))
		return
	}
	needed := neededFields[e.Kind]
	for _, name := range []string{"factor", "percent", "period", "over"} {
		_, given := p.lines[path+"."+name]
		switch {
		case name == needed && !given:
			p.wrong(path, name, "is missing; %s needs it", e.Kind)
		case name != needed && given:
			p.wrong(path, name, "means nothing with kind %s", e.Kind)
		}
	}
	if e.For == 0 {
		p.wrong(path, "for", "is missing")
	}
	if _, given := p.lines[path+".backends"]; given && (e.Kind == KindDrain || e.Kind == KindAbsent || e.Kind == KindLoad) {
		p.wrong(path, "backends", "means nothing with kind %s", e.Kind)
	}
	if e.Backends > s.Backends {
		p.wrong(path, "backends", "%d is more than the %d of a region", e.Backends, s.Backends)
	}
	if (e.Every > 0) != (e.Region == eachRegion) {
		p.wrong(path, "every", "goes with `region: each`, and only with it")
	}
	switch {
	case e.Kind == KindLoad && e.Region != "":
		p.wrong(path, "region", "means nothing with kind load")
	case e.Kind != KindLoad && e.Region != eachRegion && !slices.Contains(s.Regions, e.Region):
		p.wrong(path, "region", "%q is not possible; allowed are each, %s", e.Region, strings.Join(s.Regions, ", "))
	}
	if e.end(len(s.Regions)) > s.Duration {
		p.wrong(path, "for", "ends after %s, the run after %s", e.end(len(s.Regions)), s.Duration)
	}
}

// gatewayPlace returns the place of a gateway.
func gatewayPlace(name string) (geo.Place, error) {
	if slices.Contains(builtInRegions(), name) {
		place, _ := geo.PlaceOf(name)
		return place, nil
	}
	latitude, longitude, two := strings.Cut(name, " ")
	lat, errLat := strconv.ParseFloat(latitude, 64)
	lon, errLon := strconv.ParseFloat(longitude, 64)
	c := geo.Coordinates{Latitude: lat, Longitude: lon}
	if !two || errors.Join(errLat, errLon, c.Valid()) != nil {
		return geo.Place{}, fmt.Errorf("%q is neither a region nor coordinates; allowed are %s, or as 52.4 4.9", name, strings.Join(builtInRegions(), ", "))
	}
	return geo.Place{Coordinates: c, Known: true}, nil
}

// builtInRegions are those between which the round trips are known.
func builtInRegions() []string {
	return slices.Clone(tableRegions[:])
}

var tableRegions = [...]string{
	"ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1",
	"eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-west-1", "us-west-2",
}
