package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// granted is an allowance with an end, so that quotas.db has what was granted.
var granted = quota.Allowance{Quota: 100_000, Hard: true}

// mended is what an error about a damaged file names.
const mended = "edgegate usage recover"

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
		// A copy while it is written may be torn: that is none of the damages here.
		copied := filepath.Join(left, fmt.Sprint(time.Now().UnixNano()))
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		archives, err := filepath.Glob(filepath.Join(copied, "inst", "*", "archive", "*.zst"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := VerifyDirectory(copied)
		if err == nil && len(found) == 0 && len(archives) > 0 {
			return copied, at
		}
		if time.Now().After(deadline) {
			t.Fatalf("the directory never was whole: %d archives, %+v, %v", len(archives), found, err)
		}
	}
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

// differing returns the lines that only one of two texts has.
func differing(got, want string) (text string) {
	has := func(of, line string) bool {
		return strings.Contains("\n"+of+"\n", "\n"+strings.TrimSuffix(line, "\n")+"\n")
	}
	for line := range strings.Lines(got) {
		if !has(want, line) {
			text += "+ " + line + "\n"
		}
	}
	for line := range strings.Lines(want) {
		if !has(got, line) {
			text += "- " + line + "\n"
		}
	}
	return text
}

// copied returns a copy of a directory. Most of a segment is empty: that takes no room.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		used := bytes.TrimRight(text, "\x00")
		return errors.Join(os.WriteFile(filepath.Join(to, name), used, 0o600), os.Truncate(filepath.Join(to, name), int64(len(text))))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// hurt damages one file of a directory, each as often as any other, and says how.
func hurt(t *testing.T, dir string, random *rand.Rand) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	path := files[random.IntN(len(files))]
	name, _ := filepath.Rel(dir, path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	how := random.IntN(10)
	if len(text) == 0 { // a lock
		how = 0
	}
	switch how {
	case 0:
		name, err = name+" is gone", os.Remove(path)
	case 1, 2:
		at := random.IntN(len(text))
		if random.IntN(4) == 0 {
			at = 0
		}
		name, err = fmt.Sprintf("%s is cut at %d of %d", name, at, len(text)), os.Truncate(path, int64(at))
	default:
		at := random.IntN(len(text))
		switch random.IntN(4) {
		case 0: // heads
			at = random.IntN(min(len(text), 128))
		case 1: // the last that is in use
			if end := len(strings.TrimRight(string(text), "\x00")); end > 0 {
				at = max(0, end-1-random.IntN(min(end, 200)))
			}
		case 2: // boundaries of pages
			at = min(len(text)-1, at/4096*4096+random.IntN(48))
		}
		was := text[at]
		text[at] ^= 1 << random.IntN(8)
		name = fmt.Sprintf("%s: byte %d of %d is %02x, was %02x", name, at, len(text), text[at], was)
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// lossesOf returns what a recovery said of the files of the ledger, of billing.db and of quotas.db.
func lossesOf(done []metering.Finding) (ledger, bills, quotas string) {
	for _, f := range done {
		switch filepath.Base(f.File) {
		case "billing.db":
			bills += f.Lost
		case "quotas.db":
			quotas += f.Lost
		default:
			ledger += f.Lost
		}
	}
	return ledger, bills, quotas
}

// damagedCase damages a copy of a directory and says what came of it: "same", "recovered" or "lost". A sum, a line item, what
// an exporter is told and the state of a quota are never other than want without a word.
func damagedCase(t *testing.T, dir string, now func() time.Time, want witnessed, seed uint64) (came string, err error) {
	broken := copied(t, dir)
	defer os.RemoveAll(broken)
	what := hurt(t, broken, rand.New(rand.NewPCG(seed, 14)))
	fail := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("seed %d, %s: %s", seed, what, fmt.Sprintf(format, args...))
	}
	tried := copied(t, broken) // where a gateway goes on as far as it can
	defer os.RemoveAll(tried)
	got, startErr := witness(t, tried, now)
	if startErr == nil {
		if got != want {
			return fail("it starts, with other sums, lines, exports or quotas:\n%s", differing(got.all(), want.all()))
		}
		return "same", nil
	}
	if !strings.Contains(startErr.Error(), mended) {
		return fail("the error does not say what mends it: %v", startErr)
	}
	for _, part := range [][2]string{{got.sums, want.sums}, {got.lines, want.lines}, {got.quotas, want.quotas}} {
		if part[0] != "" && part[0] != part[1] {
			return fail("it says %v, and\n%s", startErr, differing(part[0], part[1]))
		}
	}
	for line := range strings.Lines(got.told) {
		if !strings.Contains(want.told, strings.TrimSuffix(line, "\n")) {
			return fail("it says %v, and tells\n%s\nwant\n%s", startErr, line, want.told)
		}
	}
	// After that, and without it, recovery comes to the same.
	for _, broken := range []string{tried, broken} {
		found, err := VerifyDirectory(broken)
		if err != nil || len(found) == 0 {
			return fail("it does not go (%v), and nothing is found: %v", startErr, err)
		}
		done, err := metering.Recover(broken)
		if err != nil || len(done) == 0 {
			return fail("recovering: %+v, %v", done, err)
		}
		if again, err := metering.Recover(broken); err != nil || len(again) > 0 {
			return fail("a second recovery: %+v, %v", again, err)
		}
		after, err := witness(t, broken, now)
		if err != nil {
			return fail("after recovery %+v: %v", done, err)
		}
		if broken == tried { // exporters were told what there was to tell, and grants were settled
			after.told, after.leases = want.told, want.leases
		}
		came = "recovered"
		ledger, bills, quotas := lossesOf(done)
		for _, part := range []struct{ name, got, want, lost string }{
			{"sums", after.sums, want.sums, ledger},
			{"lines", after.lines, want.lines, ledger + bills},
			{"told", after.told, want.told, ledger + bills},
			{"quotas", after.quotas, want.quotas, ledger + quotas},
			{"leases", after.leases, want.leases, ledger + quotas},
		} {
			switch {
			case part.got == part.want:
			case part.lost == "":
				return fail("after recovery %+v the %s differ:\n%s", done, part.name, differing(part.got, part.want))
			default:
				came = "lost"
			}
		}
	}
	return came, nil
}

// Whatever file of the whole directory is damaged, and however: a gateway starts and says, bills, tells and grants the same, or it
// says which file is damaged and what mends it. After `usage recover` all is as it was, or the loss was said.
func TestDamagedDirectory(t *testing.T) {
	dir, at := leftBehind(t)
	now := stopped(at)
	want, err := witness(t, copied(t, dir), now)
	if err != nil || want.sums == "" || want.lines == "" || want.told == "" || want.quotas == "" {
		t.Fatalf("%+v, %v", want, err)
	}
	if again, err := witness(t, copied(t, dir), now); err != nil || again != want {
		t.Fatalf("%+v\nwant\n%+v, %v", again, want, err)
	}
	var next atomic.Uint64
	var workers sync.WaitGroup
	var mu sync.Mutex
	came := make(map[string]int)
	for range 2 * runtime.GOMAXPROCS(0) { // each waits for the disk most of the time
		workers.Go(func() {
			for seed := next.Add(1); seed <= damagedCases; seed = next.Add(1) {
				what, err := damagedCase(t, dir, now, want, seed)
				mu.Lock()
				if came[what]++; err != nil {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d cases: %v", damagedCases, came)
	if came["same"] == 0 || came["recovered"] == 0 || came["lost"] == 0 {
		t.Error("the cases do not reach all that can happen")
	}
}
