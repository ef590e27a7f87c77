package usage

import (
	"encoding/json"
	"errors"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// Lines returns the lines of the organizations and periods that want selects,
// sorted by period, organization and time. The sequence ends at the first error.
// The line store is locked while it runs.
func (b *LineStore) Lines(want func(organization, period string) bool) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		err := b.entries(want, func(k Key, e *entry) error {
			if !yield(e.line(k, b.begun), nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Line{}, err)
		}
	}
}

// errStopped ends a transaction whose caller wants no more lines.
var errStopped = errors.New("stopped")

// entries calls visit with the stored form of each line that want selects.
func (b *LineStore) entries(want func(organization, period string) bool, visit func(Key, *entry) error) error {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return b.with(false, func(tx *bbolt.Tx) error {
		lines := tx.Bucket(bucketLines)
		if lines == nil {
			return nil
		}
		return lines.ForEachBucket(func(group []byte) error {
			period, organization, _ := strings.Cut(string(group), "\x00")
			if !want(organization, period) {
				return nil
			}
			return lines.Bucket(group).ForEach(func(k, v []byte) error {
				if !isLine(k) {
					return nil
				}
				key := Key{Organization: organization, Period: period}
				var e entry
				if err := errors.Join(b.parseLineKey(k, &key), json.Unmarshal(v, &e)); err != nil {
					return err
				}
				return visit(key, &e)
			})
		})
	})
}

// Day is how many invocations an organization made on one day of a billing period,
// in the period's time zone, without adjustments.
type Day struct {
	Organization, Period string
	Date                 string // 2006-01-02
	Invocations          int64
}

// Days returns the days with invocations, in the order of Lines. An hour that
// begins on one day and ends on the next counts for the first.
func (b *LineStore) Days(want func(organization, period string) bool) (days []Day, err error) {
	zone, of := time.UTC, ""
	err = b.entries(want, func(k Key, e *entry) error {
		if k.Period != of {
			of, zone = k.Period, time.UTC
			if c, _, ok := metering.CycleOf(of); ok && c.Zone != nil {
				zone = c.Zone
			}
		}
		d := Day{
			Organization: k.Organization,
			Period:       k.Period,
			Date:         k.Start.In(zone).Format(time.DateOnly),
			Invocations:  e.total().Invocations,
		}
		if n := len(days); n > 0 && days[n-1].Organization == d.Organization && days[n-1].Period == d.Period && days[n-1].Date == d.Date {
			days[n-1].Invocations += d.Invocations
		} else {
			days = append(days, d)
		}
		return nil
	})
	return days, err
}

// line returns the line of an entry, with all columns. The store began at a moment.
func (e *entry) line(k Key, at begun) Line {
	total, t := e.total(), e.Price
	k.Origin.Form = max(k.Origin.Form, e.Form)
	sale := e.sale()
	l := Line{
		Schema:          SchemaV1,
		LedgerID:        k.Origin.Ledger,
		LineID:          lineID(k),
		Revision:        at.revision(e.Revision, e.End),
		Period:          k.Period,
		AccountID:       k.Organization,
		Plan:            t.Plan,
		PlanRev:         t.Revision(),
		ProjectID:       k.Project,
		FunctionID:      k.Function,
		Region:          k.Region,
		Class:           class,
		WindowStart:     k.Start,
		WindowEnd:       time.Unix(e.End, 0).UTC(),
		Unit:            unit,
		Quantity:        total.billed(),
		QuantityOrphan:  max(0, total.Invocations-total.Completed),
		QuantityVoid:    total.Voided,
		CumBefore:       e.Before,
		CumAfter:        e.after(),
		Included:        max(-1, t.Included),
		OverageQuantity: sale.Overage,
		Packages:        sale.Packages,
		AmountMinor:     sale.Amount,
		Currency:        t.Currency,
		State:           e.State,
	}
	if k.Origin.Form == metering.FormPeriod {
		l.Schema, l.PeriodStart = Schema, periodStart(k.Period)
	}
	l.SourceInstances, l.FirstSeqDigest = sources(e.Sources)
	l.SHA256 = l.digest()
	return l
}
