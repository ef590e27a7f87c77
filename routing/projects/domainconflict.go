package projects

import (
	"fmt"
	"slices"
)

// claim is the project that has a domain in a Build.
type claim struct{ place, domain int }

// settleDomains gives every domain to one project. With Input.KeepGood the project
// that has a domain in force keeps it: no other can take it over by listing it too.
func (r *run) settleDomains() {
	if !r.keepGood {
		r.claimDomains(func(place, domain int, by claim) { r.domainTwice(place, domain, by) })
		return
	}
	for {
		var losers []int
		r.claimDomains(func(place, domain int, by claim) {
			r.domainTwice(place, domain, by)
			losers = append(losers, place)
		})
		if len(losers) == 0 {
			return
		}
		slices.Sort(losers)
		losers = slices.Compact(losers)
		// Going back to the last version can take a domain from one that had
		// claimed it in the meantime: all is judged once more. Versions in force
		// never lose, so this ends.
		for _, i := range losers {
			p := &r.places[i]
			p.built, p.inForce = r.last.byRef[p.built.project.Ref], true
			r.stays(p.built != nil)
		}
		r.places = deleteLeftOut(r.places)
	}
}

// claimDomains gives the domains to the projects that have them in force, then in
// order, and reports the projects that come too late.
func (r *run) claimDomains(late func(place, domain int, by claim)) {
	claims := make(map[string]claim)
	for _, first := range []bool{true, false} {
		for i := range r.places {
			has := r.inForce(i)
			for k, domain := range r.places[i].built.project.Domains {
				if has(domain) != first {
					continue
				}
				// A project's own domains differ, but not those of one in error.
				if by, taken := claims[domain]; !taken {
					claims[domain] = claim{place: i, domain: k}
				} else if by.place != i {
					late(i, k, by)
				}
			}
		}
	}
}

// inForce returns a function that reports whether the project at place has a domain
// in force.
func (r *run) inForce(place int) func(domain string) bool {
	p := &r.places[place]
	if !r.keepGood || p.inForce {
		return func(string) bool { return r.keepGood }
	}
	last := r.last.byRef[p.built.project.Ref]
	if last == nil {
		return func(string) bool { return false }
	}
	theirs := make(map[string]bool, len(last.project.Domains))
	for _, domain := range last.project.Domains {
		theirs[domain] = true
	}
	return func(domain string) bool { return theirs[domain] }
}

func (r *run) domainTwice(place, domain int, by claim) {
	r.twice(join(r.places[place].path, fmt.Sprintf("domains[%d]", domain)), r.places[place].built.project.Domains[domain],
		join(r.places[by.place].path, fmt.Sprintf("domains[%d]", by.domain)))
}

func deleteLeftOut(places []place) []place {
	kept := places[:0]
	for _, p := range places {
		if p.built != nil {
			kept = append(kept, p)
		}
	}
	return kept
}
