package invocations

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// TopQuery says which invocations are added up, and how the sums are ranked.
type TopQuery struct {
	Query      // Status and Slow do not count; Limit is the most rows, required
	By    By   // default ByCalls
	Each  Each // default EachFunction
}

// By says which sum comes first.
type By string

// The orders, the largest first.
const (
	ByCalls  By = "calls"
	ByErrors By = "errors"
	ByP95    By = "p95"
	ByBytes  By = "bytes" // of answers
)

// Orders lists the orders.
func Orders() []string {
	return []string{string(ByCalls), string(ByErrors), string(ByP95), string(ByBytes)}
}

// Each says what has a row.
type Each string

// What can have a row.
const (
	EachFunction Each = "function"
	EachProject  Each = "project"
	EachRegion   Each = "region" // a function in a region
)

// Rows lists what can have a row.
func Rows() []string { return []string{string(EachFunction), string(EachProject), string(EachRegion)} }

// TopAnswer has the sums of invocations, ranked.
type TopAnswer struct {
	Rows  []Row `json:"rows"`
	All   Row   `json:"all"`   // the sum of all rows, also of those that are left out
	Total int   `json:"total"` // how many rows there are
	// From when on invocations are added up; null: from the first record on.
	Since *time.Time `json:"since"`
	// When the oldest record was made, if all were read; otherwise null.
	RecordsFrom *time.Time         `json:"records_from"`
	Gateways    []string           `json:"gateways"` // the ids of the logs that were read
	Read        uint64             `json:"read"`     // how many records were read
	Findings    []metering.Finding `json:"findings"` // what could not be read
}

// Row is a sum of invocations. What it is not the sum of is null.
type Row struct {
	Project     *string  `json:"project"`
	Function    *string  `json:"function"`
	Region      *string  `json:"region"`
	Invocations uint64   `json:"invocations"`
	Unfinished  uint64   `json:"unfinished"`  // of these, how many run, or their gateway stopped first
	Errors      uint64   `json:"errors"`      // those with a status of 500 or more
	ErrorShare  *float64 `json:"error_share"` // of those that ended, 0 to 1; null: none did
	Cut         uint64   `json:"cut"`         // answers that broke off
	P50MS       *float64 `json:"p50_ms"`      // percentiles of how long they took, at most 2 % off; null: none ended
	P95MS       *float64 `json:"p95_ms"`
	P99MS       *float64 `json:"p99_ms"`
	BytesIn     uint64   `json:"bytes_in"`
	BytesOut    uint64   `json:"bytes_out"`
	Cold        *uint64  `json:"cold"` // null: records do not tell cold starts
}

// rowKey identifies a row.
type rowKey struct{ project, function, region string }

// tally adds up invocations of a row.
type tally struct {
	key                                                     rowKey
	admitted, voided, ended, errors, cut, bytesIn, bytesOut uint64
	took                                                    Histogram
}

// Top adds up the invocations of logs. Its memory is that of one file, and about 1 KiB for
// each row. The error is that of ctx.
func Top(ctx context.Context, logs []metering.RecordLog, q TopQuery) (TopAnswer, error) {
	end, err := begin(ctx)
	if err != nil {
		return TopAnswer{}, err
	}
	defer end()
	t := &adding{query: &q, rows: make(map[rowKey]*tally)}
	t.since, t.until = q.span()
	t.answer.Findings, t.answer.Gateways = []metering.Finding{}, []string{}
	oldest, all := int64(1<<63-1), true
	for i := range logs {
		t.answer.Gateways = append(t.answer.Gateways, logs[i].Instance)
		first, reached, err := t.addLog(ctx, &logs[i])
		if err != nil {
			return TopAnswer{}, err
		}
		all = all && reached
		if first != 0 {
			oldest = min(oldest, first)
		}
	}
	if all && oldest != 1<<63-1 {
		from := time.UnixMicro(oldest).UTC()
		t.answer.RecordsFrom = &from
	}
	if !q.Since.IsZero() {
		since := q.Since.UTC()
		t.answer.Since = &since
	}
	t.rank()
	return t.answer, nil
}

// adding adds up the records of logs.
type adding struct {
	query        *TopQuery
	since, until int64 // in Unix microseconds
	batch        metering.Batch
	rows         map[rowKey]*tally
	answer       TopAnswer

	log   *metering.RecordLog
	names names
	// places has the tallies of the log by the numbers of subject and region. notAdded stands
	// for what is not asked for.
	places [][]*tally
	lost   uint64
}

var notAdded = new(tally)

// addLog adds up a log from its last file on, and returns the time of the first record that it
// read, 0 if there is none, and whether that is the first of all.
func (t *adding) addLog(ctx context.Context, log *metering.RecordLog) (first int64, reached bool, err error) {
	t.log, t.names, t.places, t.lost = log, names{query: &t.query.Query, log: log}, nil, 0
	files, found := log.Files()
	t.answer.Findings = append(t.answer.Findings, found...)
	full := false
	for i := len(files) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		t.answer.Findings = append(t.answer.Findings, files[i].Read(&t.batch, 0, full)...)
		full = full || len(t.batch.Types) > 0
		t.answer.Read += uint64(len(t.batch.Types))
		t.addBatch()
		if begins := slices.Index(t.batch.Types, metering.TypeAdmitted); begins >= 0 {
			if first = t.batch.At[begins]; first+slack < t.since {
				return first, false, nil
			}
		}
	}
	if t.lost > 0 {
		t.answer.Findings = append(t.answer.Findings, lostRecords(log, t.lost))
	}
	return first, true, nil
}

