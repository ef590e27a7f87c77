package audit

// ofRegions finds regions that one of many projects can have for itself
// (contract 9.6).
func ofRegions(in *Regions) (findings []Finding) {
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
