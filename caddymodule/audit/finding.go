package audit

import (
	"cmp"
	"slices"
)

// Answer has the findings of an audit, as the admin API sends them and `edgegate audit`
// shows them.
type Answer struct {
	Findings []Finding `json:"findings"`
	OK       bool      `json:"ok"` // nothing of severity medium or high
}

// Finding is something unsafe, or probably not meant, and what to do about it. None
// of its texts has a secret in it.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"`   // which check found it; stable
	Subject  string   `json:"subject"` // what it is about
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy"`
}

// Severity ranks findings by urgency.
type Severity string

// The severities: whoever knows of a high one gets in; a medium one is a
// protection that is missing; low ones help an attack; the rest is to be known.
const (
	High   Severity = "high"
	Medium Severity = "medium"
	Low    Severity = "low"
	Info   Severity = "info"
)

var severities = []Severity{High, Medium, Low, Info}

// newAnswer sorts findings by severity; those of the same severity keep their
// order.
func newAnswer(findings []Finding) Answer {
	answer := Answer{Findings: findings, OK: true}
	if answer.Findings == nil {
		answer.Findings = []Finding{}
	}
	slices.SortStableFunc(answer.Findings, func(x, y Finding) int {
		return cmp.Compare(slices.Index(severities, x.Severity), slices.Index(severities, y.Severity))
	})
	for _, f := range answer.Findings {
		answer.OK = answer.OK && f.Severity != High && f.Severity != Medium
	}
	return answer
}
