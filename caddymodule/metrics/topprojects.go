package metrics

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MostTopProjects bounds the option top_projects.
	MostTopProjects = 200
	// choosesEvery is the shortest time between two choices of the busiest projects.
	choosesEvery = time.Minute
	// halfLife is the time after which a request counts half in the choice.
	halfLife = 10 * time.Minute
	// busierBy is how much busier a project must be than the least busy of those with
	// series to take its place, so that equals do not change places all the time.
	busierBy = 1.5
	// endsAfter is how long the series of a project that lost its place stay.
	endsAfter = time.Hour
)

// projectCounts counts the requests of projects, and has the N busiest of them as
// series, the rest as `other`. The count of a series never falls: a project that loses
// its place keeps what it has, and what it does from then on is added to `other`. Its
// series ends after endsAfter, or when as many others lost theirs since as there are
// places. If it comes back later, it begins at 0.
//
// There are at most 2N+1 projects in a scrape, whatever tenants do. Choosing is the
// scrape's work: a request adds to counts of its project alone.
type projectCounts struct {
	most   atomic.Int64 // N; 0 counts nothing
	shards [64]projectShard

	mu     sync.Mutex // guards the fields below
	chosen map[string]*projectSeries
	rest   projectSeries // `other`
	chose  time.Time     // when the projects were chosen last
}

type projectShard struct {
	mu       sync.RWMutex // guards projects
	projects map[string]*projectTally
}

// projectTally has the requests of one project since the last scrape, and how busy it
// was before.
type projectTally struct {
	classes [len(classes)]atomic.Uint64
	nanos   atomic.Uint64
	busy    float64 // requests, of which older ones count less; guarded by projectCounts.mu
}

// projectSeries are the series of one project.
type projectSeries struct {
	project string
	classes [len(classes)]uint64
	seconds float64
	left    time.Time // when it lost its place; zero while it has it
}

var shardSeed = maphash.MakeSeed()

func (p *projectCounts) shard(project string) *projectShard {
	return &p.shards[maphash.String(shardSeed, project)%uint64(len(p.shards))]
}

// keep sets N.
func (p *projectCounts) keep(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most.Swap(int64(n)) == int64(n) {
		return
	}
	p.chose = time.Time{}
	if n > 0 {
		return
	}
	p.chosen, p.rest = nil, projectSeries{}
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		s.projects = nil
		s.mu.Unlock()
	}
}

// count counts a request of a project.
func (p *projectCounts) count(project string, class int, took time.Duration, socket bool) {
	if p.most.Load() == 0 {
		return
	}
	s := p.shard(project)
	// A scrape drops idle tallies while it holds the lock: what is added here is kept.
	s.mu.RLock()
	t := s.projects[project]
	if t != nil {
		t.add(class, took, socket)
		s.mu.RUnlock()
		return
	}
	s.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.projects == nil {
		s.projects = make(map[string]*projectTally)
	}
	if t = s.projects[project]; t == nil {
		t = new(projectTally)
		s.projects[project] = t
	}
	t.add(class, took, socket)
}

func (t *projectTally) add(class int, took time.Duration, socket bool) {
	t.classes[class].Add(1)
	if !socket {
		t.nanos.Add(uint64(max(took, 0)))
	}
}

// series returns the series of all projects, `other` last; nil if there is no option.
func (p *projectCounts) series(now time.Time) []projectSeries {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := int(p.most.Load())
	if most == 0 {
		return nil
	}
	p.rest.project = other
	p.collect(now, most)
	list := make([]projectSeries, 0, len(p.chosen)+1)
	for _, s := range p.chosen {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b projectSeries) int { return cmp.Compare(a.project, b.project) })
	return append(list, p.rest)
}

// busyProject is a project in the choice.
type busyProject struct {
	project string
	busy    float64
}

// collect adds what was counted since the last scrape to the series, and chooses the
// projects anew if it is time.
func (p *projectCounts) collect(now time.Time, most int) {
	choose := now.Sub(p.chose) >= choosesEvery
	fade := math.Exp2(-now.Sub(p.chose).Seconds() / halfLife.Seconds())
	var all []busyProject
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for project, t := range s.projects {
			t.busy += p.move(project, t)
			if !choose {
				continue
			}
			if project != other { // a project of that name is among the rest
				all = append(all, busyProject{project, t.busy})
			}
			if t.busy *= fade; t.busy < 0.01 {
				delete(s.projects, project)
			}
		}
		s.mu.Unlock()
	}
	if choose {
		p.choose(now, most, all)
	}
}

// move adds the requests since the last scrape to the series of the project, or to
// those of the rest, and returns their number.
func (p *projectCounts) move(project string, t *projectTally) (requests float64) {
	to := p.chosen[project]
	if to == nil || !to.left.IsZero() {
		to = &p.rest
	}
	for class := range t.classes {
		n := t.classes[class].Swap(0)
		to.classes[class] += n
		requests += float64(n)
	}
	to.seconds += time.Duration(t.nanos.Swap(0)).Seconds()
	return requests
}

// choose gives the busiest projects the places.
func (p *projectCounts) choose(now time.Time, most int, all []busyProject) {
	p.chose = now
	slices.SortFunc(all, func(a, b busyProject) int {
		return cmp.Or(cmp.Compare(b.busy, a.busy), cmp.Compare(a.project, b.project))
	})
	busy := make(map[string]float64, len(all))
	for _, one := range all {
		busy[one.project] = one.busy
	}
	var placed []busyProject // those that have a place, the least busy last
	for project, s := range p.chosen {
		if s.left.IsZero() {
			placed = append(placed, busyProject{project, busy[project]})
		}
	}
	slices.SortFunc(placed, func(a, b busyProject) int {
		return cmp.Or(cmp.Compare(b.busy, a.busy), cmp.Compare(a.project, b.project))
	})
	for ; len(placed) > most; placed = placed[:len(placed)-1] { // N became less
		p.chosen[placed[len(placed)-1].project].left = now
	}
	for _, one := range all {
		if s := p.chosen[one.project]; s != nil && s.left.IsZero() {
			continue
		}
		if len(placed) >= most {
			last := placed[len(placed)-1]
			if one.busy <= busierBy*last.busy {
				break // nor is any further one
			}
			p.chosen[last.project].left = now
			placed = placed[:len(placed)-1]
		}
		p.place(one.project)
		// It is as busy as those before it, or it would not have come here; it is not
		// compared with those after it.
		placed = slices.Insert(placed, 0, one)
	}
	p.end(now, most)
}

// place gives a project a place.
func (p *projectCounts) place(project string) {
	if p.chosen == nil {
		p.chosen = make(map[string]*projectSeries)
	}
	s := p.chosen[project]
	if s == nil {
		s = &projectSeries{project: project}
		p.chosen[project] = s
	}
	s.left = time.Time{}
}

// end ends series of projects that lost their places: those for which it was long
// ago, and the earliest of more than N.
func (p *projectCounts) end(now time.Time, most int) {
	var without []*projectSeries
	for project, s := range p.chosen {
		switch {
		case s.left.IsZero():
		case now.Sub(s.left) >= endsAfter:
			delete(p.chosen, project)
		default:
			without = append(without, s)
		}
	}
	slices.SortFunc(without, func(a, b *projectSeries) int {
		return cmp.Or(b.left.Compare(a.left), cmp.Compare(a.project, b.project))
	})
	for _, s := range without[min(len(without), most):] {
		delete(p.chosen, s.project)
	}
}
