package simulation

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/plan"
)

// ScenarioError is an error in a scenario file, with its position.
type ScenarioError struct {
	Line  int    // from 1
	Field string // as in events[0].kind, empty if it is the file as a whole
	Err   error  // what is wrong, and what to write instead
}

// Error implements error.
func (e *ScenarioError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason()) }

// Reason is Error without the line.
func (e *ScenarioError) Reason() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Field, e.Err)
}

// Unwrap returns what is wrong.
func (e *ScenarioError) Unwrap() error { return e.Err }

// ReadScenario reads a scenario in YAML. Fields that do not exist, values of
// another kind or out of bounds, and fields given twice are errors, each a
// *ScenarioError, joined; what is left out has its default.
func ReadScenario(r io.Reader) (*Scenario, error) {
	decoder := yaml.NewDecoder(r)
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, &ScenarioError{Line: 1, Err: errors.New("the file is empty; write at least `name: NAME`")}
	case err != nil:
		return nil, fmt.Errorf("reading YAML: %w", err) // yaml's errors tell the line
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &ScenarioError{Line: 1, Err: errors.New("there is more than one document; write a file for each")}
	}
	s := defaultScenario()
	p := &scenarioParser{lines: make(map[string]int)}
	p.object(document.Content[0], "", scenarioFields(p, s))
	if len(p.problems) == 0 {
		p.check(s)
	}
	if err := errors.Join(p.problems...); err != nil {
		return nil, err
	}
	return s, nil
}

func defaultScenario() *Scenario {
	return &Scenario{
		Duration: 5 * time.Minute,
		Warmup:   time.Minute,
		Rate:     200,
		Backends: 2,
		Service:  20 * time.Millisecond,
		Post:     0.3,
		Named:    0.1,
		Noise:    0.02,
		Nearest:  plan.NearGateway,
		Locate:   LocateCountry,
		Regions:  builtInRegions(),
	}
}

// field is one name of an object, and what reads its value.
type field struct {
	name string
	read func(n *yaml.Node, path string)
}

func scenarioFields(p *scenarioParser, s *Scenario) []field {
	return []field{
		{"name", p.text(&s.Name)},
		{"about", p.text(&s.About)},
		{"duration", p.duration(&s.Duration, time.Second, 24*time.Hour)},
		{"warmup", p.duration(&s.Warmup, 0, time.Hour)},
		{"rate", p.number(&s.Rate, 0.1, 5000)},
		{"regions", p.list(&s.Regions)},
		{"backends", p.count(&s.Backends, 1, 16)},
		{"gateways", p.list(&s.Gateways)},
		{"service", p.duration(&s.Service, 0, time.Minute)},
		{"post", p.number(&s.Post, 0, 1)},
		{"named", p.number(&s.Named, 0, 1)},
		{"misrouted", p.number(&s.Misrouted, 0, 1)},
		{"noise", p.number(&s.Noise, 0, 0.9)},
		{"headroom", p.number(&s.Headroom, 0, 1000)},
		{"nearest", p.word((*string)(&s.Nearest), string(plan.NearGateway), string(plan.NearClient))},
		{"locate", p.word((*string)(&s.Locate), string(LocateCountry), string(LocateCoordinates))},
		{"events", func(n *yaml.Node, path string) {
			if n.Kind != yaml.SequenceNode {
				p.fail(n, path, "is no list; write `- kind: ...` below it")
				return
			}
			for i, item := range n.Content {
				e := Event{}
				p.object(item, fmt.Sprintf("%s[%d]", path, i), eventFields(p, &e))
				s.Events = append(s.Events, e)
			}
		}},
	}
}

func eventFields(p *scenarioParser, e *Event) []field {
	return []field{
		{"kind", p.word((*string)(&e.Kind), kinds...)},
		{"at", p.duration(&e.At, 0, 24*time.Hour)},
		{"for", p.duration(&e.For, time.Millisecond, 24*time.Hour)},
		{"region", p.text(&e.Region)},
		{"every", p.duration(&e.Every, time.Second, 24*time.Hour)},
		{"backends", p.count(&e.Backends, 1, 16)},
		{"factor", p.number(&e.Factor, 0, 1000)},
		{"percent", p.number(&e.Percent, 0, 100)},
		{"period", p.duration(&e.Period, time.Second, time.Hour)},
		{"over", p.duration(&e.Over, 0, 24*time.Hour)},
	}
}

// scenarioParser collects all that is wrong.
type scenarioParser struct {
	problems []error
	lines    map[string]int // of the fields that were given
}

func (p *scenarioParser) fail(n *yaml.Node, path, format string, args ...any) {
	p.problems = append(p.problems, &ScenarioError{Line: n.Line, Field: path, Err: fmt.Errorf(format, args...)})
}

func (p *scenarioParser) object(n *yaml.Node, path string, fields []field) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, path, "is no object; write `name: value` lines")
		return
	}
	p.lines[path] = n.Line
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		inner := strings.TrimPrefix(path+"."+key.Value, ".")
		at := slices.Index(names, key.Value)
		switch {
		case at < 0:
			hint := ""
			if near, ok := spelling.ClosestName(key.Value, names); ok {
				hint = fmt.Sprintf(" (did you mean %s?)", near)
			}
			p.fail(key, inner, "no such field%s; there are %s", hint, strings.Join(names, ", "))
		case p.lines[inner] != 0:
			p.fail(key, inner, "was given on line %d already", p.lines[inner])
		default:
			p.lines[inner] = value.Line
			fields[at].read(value, inner)
		}
	}
}
