package gateway

import "github.com/edgegate/edgegate/caddymodule/audit"

// auditRoom finds regions that one of many projects can have for itself
// (contract 9.6).
func (a *App) auditRoom() (findings []audit.Finding) {
	if !a.catalogue.Many() || a.InFlight != nil && a.InFlight.Project > 0 {
		return nil
	}
	for _, r := range a.Regions {
		if r.Capacity == 0 {
			findings = append(findings, audit.Finding{
				Severity: audit.Low,
				Check:    "region_capacity",
				Subject:  "region " + r.Name,
				Message:  "no `capacity` and no `in_flight project`: calls of one project that do not end can take the region away from the others",
				Remedy:   "add `capacity N` to the region, with what it can run at once, or `in_flight project N` to the global option",
			})
		}
	}
	return findings
}
