package projects

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/spelling"
)

// digest identifies a record's text. It is no short hash: who can write one
// project must not be able to make it pass for another.
type digest [sha256.Size]byte

func (r *Record) digest() digest {
	h := sha256.New()
	fmt.Fprintf(h, "%d,%s", len(r.Key), r.Key) // key and object must not run into one another
	h.Write(r.JSON)
	return digest(h.Sum(nil))
}

// builtProject is a project with the findings of its build; paths are relative to
// its object.
type builtProject struct {
	digest     digest
	project    *Project
	problems   []Problem
	conditions []condition
}

type builtOrganization struct {
	digest       digest
	organization *Organization
}

// generation has the objects that one Build put into force, by their text and by ref
// or id.
type generation struct {
	projects      map[digest]*builtProject
	byRef         map[string]*builtProject
	organizations map[digest]*builtOrganization
	byID          map[string]*builtOrganization
}

// place is a project of a Build with its position.
type place struct {
	path  string
	built *builtProject // nil: left out
	// inForce is true if it is from the last generation, whose projects share no
	// domain.
	inForce bool
}

// run is one Build.
type run struct {
	*Builder
	keepGood bool

	byID     map[string]*builtOrganization
	idPaths  map[string]string
	places   []place
	refPaths map[string]string

	invalid *InvalidError
	report  Report
	zones   map[string]*time.Location
	hints   int
}

func newRun(b *Builder, keepGood bool) *run {
	return &run{
		Builder:  b,
		keepGood: keepGood,
		invalid:  new(InvalidError),
		zones:    make(map[string]*time.Location),
		byID:     make(map[string]*builtOrganization),
		idPaths:  make(map[string]string),
		refPaths: make(map[string]string),
	}
}

// twice reports the second of two things that must differ.
func (r *run) twice(path, what, first string) {
	r.invalid.add(Problem{Path: path, Message: fmt.Sprintf("%s: listed twice, first at %s", quoted(what), first)})
}

// stays counts a record in error and reports whether its last good version stays.
func (r *run) stays(has bool) bool {
	if has {
		r.report.Kept++
	} else {
		r.report.Dropped++
	}
	return has
}

// addProjects builds the projects, or takes over those whose text and
// organization are the same as before.
func (r *run) addProjects(records []Record) {
	r.places = make([]place, 0, len(records))
	for i := range records {
		record := &records[i]
		sum := record.digest()
		p := place{path: record.Path, built: r.last.projects[sum]}
		if p.built != nil && r.sameOrganization(p.built.project.Organization) {
			p.inForce = true
			r.report.Reused++
		} else {
			same := p.built != nil // only the organization changed: domains are those in force
			built, ref, invalid := r.buildProject(record)
			built.digest = sum
			p.built, p.inForce = built, same
			if !invalid.empty() {
				r.invalid.addAll(record.Path, invalid)
				if r.keepGood {
					p.built, p.inForce = r.last.byRef[ref], true
					if !r.stays(p.built != nil) {
						continue
					}
				}
			}
		}
		if ref := p.built.project.Ref; ref != "" {
			if first, taken := r.refPaths[ref]; taken {
				r.twice(join(record.Path, "ref"), ref, first)
				if r.keepGood {
					r.report.Dropped++
				}
				continue
			}
			r.refPaths[ref] = record.Path
		}
		r.places = append(r.places, p)
	}
}

func (r *run) sameOrganization(o *Organization) bool {
	if o == nil {
		return true
	}
	now := r.byID[o.ID]
	return now != nil && now.organization == o
}

// buildProject reads one record. ref is that of the record's project, also if the
// record is wrong; "" if it names none.
func (r *run) buildProject(record *Record) (built *builtProject, ref string, invalid *InvalidError) {
	var cfg ProjectConfig
	invalid, unread := record.decode(&cfg)
	c := compiler{
		Builder:      r.Builder,
		cfg:          &cfg,
		organization: r.organization,
		invalid:      invalid,
		unread:       unread,
	}
	if ref = record.Key; ref == "" {
		ref = cfg.Ref
	}
	if cfg.Ref != "" && cfg.Ref != ref {
		c.wrong("ref", "%s: it is filed under %s", quoted(cfg.Ref), quoted(ref))
	}
	cfg.Ref = ref
	if invalid.full() || slices.Contains(unread, "") {
		// What else is wrong could only be counted, or there is no object at all.
		return &builtProject{project: &Project{Ref: ref}}, ref, invalid
	}
	p := c.project()
	return &builtProject{project: p, problems: c.problems, conditions: c.conditions}, ref, invalid
}

// organization returns the organization of an id.
func (r *run) organization(id string) (*Organization, error) {
	if built, ok := r.byID[id]; ok {
		return built.organization, nil
	}
	if r.hints++; r.hints > maxErrors {
		return nil, errors.New("unknown organization") // looking for the nearest match costs
	}
	return nil, fmt.Errorf("unknown organization%s", spelling.DidYouMean(id, slices.Sorted(maps.Keys(r.byID))))
}

// decode reads the record's object.
func (r *Record) decode(target any) (invalid *InvalidError, unread []string) {
	if !r.checked {
		if err := checkSyntax(r.JSON); err != nil {
			return &InvalidError{Problems: []Problem{{Message: err.Error()}}}, []string{""}
		}
	}
	return decode(r.JSON, target)
}

// generation returns what the next Build is compared to.
func (r *run) generation() generation {
	g := generation{
		projects:      make(map[digest]*builtProject, len(r.places)),
		byRef:         make(map[string]*builtProject, len(r.places)),
		organizations: make(map[digest]*builtOrganization, len(r.byID)),
		byID:          r.byID,
	}
	for _, p := range r.places {
		g.projects[p.built.digest], g.byRef[p.built.project.Ref] = p.built, p.built
	}
	for _, built := range r.byID {
		g.organizations[built.digest] = built
	}
	return g
}

func (r *run) snapshot() *Snapshot {
	s := &Snapshot{
		suffix:        r.suffix,
		projects:      make([]*Project, 0, len(r.places)),
		byRef:         make(map[string]*Project, len(r.places)),
		byDomain:      make(map[string]*Project),
		organizations: make(map[string]*Organization, len(r.byID)),
	}
	for _, p := range r.places {
		project := p.built.project
		s.projects = append(s.projects, project)
		s.byRef[project.Ref] = project
		for _, domain := range project.Domains {
			s.byDomain[domain] = project
		}
	}
	slices.SortFunc(s.projects, func(a, b *Project) int { return strings.Compare(a.Ref, b.Ref) })
	for id, built := range r.byID {
		s.organizations[id] = built.organization
	}
	return s
}
