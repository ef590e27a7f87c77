package usage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// delivered reads a directory of deliveries: of each line the highest revision, and that the manifest is right.
func totalsOf(t *testing.T, dir string, format Format) map[string]Line {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	lines, before := make(map[string]Line), delivery{}
	for row := range strings.Lines(string(text)) {
		if !strings.HasSuffix(row, "\n") {
			break // it was not finished
		}
		var d delivery
		if err := json.Unmarshal([]byte(row), &d); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, d.File))
		sum := sha256.Sum256(content)
		if err != nil || hex.EncodeToString(sum[:]) != d.SHA256 || d.Previous != before.SHA256 || d.From != before.To+1 {
			t.Errorf("%+v follows %+v, %v", d, before, err)
		}
		before = d
		var total Totals
		err = Read(filepath.Join(dir, d.File), format, func(l *Line) error {
			total.add(l)
			if !l.Intact() || l.State == Provisional {
				t.Errorf("%+v", l)
			}
			if known := lines[l.LineID]; l.Revision >= known.Revision {
				lines[l.LineID] = *l
			}
			return nil
		})
		if err != nil || total != d.Totals {
			t.Errorf("%s: %+v, the manifest says %+v, %v", d.File, total, d.Totals, err)
		}
	}
	return lines
}

// same compares what was delivered with what is billed.
func (b *storeTest) same(got map[string]Line) {
	b.t.Helper()
	for _, l := range b.lines() {
		if l.State != Provisional && got[l.LineID] != l {
			b.t.Errorf("delivered is %+v, billed %+v", got[l.LineID], l)
		}
		delete(got, l.LineID)
	}
	if len(got) > 0 {
		b.t.Errorf("delivered and not billed: %+v", got)
	}
}

func TestFiles(t *testing.T) {
	for _, format := range []Format{CSV, JSONL, Parquet} {
		t.Run(string(format), func(t *testing.T) {
			b, sink := newStore(t), &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: format}
			drain := func(want int) {
				t.Helper()
				if n, err := b.Drain(t.Context(), sink); n != want || err != nil {
					t.Fatalf("%d lines, want %d, %v", n, want, err)
				}
			}
			drain(0)
			b.update(used("one", "f", 0, 10), used("one", "f", 1, 20))
			drain(0)
			b.over = 1
			b.update()
			drain(1)
			drain(0)
			b.over = 2
			b.update(used("one", "f", 2, 5), used("two", "f", 0, 1)) // and a correction
			drain(2)
			b.same(totalsOf(t, sink.Dir, format))
		})
	}
}

// stumbling is a sink whose process ends at some step: before it has the lines, or after, before that is noted.
type stumbling struct {
	*Files
	steps int // until it ends
}

var errStumbled = errors.New("the process ended")

func (s *stumbling) Deliver(ctx context.Context, b Batch) error {
	if s.steps--; s.steps == 0 {
		return errStumbled
	}
	if err := s.Files.Deliver(ctx, b); err != nil {
		return err
	}
	if s.steps--; s.steps == 0 {
		return errStumbled
	}
	return nil
}

