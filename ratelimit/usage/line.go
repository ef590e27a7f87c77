package usage

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// State tells whether a line can still change without becoming a correction.
type State string

// The states of lines.
const (
	Provisional State = "provisional" // the hour is not over, or the usage of some gateway is not known yet
	Final       State = "final"
	Correction  State = "correction" // it was final and changed later
)

// The versions of the columns of lines. Each line says which it has.
const (
	SchemaV1 = "edgegate.usage.v1" // without period_start: lines whose id has no period
	Schema   = "edgegate.usage.v2"
)

// The class and unit of every line.
const (
	class = "standard"
	unit  = "invocations"
)

// Line is the usage of a function in a region and an hour, with its price. Its
// fields are the columns of exports, in their order (docs/billing.md). New ones stand
// after all others.
type Line struct {
	Schema   string `json:"schema" parquet:"schema,dict"`
	LedgerID string `json:"ledger_id" parquet:"ledger_id,dict"` // under which it was first counted
	LineID   string `json:"line_id" parquet:"line_id"`          // 32 hex digits; the same for all revisions
	Revision int64  `json:"revision" parquet:"revision"`        // 0 while it is provisional, then from 1 on

	Period      string    `json:"period" parquet:"period,dict"`
	AccountID   string    `json:"account_id" parquet:"account_id,dict"` // the organization
	Plan        string    `json:"plan" parquet:"plan,dict"`
	PlanRev     string    `json:"plan_rev" parquet:"plan_rev,dict"` // 8 hex digits that change with the plan's price
	ProjectID   string    `json:"project_id" parquet:"project_id,dict"`
	FunctionID  string    `json:"function_id" parquet:"function_id,dict"`
	Region      string    `json:"region" parquet:"region,dict"`
	Class       string    `json:"class" parquet:"class,dict"`
	WindowStart time.Time `json:"window_start" parquet:"window_start,timestamp(microsecond)"`
	WindowEnd   time.Time `json:"window_end" parquet:"window_end,timestamp(microsecond)"`
	Unit        string    `json:"unit" parquet:"unit,dict"`

	Quantity       int64 `json:"quantity" parquet:"quantity"`               // invocations and adjustments
	QuantityOrphan int64 `json:"quantity_orphan" parquet:"quantity_orphan"` // of these, invocations without a known end
	QuantityVoid   int64 `json:"quantity_void" parquet:"quantity_void"`     // not in quantity: voided, because nothing was sent

	CumBefore       int64  `json:"cum_before" parquet:"cum_before"` // the account's quantity in the period before this line
	CumAfter        int64  `json:"cum_after" parquet:"cum_after"`
	Included        int64  `json:"included" parquet:"included"` // included in the period's price; -1: unlimited
	OverageQuantity int64  `json:"overage_quantity" parquet:"overage_quantity"`
	Packages        int64  `json:"packages" parquet:"packages"`         // packages that begin within this line
	AmountMinor     int64  `json:"amount_minor" parquet:"amount_minor"` // the price of these packages, in the minor unit of the currency
	Currency        string `json:"currency" parquet:"currency,dict"`

	State           State  `json:"state" parquet:"state,dict"`
	FirstSeqDigest  string `json:"first_seq_digest" parquet:"first_seq_digest"`      // SHA-256 over the first record of each source
	SourceInstances string `json:"source_instances" parquet:"source_instances,dict"` // the ids of the instance logs, separated by spaces
	SHA256          string `json:"sha256" parquet:"sha256"`                          // SHA-256 of all other columns of its schema

	// PeriodStart is zero in lines of SchemaV1, which have no such column.
	PeriodStart time.Time `json:"period_start,omitzero" parquet:"period_start,optional,timestamp(microsecond)"`
}

// lineID returns the id of the line with a key, which does not depend on its quantity.
// The id has the key's form.
func lineID(k Key) string {
	names := []string{k.Organization, k.Project, k.Function, k.Region, class, k.Start.UTC().Format(time.RFC3339)}
	id := append([]string{"v1", k.Origin.Ledger}, names...)
	if k.Origin.Form == metering.FormPeriod {
		id = append([]string{"v2", k.Origin.Ledger, periodStart(k.Period).Format(time.RFC3339), k.Period}, names...)
	}
	sum := sha256.Sum256([]byte(strings.Join(id, "|")))
	return hex.EncodeToString(sum[:])[:32]
}

// periodStarts has the starts of billing periods by their ids.
var periodStarts sync.Map

// periodStart returns when the billing period with an id began.
func periodStart(id string) time.Time {
	if start, known := periodStarts.Load(id); known {
		return start.(time.Time) //nolint:forcetypeassert // nothing else is stored
	}
	_, p, _ := metering.CycleOf(id)
	periodStarts.Store(id, p.Start)
	return p.Start
}

