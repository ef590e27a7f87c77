package billing

import "time"

// ExportersAnswer says how far exporters are: the answer of `edgegate usage exporters`
// and `usage push`.
type ExportersAnswer struct {
	// Exporters has those of the configuration in force, in its order.
	Exporters []ExporterStatus `json:"exporters"`
}

// The states of an exporter.
const (
	ExporterOK      = "ok"
	ExporterWaiting = "waiting" // its first round is yet to come, or what it was told is not known in full
	ExporterStandby = "standby" // another process exports
	ExporterFailing = "failing" // its last round failed
)

// ExporterStatus is how far one exporter is.
type ExporterStatus struct {
	// Name is the exporter's, with what it exports to.
	Name string `json:"name"`

	// Guarantee says in a sentence what those who bill by the exporter can rely on.
	Guarantee string `json:"guarantee"`

	// State says how the last round ended: ok, waiting, standby or failing.
	State string `json:"state"`

	// WorkedAt is when a round last succeeded: everything new was exported, but what is
	// held back or was rejected. Null before the first.
	WorkedAt *time.Time `json:"worked_at"`

	// NextAt is when the next round is due; null before the first.
	NextAt *time.Time `json:"next_at"`

	// Error is why the last round failed, or why this process stands by; null if it
	// succeeded.
	Error *string `json:"error"`

	// Sent counts the messages or lines of the last round.
	Sent int `json:"sent"`

	// Held counts the messages that the last round held back, by the reason. They are
	// tried again.
	Held map[string]int `json:"held"`

	// Due counts the days or hours of organizations that may not be exported in full.
	Due int `json:"due"`

	// Unanswered counts the messages of which nobody knows whether they arrived.
	Unanswered int `json:"unanswered"`

	// Rejected counts the messages that the service does not take.
	Rejected int `json:"rejected"`

	// Reasons has why some of the Rejected were, at most 10.
	Reasons []string `json:"reasons"`
}

// PushOrder exports now what is new: the order of `edgegate usage push`.
type PushOrder struct {
	// Exporter is the name of the exporter; empty for all.
	Exporter string `json:"exporter"`

	// Rejected sends again, under new names, the messages that the service did not
	// take.
	Rejected bool `json:"rejected"`
}
