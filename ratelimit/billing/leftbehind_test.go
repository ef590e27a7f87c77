package billing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// witnessed is what a directory says that a gateway left behind.
type witnessed struct {
	sums, lines, told, leases, quotas string
}

func (w *witnessed) all() string {
	return w.sums + "\n" + w.lines + "\n" + w.told + "\n" + w.leases + "\n" + w.quotas
}

// leftBehind is a directory as a gateway that is killed leaves it: with archives, segments, records that are in no
// checkpoint yet, adjustments, line items in all states, exporters that were told a part of them, and a quota that was
// granted, ordered and used. Another gateway of the machine has a log in it too.
func leftBehind(t *testing.T) (dir string, at *clock) {
	t.Helper()
	dir, at = t.TempDir(), &clock{began: time.Now()}
	accounts := []Account{account("acme", granted, pays), account("globex", soft, pays)}
	f := reopen(t, dir, at, accounts...)
	record := func(f *fixture, n int, d Dispatch) {
		for range n {
			r := f.Receive()
			if err := r.Take(t.Context(), d.Subject.Organization, &granted); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(r.Send(&d), r.Finish(metering.Ending{Status: 200})); err != nil {
				t.Fatal(err)
			}
		}
	}
	globex := Dispatch{Subject: metering.Subject{Organization: "globex", Project: "p", Function: "g"}, Slug: "g", Region: "us"}
	record(f, 9000, called) // more than the first file of the log holds
	record(f, 30, globex)
	at.forward(time.Hour)
	f.lines()
	for _, to := range []interface {
		Name() string
		MaxBatch() int
		Guarantee() string
	}{&deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}}} {
		if state := f.export(to); state.failing() || state.result.Sent == 0 {
			t.Fatalf("%+v", state)
		}
	}
	limit := int64(70_000)
	if _, err := f.SetQuota(t.Context(), QuotaOrder{Organization: "acme", Limit: &limit}); err != nil {
		t.Fatal(err)
	}
	order := AdjustOrder{Organization: "acme", Units: -3, Project: "p", Function: "f", Region: "eu", Reason: "goodwill", Operator: "ann"}
	if _, err := f.Adjust(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	record(f, 40, called)
	f.end()
	// What is full is archived when it is opened again.
	f = reopen(t, dir, at, accounts...)
	other := reopen(t, dir, at, accounts...)
	record(f, 20, globex)
	record(other, 30, called)
	at.forward(time.Hour)
	f.lines() // final, and nobody was told
	record(f, 7, called)
	record(other, 5, globex)
	f.lines()
	left := t.TempDir()
	for deadline := time.Now().Add(time.Minute); ; {
		// A copy while it is written may be torn: that is none of the damages here. One of its files may be older than another,
		// too, which is no damage, and has lines made again with other revisions.
		copied, before := filepath.Join(left, fmt.Sprint(time.Now().UnixNano())), writtenAt(t, dir)
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		archives, err := filepath.Glob(filepath.Join(copied, "inst", "*", "archive", "*.zst"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := findingsAt(copied)
		if err == nil && len(found) == 0 && len(archives) > 0 && writtenAt(t, dir) == before {
			return copied, at
		}
		if time.Now().After(deadline) {
			t.Fatalf("the directory never was whole: %d archives, %+v, %v", len(archives), found, err)
		}
	}
}

// writtenAt says when the files of what is billed and what was told were written.
func writtenAt(t *testing.T, dir string) (at [2]time.Time) {
	t.Helper()
	for i, name := range []string{"billing.db", "told.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		at[i] = info.ModTime()
	}
	return at
}

// stopped is a clock that stands still.
func stopped(at *clock) func() time.Time {
	now := at.now()
	return func() time.Time { return now }
}

// witness starts a gateway on a directory and asks for all that it knows, and for what it tells exporters next. What could
// not be known is empty, and the error says why.
func witness(t *testing.T, dir string, now func() time.Time) (w witnessed, err error) {
	t.Helper()
	leases, leaseErr := leasesIn(t, dir, now)
	e := NewEngine(dir)
	e.now = now
	if err := e.Start(Settings{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	e.Use(&plan{accounts: []Account{account("acme", granted, pays), account("globex", soft, pays)}})
	o := e.opened.Load()

	var text []string
	usage, usageErr := o.ledger.Usage()
	for _, u := range usage {
		text = append(text, fmt.Sprintf("%s %s/%s/%s %s %c %d %+v", u.Instance, u.Organization, u.Project, u.Function, u.Region, u.Span, u.Start.Unix(), u.Sums))
	}
	adjustments, adjustErr := o.ledger.Adjustments()
	for _, a := range adjustments {
		text = append(text, fmt.Sprintf("%+v", a))
	}
	if usageErr == nil && adjustErr == nil {
		slices.Sort(text)
		w.sums = strings.Join(text, "\n")
	}

	_, updateErr := e.Update(t.Context())
	text = nil
	linesErr := updateErr
	if updateErr == nil {
		for l, err := range o.lines.Lines(func(string, string) bool { return true }) {
			linesErr = errors.Join(linesErr, err)
			text = append(text, fmt.Sprintf("%+v", l))
		}
	}
	if linesErr == nil {
		slices.Sort(text)
		w.lines = strings.Join(text, "\n")
	}

	files, meter := &deliverer{sink: sink{name: "files"}}, &service{sink: sink{name: "meter"}}
	_, filesErr := o.exports.round(t.Context(), files)
	_, meterErr := o.exports.round(t.Context(), meter)
	text = nil
	for _, l := range files.got {
		text = append(text, fmt.Sprintf("%+v", l))
	}
	for _, m := range meter.got {
		text = append(text, fmt.Sprintf("%+v", m))
	}
	slices.Sort(text)
	w.told = strings.Join(text, "\n")

	_, takeErr := o.quotas.Take(t.Context(), "acme", &granted)
	answer, quotaErr := e.Quota(t.Context(), "")
	if errors.Join(takeErr, quotaErr, leaseErr) == nil {
		said, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		w.leases, w.quotas = leases, string(said)
	}
	return w, errors.Join(usageErr, adjustErr, updateErr, linesErr, filesErr, meterErr, leaseErr, takeErr, quotaErr)
}

// leasesIn returns what the gateways of a directory were granted, as it stands in quotas.db.
func leasesIn(t *testing.T, dir string, now func() time.Time) (text string, err error) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "quotas.db"))
	if err != nil || info.Size() == 0 { // asking would make a new one
		return "", nil //nolint:nilerr // none
	}
	gateways, err := filepath.Glob(filepath.Join(dir, "inst", "*"))
	for _, gateway := range gateways {
		held, heldErr := quota.NewEmbedded(dir, now).HeldBy(t.Context(), filepath.Base(gateway))
		err = errors.Join(err, heldErr)
		text += fmt.Sprintf("%+v\n", held)
	}
	return text, err
}
