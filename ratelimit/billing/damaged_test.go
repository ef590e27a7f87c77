package billing

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
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

// asOriginal has a copy of a directory be taken for the original.
func asOriginal(dir string) error {
	places, err := filepath.Glob(filepath.Join(dir, "inst", "*", "place"))
	for _, place := range places {
		err = errors.Join(err, os.Remove(place))
	}
	return err
}

// hurt damages one file of a directory, each as often as any other, or removes a folder, and says how.
func hurt(t *testing.T, dir string, random *rand.Rand) string {
	t.Helper()
	var files, folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case !d.IsDir():
			files = append(files, path)
		case path != dir:
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if random.IntN(8) == 0 {
		path := folders[random.IntN(len(folders))]
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(dir, path)
		return name + " is gone, with all that is in it"
	}
	path := files[random.IntN(len(files))]
	name, _ := filepath.Rel(dir, path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	how := random.IntN(10)
	if len(text) == 0 { // a lock, or a note
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
	if seed%2 == 0 { // as if it were the original
		if err := asOriginal(broken); err != nil {
			t.Error(err)
		}
	}
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
		found, err := findingsAt(broken)
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
