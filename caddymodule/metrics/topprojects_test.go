package metrics

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shown returns the requests of each project in a scrape, and fails if there are too many, or two of one name.
func shown(t *testing.T, p *projectCounts, now time.Time) map[string]uint64 {
	t.Helper()
	requests := make(map[string]uint64)
	series := p.series(now)
	if most := int(p.most.Load()); len(series) > 2*most+1 {
		t.Fatalf("%d projects, though %d are the most", len(series), most)
	}
	for _, s := range series {
		if _, twice := requests[s.project]; twice {
			t.Fatalf("%s is there twice", s.project)
		}
		for _, n := range s.classes {
			requests[s.project] += n
		}
	}
	return requests
}

func (p *projectCounts) add(project string, n int) {
	for range n {
		p.count(project, 2, time.Second, false)
	}
}

func TestTopProjects(t *testing.T) {
	p, now := new(projectCounts), time.Unix(1_800_000_000, 0)
	step := func(d time.Duration, want string) {
		t.Helper()
		now = now.Add(d)
		got := shown(t, p, now)
		var texts []string
		for _, project := range []string{"a", "b", "c", "d", "other"} {
			if n, ok := got[project]; ok {
				texts = append(texts, fmt.Sprintf("%s %d", project, n))
			}
		}
		if text := strings.Join(texts, ", "); text != want {
			t.Errorf("after %v: %s, want %s", d, text, want)
		}
	}
	p.add("a", 10)
	if s := p.series(now); s != nil {
		t.Errorf("without the option: %v", s)
	}
	p.keep(2)
	step(0, "other 0")
	p.add("a", 100)
	p.add("b", 50)
	p.add("c", 10)
	step(time.Second, "other 160")                      // no choice within a minute of the last
	step(time.Minute, "a 0, b 0, other 160")            // chosen: their counts begin
	p.add("a", 1)                                       //
	p.add("c", 2)                                       //
	step(time.Second, "a 1, b 0, other 162")            //
	p.add("c", 30)                                      // b has 50: c is not busier
	step(time.Minute, "a 1, b 0, other 192")            //
	p.add("c", 100)                                     //
	step(time.Minute, "a 1, b 0, c 0, other 292")       // c takes the place of b, whose count stays
	p.add("b", 5)                                       //
	p.add("c", 5)                                       //
	step(time.Second, "a 1, b 0, c 5, other 297")       // b counts among the others
	p.add("d", 1000)                                    //
	step(time.Minute, "a 1, b 0, c 5, d 0, other 1297") // d takes the place of the less busy of a and c
	step(2*time.Hour, "c 5, d 0, other 1297")           // a and b are ended
	p.add("other", 10_000)                              // a project may have that name
	step(time.Minute, "c 5, d 0, other 11297")          //
	p.keep(1)                                           //
	step(time.Minute, "c 5, d 0, other 11297")          // one of them keeps its count for an hour
	p.add("c", 7)                                       //
	p.add("d", 7)                                       //
	got := shown(t, p, now)
	if got["c"]+got["d"] != 5+7 || got["other"] != 11297+7 {
		t.Errorf("after one of two lost its place: %v", got)
	}
	p.keep(0)
	if s := p.series(now); s != nil {
		t.Errorf("without the option again: %v", s)
	}
}

// A tenant with thousands of projects that take turns makes no more series, no count falls, and no request is lost.
func TestTopProjectsUnderChurn(t *testing.T) {
	p, now, random := new(projectCounts), time.Unix(1_800_000_000, 0), rand.New(rand.NewPCG(3, 4))
	p.keep(5)
	var counted, ended uint64 // ended: of series that are gone
	before := make(map[string]uint64)
	for round := range 500 {
		for range 20 {
			n := random.IntN(100)
			p.add("tenant-"+strconv.Itoa(round*7%3000+random.IntN(20)), n)
			counted += uint64(n)
		}
		p.add("steady", 500)
		counted += 500
		now = now.Add(time.Duration(random.IntN(90)) * time.Second)
		got := shown(t, p, now)
		all := ended
		for project, n := range before {
			if m, there := got[project]; there && m < n {
				t.Fatalf("round %d: %s fell from %d to %d", round, project, n, m)
			} else if !there {
				ended, all = ended+n, all+n
			}
		}
		for _, n := range got {
			all += n
		}
		if all != counted {
			t.Fatalf("round %d: %d requests were counted, %d are shown", round, counted, all)
		}
		if _, there := got["steady"]; round > 5 && !there {
			t.Fatalf("round %d: the busiest project has no series", round)
		}
		before = got
	}
	tallies := 0
	for i := range p.shards {
		tallies += len(p.shards[i].projects)
	}
	if tallies > 3000 {
		t.Errorf("%d projects are remembered", tallies)
	}
}