// Nothing is missing and nothing there twice, at whatever step the process ends.
func TestFilesOutliveKills(t *testing.T) {
	for step := 1; step <= 12; step++ {
		b, files := newStore(t), &Files{Dir: t.TempDir(), Format: JSONL}
		for hour := range 6 {
			b.over = hour
			b.update(used("one", "f", hour, int64(10+hour)), used("two", "f", hour/2, int64(hour+1)))
			if _, err := b.Drain(t.Context(), &stumbling{files, step}); err != nil && !errors.Is(err, errStumbled) {
				t.Fatal(err)
			}
			if hour == step%6 { // the end of the manifest was not written
				path := filepath.Join(files.Dir, manifestName)
				if text, err := os.ReadFile(path); err == nil {
					if err := os.WriteFile(path, append(text, `{"file":"usa`...), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if _, err := b.Drain(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		b.same(totalsOf(t, files.Dir, JSONL))
	}
}

// A line of the manifest that is not what was written is an error with its place; the lines after it stay.
func TestFilesTellOfDamage(t *testing.T) {
	b, files := newStore(t), &Files{Dir: t.TempDir(), Format: JSONL}
	path := filepath.Join(files.Dir, manifestName)
	var first int
	for hour := range 3 {
		b.over = hour
		b.update(used("one", "f", hour, int64(10+hour)))
		if _, err := b.Drain(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err == nil && first == 0 {
			first = len(text)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || first == 0 || first == len(text) {
		t.Fatalf("%q, %v", text, err)
	}
	text[first-2] = 'x'
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.over = 4
	b.update(used("one", "f", 3, 7))
	_, err = b.Drain(t.Context(), files)
	var damage *durable.DamageError
	if !errors.As(err, &damage) || damage.File != path || damage.Offset != 0 {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
		t.Errorf("the manifest is %q, %v, want %q", got, err, text)
	}
}

// A manifest that was removed is not begun anew beside its files: that would hide them. Nothing is lost meanwhile.
func TestFilesWithoutManifest(t *testing.T) {
	b, files := newStore(t), &Files{Dir: t.TempDir(), Format: JSONL}
	manifest := filepath.Join(files.Dir, manifestName)
	if err := os.WriteFile(filepath.Join(files.Dir, "usage-notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	drain := func(hour int) error {
		b.over = hour + 1
		b.update(used("one", "f", hour, 10))
		_, err := b.Drain(t.Context(), files)
		return err
	}
	if err := drain(0); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(manifest)
	if err := errors.Join(err, os.Remove(manifest)); err != nil {
		t.Fatal(err)
	}
	var damage *durable.DamageError
	if err := drain(1); !errors.As(err, &damage) || damage.File != manifest || damage.Remedy != firstRemedy {
		t.Errorf("%v", err)
	}
	if err := errors.Join(os.WriteFile(manifest, was, 0o600), drain(2)); err != nil {
		t.Fatal(err)
	}
	b.same(totalsOf(t, files.Dir, JSONL))
}

// A process that is killed while it writes a file leaves half of it. The next one begins the files, or goes on, beside it.
func TestFilesBeginBesideHalfAFile(t *testing.T) {
	// killed ends in the midst of a file, as a process does: nothing that would tidy up runs.
	killed := func(path string) (ended any) {
		defer func() { ended = recover() }()
		return durable.Replace(path, 0o600, func(file *os.File) error {
			if _, err := file.WriteString("schema,led"); err != nil {
				return err
			}
			panic(errStumbled)
		})
	}
	for _, format := range []Format{CSV, JSONL, Parquet} {
		b, files := newStore(t), &Files{Dir: t.TempDir(), Format: format}
		b.update(used("one", "f", 0, 10))
		for hour, name := range []string{"usage-000000000001.", "usage-000000000002.", "usage-000000009999."} {
			half := filepath.Join(files.Dir, name+string(format))
			if err := killed(half); err != errStumbled {
				t.Fatal(err)
			}
			if entries, err := os.ReadDir(files.Dir); len(entries) == 0 || err != nil {
				t.Fatalf("nothing is left of %s, %v", half, err)
			}
			b.over = hour + 1
			b.update(used("one", "f", hour+1, 20))
			if n, err := b.Drain(t.Context(), files); n != 1 || err != nil {
				t.Fatalf("%s: %d lines beside %s, %v", format, n, half, err)
			}
			b.same(totalsOf(t, files.Dir, format))
		}
	}
}

// The guarantee says how files are read: lines by their revision, charges by adding them up.
func TestFilesGuarantee(t *testing.T) {
	for format, want := range map[Format]string{CSV: "the highest revision counts", FOCUS: "are added up"} {
		if got := (&Files{Format: format}).Guarantee(); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}