// digest returns the SHA-256 of all columns of the line's schema but SHA256.
func (l Line) digest() string {
	l.SHA256 = ""
	text, _ := json.Marshal(l) // nothing in it can fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Origin returns where the usage of the line was counted first.
func (l *Line) Origin() metering.Origin {
	o := metering.Origin{Ledger: l.LedgerID, Form: metering.FormHour}
	if l.Schema == Schema {
		o.Form = metering.FormPeriod
	}
	return o
}

// Intact reports whether SHA256 matches the other columns.
func (l Line) Intact() bool { return l.SHA256 == l.digest() }

// Key identifies a line.
type Key struct {
	Organization, Period      string
	Start, End                time.Time // the hour, or the part of it that is in the period
	Project, Function, Region string

	// Origin is where it was counted first. Without a ledger it is that of the line
	// store.
	Origin metering.Origin
}

// Source is the part of a line that comes from one instance log.
type Source struct {
	Instance    string `json:"i"`
	First       uint64 `json:"f"` // the number of its first record
	Invocations int64  `json:"q"` // admitted and not voided
	Completed   int64  `json:"c,omitempty"`
	Voided      int64  `json:"v,omitempty"`
	Added       int64  `json:"a,omitempty"` // by adjustments; both only grow
	Deducted    int64  `json:"d,omitempty"`
	AsOf        uint64 `json:"n,omitempty"` // the number of the last record of the log when it said so; 0: not known
	Own         bool   `json:"-"`           // it was read from the log itself, which is the truth
}

// Add adds more usage of the same instance log.
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

// billed returns how many units are paid for.
func (s *Source) billed() int64 { return s.Invocations + s.Added - s.Deducted }

// admitted returns a count that only grows: a source with less of it is older.
func (s *Source) admitted() int64 { return s.Invocations + s.Voided }

// Sum is the usage of a line, by some or all instance logs.
type Sum struct {
	Key
	Sources []Source
}

// merge joins sums of the same line. The result is in the order in which lines are
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

// newer updates the known sources of a line with reported ones. Sources that are not
// reported stay. What a log says later replaces what was known of it, also if it is
// less; what it said earlier, as a Redis that was restored from an old copy has it,
// does not.
func newer(known, reported []Source) []Source {
	known = slices.Clone(known)
	for _, s := range reported {
		i, found := slices.BinarySearchFunc(known, s, func(a, b Source) int { return strings.Compare(a.Instance, b.Instance) })
		switch {
		case !found:
			known = slices.Insert(known, i, s)
		case s.AsOf == 0 && !s.Own:
			known[i] = greater(known[i], s)
		case s.Own || s.AsOf >= known[i].AsOf:
			known[i] = known[i].replaced(s)
		}
	}
	return known
}

// replaced returns a source after it said something else.
func (s Source) replaced(now Source) Source {
	if now.First == 0 {
		now.First = s.First
	}
	same := now
	same.AsOf, same.Own = s.AsOf, s.Own
	if same == s { // it said the same before
		return s
	}
	return now
}

// greater returns the later one of two sources of which it is not known when they were
// said: counts only grow.
func greater(before, s Source) Source {
	now := before
	if s.admitted() > before.admitted() || s.admitted() == before.admitted() && s.Completed+s.Voided >= before.Completed+before.Voided {
		now = s
		if before.First != 0 && (s.First == 0 || before.First < s.First) {
			now.First = before.First
		}
		now.AsOf = before.AsOf
	}
	now.Added, now.Deducted = max(s.Added, before.Added), max(s.Deducted, before.Deducted)
	return now
}

func compareKeys(a, b Key) int {
	for _, c := range []int{
		strings.Compare(a.Organization, b.Organization), strings.Compare(a.Period, b.Period), a.Start.Compare(b.Start),
		strings.Compare(a.Project, b.Project), strings.Compare(a.Function, b.Function), strings.Compare(a.Region, b.Region),
		cmp.Compare(max(a.Origin.Form, metering.FormHour), max(b.Origin.Form, metering.FormHour)),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.Origin.Ledger, b.Origin.Ledger)
}

// sources returns the ids of a line's sources, and the digest of their first
// records.
func sources(list []Source) (instances, digest string) {
	names := make([]string, len(list))
	hash := sha256.New()
	for i, s := range list {
		names[i] = s.Instance
		fmt.Fprintf(hash, "%s|%d\n", s.Instance, s.First)
	}
	return strings.Join(names, " "), hex.EncodeToString(hash.Sum(nil))
}