// addBatch adds up the batch. All records of an invocation have the same time and names, so
// none needs to know the others.
func (t *adding) addBatch() {
	b := &t.batch
	for i, kind := range b.Types {
		if kind == metering.TypeDead && b.Flags[i]&metering.FlagLost != 0 {
			t.lost++
		}
		if kind != metering.TypeDone && kind != metering.TypeAdmitted && kind != metering.TypeVoid || b.At[i] < t.since || b.At[i] >= t.until {
			continue
		}
		row := t.row(b.Subjects[i], b.Regions[i])
		if row == notAdded {
			continue
		}
		switch {
		case kind == metering.TypeDone:
			row.ended++
			row.took.Add(b.Durations[i])
			row.bytesIn += uint64(b.BytesIn[i])
			row.bytesOut += uint64(b.BytesOut[i])
			if b.Statuses[i] >= 500 {
				row.errors++
			}
			if b.Flags[i]&metering.FlagCut != 0 {
				row.cut++
			}
		case kind == metering.TypeAdmitted && b.Flags[i]&metering.FlagUnsent == 0:
			row.admitted += uint64(b.Units[i])
		case kind == metering.TypeVoid && b.Refs[i] != 0:
			row.voided += uint64(b.Units[i])
		}
	}
}

// row returns the tally of a function in a region.
func (t *adding) row(subject uint32, region uint16) *tally {
	if int(subject) < len(t.places) {
		if regions := t.places[subject]; int(region) < len(regions) && regions[region] != nil {
			return regions[region]
		}
	}
	row := t.find(subject, region)
	if subject >= mostRemembered {
		return row
	}
	if n := int(subject) + 1 - len(t.places); n > 0 {
		t.places = append(t.places, make([][]*tally, n)...)
	}
	if n := int(region) + 1 - len(t.places[subject]); n > 0 {
		t.places[subject] = append(t.places[subject], make([]*tally, n)...)
	}
	t.places[subject][region] = row
	return row
}

func (t *adding) find(subject uint32, region uint16) *tally {
	if !t.names.has(subject, region) {
		return notAdded
	}
	s := t.log.Subject(subject)
	key := rowKey{s.Project, s.Function, t.log.Region(region)}
	switch t.query.Each {
	case EachProject:
		key.function, key.region = "", ""
	case EachRegion:
	default:
		key.region = ""
	}
	if t.rows[key] == nil {
		t.rows[key] = &tally{key: key}
	}
	return t.rows[key]
}

// rank makes the rows of the answer.
func (t *adding) rank() {
	all, sum := make([]*tally, 0, len(t.rows)), new(tally)
	for _, row := range t.rows {
		if row.invocations() == 0 && row.ended == 0 {
			continue // nothing was sent
		}
		all = append(all, row)
		sum.add(row)
	}
	value := func(row *tally) float64 { return float64(row.invocations()) }
	switch t.query.By {
	case ByErrors:
		value = func(row *tally) float64 { return float64(row.errors) }
	case ByP95:
		value = func(row *tally) float64 { return row.took.Quantile(0.95) }
	case ByBytes:
		value = func(row *tally) float64 { return float64(row.bytesOut) }
	case ByCalls:
	}
	values := make(map[*tally]float64, len(all))
	for _, row := range all {
		values[row] = value(row)
	}
	slices.SortFunc(all, func(a, b *tally) int {
		return cmp.Or(
			cmp.Compare(values[b], values[a]),
			cmp.Compare(b.invocations(), a.invocations()),
			strings.Compare(a.key.project, b.key.project),
			strings.Compare(a.key.function, b.key.function),
			strings.Compare(a.key.region, b.key.region),
		)
	})
	t.answer.Total, t.answer.All = len(all), sum.row(false, false)
	t.answer.Rows = make([]Row, 0, min(len(all), t.query.Limit))
	for _, row := range all[:min(len(all), t.query.Limit)] {
		t.answer.Rows = append(t.answer.Rows, row.row(true, t.query.Each != EachProject))
	}
}

func (t *tally) invocations() uint64 { return t.admitted - min(t.voided, t.admitted) }

func (t *tally) add(other *tally) {
	t.admitted += other.admitted
	t.voided += other.voided
	t.ended += other.ended
	t.errors += other.errors
	t.cut += other.cut
	t.bytesIn += other.bytesIn
	t.bytesOut += other.bytesOut
	t.took.Merge(&other.took)
}

// row returns the row of a tally, with the names that it is the sum of.
func (t *tally) row(project, function bool) Row {
	r := Row{
		Invocations: t.invocations(),
		Unfinished:  t.invocations() - min(t.ended, t.invocations()),
		Errors:      t.errors,
		Cut:         t.cut,
		BytesIn:     t.bytesIn,
		BytesOut:    t.bytesOut,
		Region:      some(t.key.region),
	}
	if project {
		r.Project = &t.key.project
	}
	if function {
		r.Function = &t.key.function
	}
	if t.ended == 0 {
		return r
	}
	share := float64(t.errors) / float64(t.ended)
	r.ErrorShare = &share
	for q, into := range map[float64]**float64{0.5: &r.P50MS, 0.95: &r.P95MS, 0.99: &r.P99MS} {
		*into = milliseconds(int64(t.took.Quantile(q) + 0.5))
	}
	return r
}

// Check returns an error if there is no such order or row.
func (q *TopQuery) Check() error {
	if q.By != "" && !slices.Contains(Orders(), string(q.By)) {
		return fmt.Errorf("by %q: allowed are %s", q.By, strings.Join(Orders(), ", "))
	}
	if q.Each != "" && !slices.Contains(Rows(), string(q.Each)) {
		return fmt.Errorf("each %q: allowed are %s", q.Each, strings.Join(Rows(), ", "))
	}
	return nil
}
