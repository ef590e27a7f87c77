package usage

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hours delivers one final line an hour, from one hour to before another, and a correction of each at the end.
func (b *storeTest) hours(sink *Files, from, to int, quantity int64) {
	b.t.Helper()
	b.noSync = true
	for round := range 2 {
		for hour := from; hour < to; hour++ {
			b.over = max(b.over, hour+1)
			b.update(used("one", "f", hour, quantity+int64(round)))
			if _, err := b.Drain(context.Background(), sink); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// isOf compares what is in a directory with the bill, of each line by its quantity: the revisions of another billing.db may be higher.
func (b *storeTest) isOf(dir string) {
	b.t.Helper()
	got := totalsOf(b.t, dir, JSONL)
	for _, l := range b.lines() {
		if g := got[l.LineID]; l.State != Provisional && (g.Quantity != l.Quantity || g.AmountMinor != l.AmountMinor) {
			b.t.Errorf("delivered is %+v, billed %+v", g, l)
		}
	}
}

// unmarked removes what lines of manifests of older builds lack.
func unmarked(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, manifestName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`,"(billing":"[0-9a-f]+"|upto":[0-9]+)`).ReplaceAll(text, nil)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "billing") {
		t.Fatalf("%s", text)
	}
}

// What a billing.db that was made anew has is written to an old directory, however its changes are numbered, and no file is
// replaced. So it is with two that take turns.
func TestFilesOfAnotherBillingDB(t *testing.T) {
	for name, old := range map[string]bool{"with ids": false, "of an older build": true} {
		t.Run(name, func(t *testing.T) {
			files := &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: JSONL}
			first := newStore(t)
			first.hours(files, 0, 5, 10)
			first.isOf(files.Dir)
			if old {
				unmarked(t, files.Dir)
			}
			second := newStore(t) // fewer changes than the first had
			second.hours(files, 5, 8, 10)
			second.isOf(files.Dir)
			second.hours(files, 8, 20, 10) // more
			second.isOf(files.Dir)
			first.hours(files, 20, 22, 10)
			first.isOf(files.Dir)
			second.hours(files, 22, 24, 10)
			second.isOf(files.Dir)
			if first.isOf(files.Dir); t.Failed() {
				text, err := os.ReadFile(filepath.Join(files.Dir, manifestName))
				t.Logf("%s %v", text, err)
			}
		})
	}
}

// The changes since a copy of billing.db was made are numbered once more after it was put back.
func TestFilesOfAnEarlierCopy(t *testing.T) {
	b, files := newStore(t), &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: JSONL}
	b.hours(files, 0, 3, 10)
	copied, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	b.hours(files, 3, 9, 10)
	if err := os.WriteFile(b.path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	b.hours(files, 9, 12, 10)
	b.isOf(files.Dir)
}

// A directory of an older build is gone on with: nothing is written again, and its next line has the id.
func TestFilesGoOnWithoutID(t *testing.T) {
	for _, format := range Formats() {
		b, files := newStore(t), &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: Format(format)}
		b.hours(files, 0, 3, 10)
		unmarked(t, files.Dir)
		if err := b.SetCursor(files.Name(), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Drain(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(files.Dir, manifestName))
		if err != nil || strings.Contains(string(text), "billing") {
			t.Errorf("%s: it is written again: %s, %v", format, text, err)
		}
		b.over = 4
		b.update(used("one", "f", 3, 7))
		if n, err := b.Drain(t.Context(), files); n != 1 || err != nil {
			t.Fatalf("%s: %d, %v", format, n, err)
		}
		id, highest, err := b.numbering()
		last, lastErr := files.last(id, highest)
		if err := errors.Join(err, lastErr); err != nil || last.Billing != id || last.Upto != highest || last.To != highest {
			t.Errorf("%s: %+v, %s %d, %v", format, last, id, highest, err)
		}
	}
}

// Rows that add up are not written beside those of another billing.db. The error names the directory and the remedy.
func TestFilesOfAnotherBillingDBThatAddUp(t *testing.T) {
	for _, old := range []bool{false, true} {
		files := &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: FOCUS}
		first := newStore(t)
		first.hours(files, 0, 5, 10)
		if old {
			unmarked(t, files.Dir)
		}
		before, err := os.ReadFile(filepath.Join(files.Dir, manifestName))
		if err != nil {
			t.Fatal(err)
		}
		second := newStore(t)
		second.over = 1
		second.update(used("one", "f", 0, 10))
		for range 2 {
			_, err = second.Drain(t.Context(), files)
			if err == nil || !strings.Contains(err.Error(), files.Dir+" has rows of another billing.db") || !strings.Contains(err.Error(), "name a new directory in `export file`") {
				t.Errorf("%v", err)
			}
		}
		if after, err := os.ReadFile(filepath.Join(files.Dir, manifestName)); err != nil || string(after) != string(before) {
			t.Errorf("the manifest is %s, %v", after, err)
		}
		if _, err := second.Drain(t.Context(), &Files{Dir: filepath.Join(t.TempDir(), "new"), Format: FOCUS}); err != nil {
			t.Error(err)
		}
		first.hours(files, 5, 6, 10)
	}
}

// However often the process ends between the manifest and the cursor, what another billing.db has is written once.
func TestFilesOfAnotherBillingDBOutliveKills(t *testing.T) {
	for steps := 1; steps < 8; steps++ {
		files := &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: JSONL}
		newStore(t).hours(files, 0, 5, 10)
		b := newStore(t)
		b.noSync = true
		for hour := range 6 {
			b.over = hour + 1
			b.update(used("one", "f", hour, int64(10+hour)))
			if _, err := b.Drain(t.Context(), &stumbling{files, steps}); err != nil && !errors.Is(err, errStumbled) {
				t.Fatal(err)
			}
		}
		if _, err := b.Drain(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(files.Dir, manifestName))
		if err != nil {
			t.Fatal(err)
		}
		var numbered uint64
		id, _, _ := b.numbering()
		for row := range strings.Lines(string(text)) {
			var d delivery
			if err := json.Unmarshal([]byte(row), &d); err != nil {
				t.Fatal(err)
			}
			if d.Billing == id {
				numbered += d.To - d.From + 1
			}
		}
		if numbered != 6 {
			t.Errorf("%d steps: %d changes of 6 are written: %s", steps, numbered, text)
		}
		totalsOf(t, files.Dir, JSONL)
	}
}
