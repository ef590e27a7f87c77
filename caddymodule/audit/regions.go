package audit

import (
	"fmt"
	"time"
)

// ofRegions finds regions that one of many projects can have for itself
// (contract 9.6), and lists of backends that are old.
func ofRegions(in *Regions) (findings []Finding) {
	return append(ofLists(in.Lists), unbounded(in)...)
}

// ofLists finds lists of backends whose look-ups fail, or find a part only.
func ofLists(lists []List) (findings []Finding) {
	for _, l := range lists {
		f := Finding{
			Severity: Medium,
			Check:    "backend_list",
			Subject:  "region " + l.Region,
			Message:  fmt.Sprintf("the list of backends of %s is %s old: %s", l.Source, l.Age.Round(time.Second), l.Error),
			Remedy:   "mend the name server or the record; until then calls go to the backends of the last list",
		}
		switch {
		case l.Incomplete:
			f.Severity = Low
			f.Message = fmt.Sprintf("a part of the list of backends of %s could not be looked up: %s", l.Source, l.Error)
			f.Remedy = "mend the name server or the record; until then a backend of that part that goes or comes is not noticed"
		case l.Age == 0:
			f.Severity = High
			f.Message = fmt.Sprintf("there is no list of backends of %s: %s", l.Source, l.Error)
			f.Remedy = "mend the name, the name server or the record: `edgegate regions` shows what it says"
		}
		findings = append(findings, f)
	}
	return findings
}

func unbounded(in *Regions) (findings []Finding) {
	if !in.ManyProjects || in.CapPerProject {
		return nil
	}
	for _, name := range in.Unbounded {
		findings = append(findings, Finding{
			Severity: Low,
			Check:    "region_capacity",
			Subject:  "region " + name,
			Message:  "no `capacity` and no `in_flight project`: calls of one project that do not end can take the region away from the others",
			Remedy:   "add `capacity N` to the region, with what it can run at once, or `in_flight project N` to the global option",
		})
	}
	return findings
}
