package projects

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Report has the findings of a Build.
type Report struct {
	// Problems are warnings: they refuse nothing.
	Problems []Problem
	// Errors are the structural problems. With Input.KeepGood they are those of
	// records that were not taken over; without, Build returns them as its error.
	Errors *InvalidError
	// Organizations, Projects and Functions count what is in the snapshot.
	Organizations, Projects, Functions int
	// OverPlan counts the functions left out because of a plan (contract 7.6).
	OverPlan int
	// Reused counts the projects that did not change since the last Build.
	Reused int
	// Kept counts records in error whose last good version stays in force, Dropped
	// those that never had one; both are 0 without Input.KeepGood.
	Kept, Dropped int
}

func (r *run) finish() Report {
	now := r.config.Now()
	for _, p := range r.places {
		for _, list := range [][]Problem{p.built.problems, unmet(p.built.conditions, now)} {
			for _, problem := range list {
				problem.Path = join(p.path, problem.Path)
				r.report.Problems = append(r.report.Problems, problem)
			}
		}
		r.report.Functions += p.built.project.Functions()
		r.report.OverPlan += p.built.project.LeftOut()
	}
	r.report.Projects, r.report.Organizations = len(r.places), len(r.byID)
	if !r.invalid.empty() {
		r.report.Errors = r.invalid
	}
	return r.report
}

// unmet returns the problems of the conditions that hold now.
func unmet(conditions []condition, now time.Time) []Problem {
	var problems []Problem
	for _, c := range conditions {
		if c.file != "" {
			if _, err := os.Stat(c.file); err != nil {
				if at, ok := errors.AsType[*os.PathError](err); ok {
					err = at.Err
				}
				problems = append(problems, Problem{Path: c.path, Message: fmt.Sprintf("%s: %s", quoted(c.file), err), Remedy: "until it is there no token signed with its keys is accepted"})
			}
			continue
		}
		if !now.Before(c.expires) {
			problems = append(problems, Problem{
				Path: c.path, Message: fmt.Sprintf("the API key %s expired at %s and is refused", quoted(c.name), c.expires.UTC().Format(time.RFC3339)),
				Remedy: "remove it",
			})
		}
	}
	return problems
}
