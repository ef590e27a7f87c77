package usage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// small takes few changes at once, so that a line changes again in a later batch.
type small struct {
	*stumbling
	most int
}

func (s small) MaxBatch() int { return s.most }

// whole never stumbles.
func whole(f *Files) *stumbling { return &stumbling{Files: f, steps: -1} }

// unnoted is a sink whose process ends after a file has its name, before the manifest has it.
type unnoted struct{ *Files }

func (u unnoted) Deliver(ctx context.Context, b Batch) error {
	manifest := filepath.Join(u.Dir, manifestName)
	before, err := os.ReadFile(manifest)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := u.Files.Deliver(ctx, b); err != nil {
		return err
	}
	return errors.Join(errStumbled, os.WriteFile(manifest, before, 0o600))
}

// rowsOf returns how often each revision of a line stands in the files of a manifest, and the
// sums that the manifest states.
func rowsOf(t *testing.T, dir string, format Format) (rows map[[2]any]int, stated Totals) {
	t.Helper()
	manifest, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	defer manifest.Close()
	rows = make(map[[2]any]int)
	for text := bufio.NewScanner(manifest); text.Scan(); {
		var d delivery
		if err := json.Unmarshal(text.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if d.Rows == 0 {
			t.Errorf("%s is empty", d.File)
		}
		stated.Rows += d.Rows
		stated.Quantity += d.Quantity
		stated.AmountMinor += d.AmountMinor
		err := Read(filepath.Join(dir, d.File), format, func(l *Line) error {
			rows[[2]any{l.LineID, l.Revision}]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows, stated
}

// A line that changed several times between two deliveries is written once, with its latest
// revision, wherever a batch or the process ends.
func TestFilesWriteEachRevisionOnce(t *testing.T) {
	t.Parallel()
	for _, format := range []Format{CSV, JSONL, Parquet} {
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 7))
			b, files := newStore(t), &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: format}
			most := 1 + random.IntN(12)
			for range 40 {
				if b.over < 6 && random.IntN(4) == 0 {
					b.over++
				}
				function := []string{"f", "g"}[random.IntN(2)]
				b.update(adjusted("one", function, random.IntN(8), 100_000*random.Int64N(50), 10_000*random.Int64N(5)))
				if random.IntN(4) > 0 {
					continue
				}
				var sink Deliverer = small{whole(files), most}
				switch random.IntN(4) {
				case 0:
					sink = small{&stumbling{files, 1 + random.IntN(4)}, most}
				case 1:
					sink = unnoted{files}
				}
				if _, err := b.Drain(context.Background(), sink); err != nil && !errors.Is(err, errStumbled) {
					t.Fatal(err)
				}
			}
			b.over = 9
			b.update()
			if _, err := b.Drain(t.Context(), small{whole(files), most}); err != nil {
				t.Fatal(err)
			}
			b.same(totalsOf(t, files.Dir, format))
			rows, _ := rowsOf(t, files.Dir, format)
			noted, err := os.ReadFile(filepath.Join(files.Dir, manifestName))
			names, none := filepath.Glob(filepath.Join(files.Dir, "usage-*"))
			if lines := bytes.Count(noted, []byte("\n")); len(names) != lines || errors.Join(err, none) != nil {
				t.Errorf("seed %d, %s: there are %d files, the manifest has %d, %v", seed, format, len(names), lines, errors.Join(err, none))
			}
			for revision, n := range rows {
				if n > 1 {
					t.Errorf("seed %d, %s: revision %v is written %d times", seed, format, revision, n)
				}
			}

			// A directory that gets all at once has each line once: its sums are those of the bill.
			late := &Files{Dir: filepath.Join(t.TempDir(), "late"), Format: format}
			if _, err := b.Drain(t.Context(), small{whole(late), most}); err != nil {
				t.Fatal(err)
			}
			var bill Totals
			for _, l := range b.lines() {
				bill.Rows++
				bill.Quantity += l.Quantity
				bill.AmountMinor += l.AmountMinor
			}
			if _, stated := rowsOf(t, late.Dir, format); stated.Rows != bill.Rows || stated.Quantity != bill.Quantity || stated.AmountMinor != bill.AmountMinor {
				t.Errorf("seed %d, %s: the manifest states %+v, the bill is %+v", seed, format, stated, bill)
			}
			b.same(totalsOf(t, late.Dir, format))
		}
	}
}
