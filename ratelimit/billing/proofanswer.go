package billing

import (
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// ProofAnswer has the records behind a line of a bill: the answer of `edgegate usage
// proof`.
type ProofAnswer struct {
	// Line is the line as it is now.
	Line usage.Line `json:"line"`

	// Price is the price under which the line was sold.
	Price ProofPrice `json:"price"`

	// Intact says that the sha256 column of the line is that of the other columns.
	Intact bool `json:"intact"`

	// Sources has one element per ledger with records of the line, those of this
	// gateway first.
	Sources []ProofSource `json:"sources"`

	// OK says that the line is intact and that the records that this gateway has make
	// up what the line counts of them.
	OK bool `json:"ok"`
}

// ProofPrice is the price of a line: what the plan_rev column stands for, together with the
// columns plan, included and currency.
type ProofPrice struct {
	// Package is the number of invocations in a package; 0 if nothing was sold.
	Package int64 `json:"package"`

	// Price is that of a package, as a decimal number in the currency of the line.
	Price string `json:"price"`
}

// ProofSource is the part of a line that one ledger has.
type ProofSource struct {
	// Gateway is the id of the gateway whose ledger it is.
	Gateway string `json:"gateway"`

	// Line is the part of the line that was counted by that gateway.
	Line ProofSums `json:"line"`

	// Here is false for the ledger of another gateway, which has the records. Redis may
	// have their sums.
	Here bool `json:"here"`

	// Redis has the sums in Redis; left out for a ledger of this gateway, and where
	// Redis has none.
	Redis *ProofSums `json:"redis,omitempty"`

	// Records is what was read from the ledger; left out where that is elsewhere.
	Records *ProofRecords `json:"records,omitempty"`

	// Matches says that the records make up Line; left out where they are elsewhere.
	Matches *bool `json:"matches,omitempty"`
}

// ProofSums are numbers of invocations.
type ProofSums struct {
	// Quantity is what is billed: Invocations and Adjusted.
	Quantity int64 `json:"quantity"`

	// Invocations counts those that were recorded, without adjustments.
	Invocations int64 `json:"invocations"`

	// Completed counts the Invocations with a record of their end.
	Completed int64 `json:"completed"`

	// Voided counts those that were taken back, since nothing was sent. They are not
	// among the Invocations.
	Voided int64 `json:"voided"`

	// Adjusted is what operators added, less what they deducted.
	Adjusted int64 `json:"adjusted"`
}

// proofSumsOf returns sums of the ledger as answers have them.
func proofSumsOf(s *metering.Sums) ProofSums {
	return ProofSums{
		Quantity:    s.Billed(),
		Invocations: int64(s.Invocations),
		Completed:   int64(s.Completed),
		Voided:      int64(s.Voided),
		Adjusted:    s.Adjusted(),
	}
}

// ProofRecords are the records of one ledger behind a line.
type ProofRecords struct {
	// ProofSums is what the records add up to.
	ProofSums

	// First and Last are the numbers of the first and the last of the records; 0 if
	// there are none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`

	// Admitted, Ended and VoidRecords count the records of each type.
	Admitted    int `json:"admitted_records"`
	Ended       int `json:"ended_records"`
	VoidRecords int `json:"voided_records"`

	// Adjustments has those among the records.
	Adjustments []Adjustment `json:"adjustments"`

	// SHA256 is the hash of the records, 64 bytes each, in their order, in hex.
	SHA256 string `json:"sha256"`

	// Files has the files that the records are in.
	Files []ProofFile `json:"files"`

	// Read counts the records of the whole ledger that were read for the proof, without those
	// that are lost.
	Read uint64 `json:"read"`

	// Lost has the numbers of records that are lost, which `edgegate usage recover` said
	// when it mended their files; left out if there are none.
	Lost string `json:"lost,omitempty"`

	// Damage is the first thing that is wrong with the files or with the chain of their
	// hashes; empty if all is well.
	Damage string `json:"damage"`
}

// ProofFile is a file with records of a line.
type ProofFile struct {
	// File is its path in the ledger's directory.
	File string `json:"file"`

	// SHA256 is its hash by the manifest, whose chain was verified; empty for a segment
	// that is not archived yet.
	SHA256 string `json:"sha256"`

	// Records counts the records of the line that are in the file.
	Records int `json:"records"`
}

// proofRecordsOf returns a proof of the ledger as answers have it.
func proofRecordsOf(p *metering.Proof) *ProofRecords {
	records := &ProofRecords{
		ProofSums:   proofSumsOf(&p.Sums),
		First:       p.First,
		Last:        p.Last,
		Admitted:    p.Admitted,
		Ended:       p.Ended,
		VoidRecords: p.Voided,
		Adjustments: []Adjustment{},
		SHA256:      p.SHA256,
		Files:       []ProofFile{},
		Read:        p.Read,
		Lost:        p.Lost.String(),
	}
	for _, adjustment := range p.Adjustments {
		records.Adjustments = append(records.Adjustments, adjustmentOf(adjustment))
	}
	for _, f := range p.Files {
		records.Files = append(records.Files, ProofFile{File: f.Name, SHA256: f.SHA256, Records: f.Records})
	}
	if p.Damage != nil {
		records.Damage = p.Damage.Error()
	}
	return records
}
