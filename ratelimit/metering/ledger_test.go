package metering

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openLedger(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLedger(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func admit(t *testing.T, l *Ledger, subject SubjectID, region uint16, at time.Time) uint64 {
	t.Helper()
	seq, err := l.Admit(Invocation{Subject: subject, Region: region, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// numbers gives numbers to a subject and a region.
func numbers(t *testing.T, l *Ledger, organization, region string) (SubjectID, uint16) {
	t.Helper()
	s, err := l.Subject(Subject{Organization: organization, Project: "p", Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Region(region)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// monthly adds up what was used, of all regions and functions.
func monthly(t *testing.T, l *Ledger, organization string) Sums {
	t.Helper()
	usage, err := l.Usage()
	if err != nil {
		t.Fatal(err)
	}
	var sums Sums
	for _, u := range usage {
		if u.Organization == organization && u.Span == Monthly {
			sums.Invocations += u.Invocations
			sums.Completed += u.Completed
			sums.Voided += u.Voided
		}
	}
	return sums
}

func TestLedgerAddsUp(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	acme, eu := numbers(t, l, "acme", "eu")
	other, us := numbers(t, l, "other", "us")
	at := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	first := admit(t, l, acme, eu, at)
	if err := l.Done(first, Invocation{Subject: acme, Region: eu, At: at}, Ending{Status: 200, Attempts: 1, Duration: time.Hour}); err != nil {
		t.Fatal(err)
	}
	second := admit(t, l, acme, eu, at)
	if err := l.Void(second, Invocation{Subject: acme, Region: eu, At: at}); err != nil {
		t.Fatal(err)
	}
	admit(t, l, acme, us, at)
	admit(t, l, acme, us, at.Add(time.Second)) // the next period, and hour
	admit(t, l, other, us, at)
	check := func(l *Ledger) {
		t.Helper()
		usage, err := l.Usage()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, u := range usage {
			if u.Instance != l.Instance() || u.Project != "p" || u.Function != "f" {
				t.Errorf("%+v", u)
			}
			lines = append(lines, strings.Join([]string{
				u.Organization, u.Region, string(u.Span), u.Start.Format("0102T15"), string(rune('0' + u.Invocations)), string(rune('0' + u.Completed)), string(rune('0' + u.Voided)),
			}, " "))
		}
		want := "acme eu m 1101T00 1 1 1, acme eu h 1130T23 1 1 1, acme us m 1101T00 1 0 0, acme us h 1130T23 1 0 0, " +
			"acme us m 1201T00 1 0 0, acme us h 1201T00 1 0 0, other us m 1101T00 1 0 0, other us h 1130T23 1 0 0"
		for line := range strings.SplitSeq(want, ", ") {
			if !strings.Contains(strings.Join(lines, ", "), line) {
				t.Errorf("%s is missing in %q", line, lines)
			}
		}
		if len(lines) != 8 {
			t.Errorf("%q", lines)
		}
		for organization, want := range map[string]uint64{"acme": 2, "other": 1, "none": 0} {
			if got, err := l.SpentBy(organization, (Cycle{}).At(at)); err != nil || got[l.Instance()] != want {
				t.Errorf("%s: %v, %v, want %d", organization, got, err, want)
			}
		}
	}
	check(l)
	closeLedger(t, l)
	if _, err := l.Admit(Invocation{Subject: acme, Region: eu, At: at}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after its end: %v", err)
	}
	l = openLedger(t, dir)
	check(l)
	if again, _ := numbers(t, l, "acme", "eu"); again != acme {
		t.Error("a subject has another number")
	}
	closeLedger(t, l)
	// Without its sums the log says the same.
	if err := os.Remove(filepath.Join(dir, "inst", l.Instance(), "checkpoint.db")); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	check(l)
	closeLedger(t, l)
}

func TestLedgerClockNeverGoesBack(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	open := func() *Ledger {
		l, err := Open(Config{Dir: dir, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	s, r := numbers(t, l, "acme", "eu")
	admit(t, l, s, r, l.Now())
	now = now.Add(-time.Hour)
	if got := l.Now(); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("%s", got)
	}
	closeLedger(t, l)
	l = open()
	defer closeLedger(t, l)
	if got := l.Now(); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("after a restart: %s", got)
	}
}

func TestDictionaryCutsOffWhatIsTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dict.seg")
	d, err := openDictionary(path)
	if err != nil {
		t.Fatal(err)
	}
	berlin := Subject{Organization: "a\n|b", Project: "p", Function: "f", Cycle: Cycle{Zone: zone(t, "Europe/Berlin"), Anchor: time.Unix(1e9, 0)}}
	for i, s := range []Subject{{Organization: "o"}, berlin, {Organization: "o"}, berlin} {
		if id, err := d.subject(s); err != nil || int(id) != i%2 {
			t.Errorf("%d, %v", id, err)
		}
	}
	if id, err := d.region("eu"); err != nil || id != 1 {
		t.Errorf("%d, %v", id, err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"", "1", "00000000 {\x00\n", "00000000 {\"org\":\"x\"}", string(bytes.Repeat([]byte{0}, 100)) + "\n"} {
		if err := os.WriteFile(path, append(bytes.Clone(whole), torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err = openDictionary(path); err != nil {
			t.Fatal(err)
		}
		if got := d.lookup(1); !got.Cycle.Equal(berlin.Cycle) || got.Organization != berlin.Organization || d.regionName(1) != "eu" {
			t.Errorf("%+v", got)
		}
		if id, err := d.subject(Subject{Organization: "new"}); err != nil || id != 2 {
			t.Errorf("%d, %v", id, err)
		}
		_ = d.close()
		if d, err = openDictionary(path); err != nil || d.lookup(2).Organization != "new" || d.lookup(3).Organization != "" {
			t.Errorf("%+v, %v", d.subjects, err)
		}
		_ = d.close()
	}
}

// Several processes share a directory, each with a log of its own; what one leaves behind is another's.
func TestLedgersShareADirectory(t *testing.T) {
	dir := t.TempDir()
	first, second := openLedger(t, dir), openLedger(t, dir)
	if first.Instance() == second.Instance() {
		t.Fatal("both have the same log")
	}
	for _, l := range []*Ledger{first, second} {
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, now)
	}
	closeLedger(t, first)
	closeLedger(t, second)
	third := openLedger(t, dir)
	if got := monthly(t, third, "acme").Invocations; got != 2 {
		t.Errorf("%d invocations, want both logs'", got)
	}
	if got, err := third.SpentBy("acme", (Cycle{}).At(now)); err != nil || got[first.Instance()] != 1 || got[second.Instance()] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if third.Instance() != first.Instance() && third.Instance() != second.Instance() {
		t.Error("it has a new log")
	}
	closeLedger(t, third)
}

func TestLedgerStrict(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	l.SetSync(SyncStrict)
	s, r := numbers(t, l, "acme", "eu")
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 10 {
				seq, err := l.Admit(Invocation{Subject: s, Region: r, At: now})
				if err != nil {
					t.Error(err)
				}
				l.mu.Lock()
				if l.synced < seq {
					t.Errorf("%d is not on the disk, only up to %d", seq, l.synced)
				}
				l.mu.Unlock()
			}
		})
	}
	running.Wait()
}

// What could not be brought to the disk is not sent, so it does not count, though its record was saved in the end. A
// waiter that looks only after it was saved has its record on the disk, and goes on.
func TestLedgerStrictWithASyncError(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	l.SetSync(SyncStrict)
	broken := errors.New("input/output error")
	l.mu.Lock()
	l.own.log.active.Load().flush = func([]byte) error { return broken }
	l.mu.Unlock()
	want := Sums{Invocations: 2}
	seq, err := l.Admit(Invocation{Subject: s, Region: r, At: now})
	if err != nil {
		want = Sums{Invocations: 1, Voided: 1}
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) || seq != 0 {
			t.Errorf("record %d, %v", seq, err)
		}
	}
	if _, err := l.Admit(Invocation{Subject: s, Region: r, At: now}); err != nil {
		t.Errorf("into the new file: %v", err)
	}
	if got := monthly(t, l, "acme"); got.Invocations != want.Invocations || got.Voided != want.Voided {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRefuseFileSystem(t *testing.T) {
	if err := refuseFileSystem("/x", 0x6969); err == nil || !strings.Contains(err.Error(), "/x is on NFS") {
		t.Errorf("%v", err)
	}
	if err := refuseFileSystem("/x", 0xef53); err != nil {
		t.Error(err)
	}
}

// asLedger makes the test binary admit in the ledger that it names until it is killed, and say each number.
const asLedger = "EDGEGATE_METERING_LEDGER"

func admitForEver(dir string) {
	l, err := Open(Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, _ := l.Subject(Subject{Organization: "acme"})
	r, _ := l.Region("eu")
	for err == nil {
		var seq uint64
		if seq, err = l.Admit(Invocation{Subject: s, Region: r, At: l.Now()}); err == nil {
			b := []byte{byte(seq), byte(seq >> 8), byte(seq >> 16), byte(seq >> 24)}
			_, err = os.Stdout.Write(b)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process is killed again and again; what it said to have sent is counted, and nothing else but what it was just about to send.
func TestLedgerOutlivesKills(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said, kills := 0, 10
	for range kills {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env, cmd.Stderr = append(os.Environ(), asLedger+"="+dir), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, out, 4*5000); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Kill()
		rest, _ := io.ReadAll(out) // the pipe ends with the process
		said += 5000 + len(rest)/4
		_ = cmd.Wait() // it was killed
	}
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	if got := int(monthly(t, l, "acme").Invocations); got < said || got > said+kills {
		t.Errorf("%d are counted, %d were sent in %d processes", got, said, kills)
	}
}

func BenchmarkAdmit(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s, _ := l.Subject(Subject{Organization: "acme"})
	r, _ := l.Region("eu")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Admit(Invocation{Subject: s, Region: r, At: l.Now()}); err != nil {
			b.Fatal(err)
		}
	}
}
