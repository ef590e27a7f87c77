package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how certain a line is.
type State string

// The states of lines.
const (
	Provisional State = "provisional" // the hour is not over, or not all gateways have said what they used in it
	Final       State = "final"
	Correction  State = "correction" // it was final, and something came later
)

// Schema is the version of the columns of lines.
const Schema = "edgegate.usage.v1"

// Class and unit of all lines.
const (
	class = "standard"
	unit  = "invocations"
)

// Line is what was used of a function in a region and an hour: a row of an
// export, with its columns in their order (docs/billing.md).
type Line struct {
	Schema   string `json:"schema" parquet:"schema,dict"`
	LedgerID string `json:"ledger_id" parquet:"ledger_id,dict"` // of all gateways that share a store
	LineID   string `json:"line_id" parquet:"line_id"`          // 32 hex digits; the same for all revisions
	Revision int64  `json:"revision" parquet:"revision"`        // 0 while it is provisional, then from 1 on

	Period      string    `json:"period" parquet:"period,dict"`
	AccountID   string    `json:"account_id" parquet:"account_id,dict"` // the organization
	Plan        string    `json:"plan" parquet:"plan,dict"`
	PlanRev     string    `json:"plan_rev" parquet:"plan_rev,dict"` // changes with the price of the plan
	ProjectID   string    `json:"project_id" parquet:"project_id,dict"`
	FunctionID  string    `json:"function_id" parquet:"function_id,dict"`
	Region      string    `json:"region" parquet:"region,dict"`
	Class       string    `json:"class" parquet:"class,dict"`
	WindowStart time.Time `json:"window_start" parquet:"window_start,timestamp(microsecond)"`
	WindowEnd   time.Time `json:"window_end" parquet:"window_end,timestamp(microsecond)"`
	Unit        string    `json:"unit" parquet:"unit,dict"`

	Quantity       int64 `json:"quantity" parquet:"quantity"`               // invocations and what people adjusted
	QuantityOrphan int64 `json:"quantity_orphan" parquet:"quantity_orphan"` // of which the end is not known
	QuantityVoid   int64 `json:"quantity_void" parquet:"quantity_void"`     // beside quantity: taken back, since nothing was sent

	CumBefore       int64  `json:"cum_before" parquet:"cum_before"` // of the account in the period
	CumAfter        int64  `json:"cum_after" parquet:"cum_after"`
	Included        int64  `json:"included" parquet:"included"` // of the period; -1: any number
	OverageQuantity int64  `json:"overage_quantity" parquet:"overage_quantity"`
	Packages        int64  `json:"packages" parquet:"packages"`         // that this line begins
	AmountMinor     int64  `json:"amount_minor" parquet:"amount_minor"` // their price, in the minor unit of the currency
	Currency        string `json:"currency" parquet:"currency,dict"`

	State           State  `json:"state" parquet:"state,dict"`
	FirstSeqDigest  string `json:"first_seq_digest" parquet:"first_seq_digest"`      // of the first records behind it
	SourceInstances string `json:"source_instances" parquet:"source_instances,dict"` // the gateways, with spaces between
	SHA256          string `json:"sha256" parquet:"sha256"`                          // of all other columns
}

// lineID names a line whatever its content is.
func lineID(ledger string, k Key) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"v1", ledger, k.Organization, k.Project, k.Function, k.Region, class, k.Start.UTC().Format(time.RFC3339),
	}, "|")))
	return hex.EncodeToString(sum[:])[:32]
}

// digest is the SHA256 of the other columns.
func (l Line) digest() string {
	l.SHA256 = ""
	text, _ := json.Marshal(l) // nothing in it can fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Intact reports whether a line is as it was made.
func (l Line) Intact() bool { return l.SHA256 == l.digest() }

// Key says what a line is of.
type Key struct {
	Organization, Period      string
	Start, End                time.Time // of the hour, or of the part of it that is in the period
	Project, Function, Region string
}

// Source is what one ledger has of a line.
type Source struct {
	Instance    string `json:"i"`
	First       uint64 `json:"f"` // the number of its first record
	Invocations int64  `json:"q"` // admitted and not voided
	Completed   int64  `json:"c,omitempty"`
	Voided      int64  `json:"v,omitempty"`
	Added       int64  `json:"a,omitempty"` // by people; both only grow
	Deducted    int64  `json:"d,omitempty"`
}

// Add adds what the same ledger has more of a line.
func (s *Source) Add(more Source) {
	if s.First == 0 || more.First != 0 && more.First < s.First {
		s.First = more.First
	}
	s.Invocations += more.Invocations
	s.Completed += more.Completed
	s.Voided += more.Voided
	s.Added += more.Added
	s.Deducted += more.Deducted
}

// billed is what is paid for.
func (s *Source) billed() int64 { return s.Invocations + s.Added - s.Deducted }

// admitted only grows: a source that says less is older.
func (s *Source) admitted() int64 { return s.Invocations + s.Voided }

// Sum is what was used, by some or all of the gateways.
type Sum struct {
	Key
	Sources []Source
}

// merge puts the sources of one key together, in the order in which lines are
// billed.
func merge(sums []Sum) []Sum {
	sums = slices.Clone(sums)
	slices.SortStableFunc(sums, func(a, b Sum) int { return compareKeys(a.Key, b.Key) })
	merged := sums[:0]
	for _, s := range sums {
		last := len(merged) - 1
		if last < 0 || compareKeys(merged[last].Key, s.Key) != 0 {
			merged = append(merged, Sum{Key: s.Key})
			last++
		}
		merged[last].Sources = newer(merged[last].Sources, s.Sources)
	}
	return merged
}

// newer is what is known of a line's sources: a gateway that is not heard of has
// not used less, and one that says less than before was set back.
func newer(known, said []Source) []Source {
	known = slices.Clone(known)
	for _, s := range said {
		i, found := slices.BinarySearchFunc(known, s, func(a, b Source) int { return strings.Compare(a.Instance, b.Instance) })
		switch {
		case !found:
			known = slices.Insert(known, i, s)
		case s.admitted() > known[i].admitted() || s.admitted() == known[i].admitted() && s.Completed+s.Voided >= known[i].Completed+known[i].Voided:
			before := known[i]
			known[i] = s
			if before.First != 0 && (s.First == 0 || before.First < s.First) {
				known[i].First = before.First
			}
			s.Added, s.Deducted = max(s.Added, before.Added), max(s.Deducted, before.Deducted)
			known[i].Added, known[i].Deducted = s.Added, s.Deducted
		default:
			known[i].Added, known[i].Deducted = max(s.Added, known[i].Added), max(s.Deducted, known[i].Deducted)
		}
	}
	return known
}

func compareKeys(a, b Key) int {
	for _, c := range []int{
		strings.Compare(a.Organization, b.Organization), strings.Compare(a.Period, b.Period), a.Start.Compare(b.Start),
		strings.Compare(a.Project, b.Project), strings.Compare(a.Function, b.Function),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.Region, b.Region)
}

// sources are the gateways behind a line, and the digest of their first records.
func sources(list []Source) (instances, digest string) {
	names := make([]string, len(list))
	hash := sha256.New()
	for i, s := range list {
		names[i] = s.Instance
		fmt.Fprintf(hash, "%s|%d\n", s.Instance, s.First)
	}
	return strings.Join(names, " "), hex.EncodeToString(hash.Sum(nil))
}
