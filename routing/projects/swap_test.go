package projects

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Requests go on while snapshots change under them: each sees a project and
// its domain as they were at one time.
func TestCatalogueSwapUnderLoad(t *testing.T) {
	const domain = "moving.example.org"
	b := testBuilder(t)
	first, _ := mustBuild(t, b, `{"projects":[{"ref":"`+refA+`","domains":["`+domain+`"]},{"ref":"`+refB+`"}]}`)
	second, _ := mustBuild(t, b, `{"projects":[{"ref":"`+refA+`"},{"ref":"`+refB+`","domains":["`+domain+`"]}]}`)
	var c Catalogue
	c.Swap(first)
	var done atomic.Bool
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for !done.Load() {
				m, ok := c.Find(domain)
				if !ok || len(m.Project.Domains) != 1 {
					t.Errorf("%+v, %v", m, ok)
					return
				}
			}
		})
	}
	for i := range 10_000 {
		if i%2 == 0 {
			c.Swap(second)
		} else {
			c.Swap(first)
		}
	}
	done.Store(true)
	requests.Wait()
}
