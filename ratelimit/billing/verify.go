package billing

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// VerifyAnswer is what the admin API answers to `edgegate usage verify`.
type VerifyAnswer struct {
	Findings []metering.Finding `json:"findings"`
	Records  uint64             `json:"records"` // how many were read, without those that are lost
	OK       bool               `json:"ok"`      // nothing was found, or all of it is mended
}

// linesKept is for how long the ledger has the sums of an hour at least.
const linesKept = 30 * 24 * time.Hour

// Verify reads all files of the ledger, and says which are damaged, and which lines have
// something else than the ledger. Calls do not wait for it.
func (e *Engine) Verify() (VerifyAnswer, error) {
	o := e.opened.Load()
	if o == nil {
		return VerifyAnswer{}, ErrNotOpen
	}
	found, records, err := o.ledger.Verify()
	if err == nil && len(found) == 0 {
		found, err = e.verifyLines(o)
	}
	if damage, is := errors.AsType[*durable.DamageError](err); is {
		found, err = append(found, findingOf(damage)), nil
	}
	return VerifyAnswer{Findings: append([]metering.Finding{}, found...), Records: records, OK: len(found) == 0}, err
}

// verifyLines compares the lines with the sums of the ledger.
func (e *Engine) verifyLines(o *opened) ([]metering.Finding, error) {
	e.updating.Lock()
	defer e.updating.Unlock()
	sums, err := o.ledger.Usage()
	if err != nil {
		return nil, err
	}
	return compareLines(o.lines, e.dir, sums, append([]string{o.ledger.Instance()}, o.ledger.Orphans()...), o.ledger.Now())
}

// logBehind logs that lines have more than the ledger counted, before they are set right:
// the ledger was set back to an older copy, and hard quotas go by what it has.
func (e *Engine) logBehind(o *opened, sums []metering.Usage, now time.Time) {
	found, err := compareLines(o.lines, e.dir, sums, append([]string{o.ledger.Instance()}, o.ledger.Orphans()...), now)
	if err != nil || len(found) == 0 {
		return // an update meets the error too
	}
	e.log().Error("the ledger is older than the lines of its bills; they are set right by it, and hard quotas go by it: stop the gateway, and restore both from one copy",
		slog.Int("lines", len(found)), slog.String("first", found[0].What))
}

// compareLines says which lines have more than the sums of their logs. One that has less
// is behind, until the next update.
func compareLines(lines *usage.LineStore, dir string, sums []metering.Usage, logs []string, now time.Time) (found []metering.Finding, err error) {
	all, err := lines.Compare(hourlySums(sums, time.Time{}, make(Totals)), logs, now.Add(-linesKept))
	for i := range all {
		d := &all[i]
		found = append(found, metering.Finding{
			File:   filepath.Join(dir, "billing.db"),
			Offset: -1,
			What: fmt.Sprintf("the line of %s, %s/%s in %q, from %s on has %d invocations, %d added and %d deducted by %s, whose ledger has %d, %d and %d",
				d.Key.Organization, d.Key.Project, d.Key.Function, d.Key.Region, d.Key.Start.UTC().Format(time.RFC3339),
				d.Stored.Invocations, d.Stored.Added, d.Stored.Deducted, d.Instance, d.Counted.Invocations, d.Counted.Added, d.Counted.Deducted),
			Remedy: "the gateway sets it right within a minute when it runs, and tells exporters the correction; if the ledger is older than the lines, restore both from one copy",
		})
	}
	return found, err
}

// VerifyDirectory is Verify for a directory that no process uses. It changes nothing.
func VerifyDirectory(dir string) (VerifyAnswer, error) {
	found, records, sums, logs, err := metering.VerifySums(dir)
	if err == nil {
		var lost []metering.Finding
		lost, err = toldLost(dir)
		found = append(found, lost...)
	}
	if err == nil && len(found) == 0 {
		found, err = verifyLinesAt(dir, sums, logs)
	}
	return VerifyAnswer{Findings: append([]metering.Finding{}, found...), Records: records, OK: len(found) == 0}, err
}

// verifyLinesAt is verifyLines for a directory that no process uses.
func verifyLinesAt(dir string, sums []metering.Usage, logs []string) ([]metering.Finding, error) {
	copied, err := copyOf(filepath.Join(dir, "billing.db"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer os.Remove(copied)
	return compareLines(usage.NewLineStore(copied, ""), dir, sums, logs, time.Now())
}

// RecoverDirectory mends a directory that no process uses. It also goes on without what
// services were told, if no file has that. The answer is OK if all is mended.
func RecoverDirectory(dir string) (VerifyAnswer, error) {
	lost, err := toldLost(dir)
	if err != nil {
		return VerifyAnswer{}, err
	}
	found, records, err := metering.RecoverRecords(dir)
	if err == nil && len(lost) > 0 {
		err = metering.ForgetTold(dir)
	}
	for i := range lost {
		lost[i].Mended, lost[i].Remedy = err == nil, "services are told it again"
	}
	found = append(found, lost...)
	open := func(f metering.Finding) bool { return !f.Mended }
	return VerifyAnswer{Findings: append([]metering.Finding{}, found...), Records: records, OK: !slices.ContainsFunc(found, open)}, err
}

// toldLost says if no file of a directory that no process uses has what services were told.
func toldLost(dir string) ([]metering.Finding, error) {
	notes, err := metering.ToldNotes(dir)
	if err != nil || len(notes) == 0 {
		return nil, err
	}
	paths := make(map[string]string)
	for _, name := range []string{"billing.db", "told.db"} {
		copied, err := copyOf(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer os.Remove(copied)
		paths[name] = copied
	}
	damage, err := usage.ToldLost(paths["billing.db"], paths["told.db"], notes)
	if err != nil || damage == nil {
		return nil, err
	}
	damage.File = filepath.Join(dir, "told.db")
	return []metering.Finding{findingOf(damage)}, nil
}

// findingOf is the finding that nobody knows what services were told.
func findingOf(d *durable.DamageError) metering.Finding {
	return metering.Finding{
		File:   d.File,
		Offset: d.Offset,
		What:   d.What,
		Remedy: cmp.Or(d.Remedy, durable.Mending),
		Lost:   usage.ToldLoss,
	}
}

// copyOf copies a file to a temporary one: opening a file of an older build changes it.
func copyOf(path string) (string, error) {
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp("", "verify-*.db")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Close())
}
