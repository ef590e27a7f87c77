package audit

// Auditor is a guest module, such as an exporter, that finds what is unsafe about
// its own options. It is optional: `edgegate audit` asks those that have it.
type Auditor interface {
	// Audit returns what is unsafe, in a fixed order. It calls nobody.
	Audit() []Finding
}

func ofAuditors(auditors []Auditor) (findings []Finding) {
	for _, a := range auditors {
		findings = append(findings, a.Audit()...)
	}
	return findings
}
