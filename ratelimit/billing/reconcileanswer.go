package billing

// ReconcileAnswer compares what was recorded with what is billed: the answer of
// `edgegate usage reconcile`.
type ReconcileAnswer struct {
	// Levels has the comparisons, from the records to the bills and the exporters.
	Levels []ReconcileLevel `json:"levels"`

	// OK says that no level has a difference.
	OK bool `json:"ok"`
}

// ReconcileLevel compares two counts of the same invocations, or two amounts for them.
type ReconcileLevel struct {
	// Level is R0 (the records of the ledger), R1 (records and sums, here and in
	// Redis), R2 (sums of periods and of hours), R3 (sums of all gateways and line
	// items), R4 (line items and what exporters were told, also in money) or R5
	// (requests and what became of them).
	Level string `json:"level"`

	// What says in words what is compared.
	What string `json:"what"`

	// Expected and Found are the sums of both counts.
	Expected int64 `json:"expected"`
	Found    int64 `json:"found"`

	// Difference is the sum of all differences between parts of both counts: too much
	// in one place does not make up for too little in another.
	Difference int64 `json:"difference"`

	// Explained says that the difference is no error: it is on its way, or was billed
	// later.
	Explained bool `json:"explained,omitempty"`

	// First names the first part that differs, with both counts.
	First string `json:"first,omitempty"`

	// Parts has Found by kind, where there are kinds.
	Parts []ReconcilePart `json:"parts,omitempty"`
}

// ReconcilePart is a part of what was found.
type ReconcilePart struct {
	// What names the kind.
	What string `json:"what"`

	// Number counts those of the kind.
	Number int64 `json:"number"`
}
