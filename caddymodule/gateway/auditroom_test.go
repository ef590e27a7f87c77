package gateway

import (
	"testing"

	"github.com/edgegate/edgegate/routing/projects"
)

// many is a catalogue of as many projects as it says, without any to be found.
type many bool

func (many) Find(string) (projects.Match, bool) { return projects.Match{}, false }
func (many) Ready() bool                        { return true }
func (m many) Many() bool                       { return bool(m) }

// Contract 9.6: without a capacity, nothing but in_flight keeps one of many projects from taking a region.
func TestAuditRoom(t *testing.T) {
	regions := []*Region{{Name: "bounded", Capacity: 10}, {Name: "unbounded"}}
	for _, tc := range []struct {
		name     string
		many     many
		inFlight *InFlight
		found    int
	}{
		{"many projects", true, nil, 1},
		{"one project", false, nil, 0},
		{"in_flight project", true, &InFlight{Project: 5}, 0},
		{"in_flight of others", true, &InFlight{Client: 5, Function: 5}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := &App{Regions: regions, InFlight: tc.inFlight, catalogue: tc.many}
			found := app.auditRoom()
			if len(found) != tc.found || tc.found > 0 && found[0].Subject != "region unbounded" {
				t.Errorf("%+v", found)
			}
		})
	}
}
