package usage_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// killedAt makes this binary a process that exports one round, and kills itself at a step: "STEP KIND PATH URL".
const killedAt = "EDGEGATE_TEST_KILLED_AT"

func TestMain(m *testing.M) {
	if order := strings.Fields(os.Getenv(killedAt)); len(order) == 4 {
		exportUntil(order[0], order[1], order[2], order[3])
	}
	os.Exit(m.Run())
}

// exportUntil runs a round and kills the process with SIGKILL at the given step, counted from 1.
func exportUntil(at, kind, path, url string) {
	left, err := strconv.Atoi(at)
	if err != nil {
		panic(err)
	}
	step := func(string) {
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	store := usage.NewLineStore(path, "ledger")
	if format, ok := strings.CutPrefix(kind, "file:"); ok {
		_, err = store.Drain(context.Background(), stepping{&usage.Files{Dir: url, Format: usage.Format(format)}, step})
	} else {
		o := &usage.Outbox{Store: store, Pages: store.Pages(), Now: time.Now}
		o.AtSteps(step)
		_, err = o.Run(context.Background(), service(kind, url))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// stepping ends the process before and after deliveries.
type stepping struct {
	*usage.Files
	step func(string)
}

func (s stepping) MaxBatch() int { return 20 }

func (s stepping) Deliver(ctx context.Context, b usage.Batch) error {
	s.step("before")
	err := s.Files.Deliver(ctx, b)
	s.step("after")
	return err
}

func service(kind, url string) usage.Service {
	if window, ok := strings.CutPrefix(kind, "stripe"); ok {
		meter := "edge" + window
		return stripemeter.New(stripemeter.Config{
			Key: stripeKey, Meter: meter, Overage: meter + "_overage", URL: url,
			Customers: func() map[string]string { return map[string]string{"acme": "cus_acme", "globex": "cus_globex"} },
		})
	}
	config := webhook.Config{Title: kind, URL: url + "/in", Secrets: []string{hookSecret}, Batch: 7}
	if kind == "openmeter" {
		config.Secrets, config.Bearer, config.Remembers = nil, "token", 30*24*time.Hour
	}
	s, err := webhook.New(config)
	if err != nil {
		panic(err)
	}
	return s
}

// The exporter is killed between every two steps, and started again, and the sink has what is billed.
func TestExporterKilled(t *testing.T) {
	t.Parallel()
	urls := make(map[string]string)
	sinks := servers(t, func(name, at string) string {
		urls[name] = at
		return at
	}, 7)
	for _, s := range sinks {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 5)
			r.start = time.Now().UTC().Truncate(time.Hour).Add(-20 * time.Hour)
			s.faults.Set(time.Time{}) // that of the process that is killed
			for range 4 {
				r.pass()
			}
			kills := 0
			for step := 1; killed(t, step, s.name, r.path, urls[s.name]); step++ {
				// All steps of a round that has something to do: the one before may have left little.
				kills++
				r.pass()
			}
			r.update(r.late)
			if kills < 3 {
				t.Errorf("it was killed %d times", kills)
			}
			r.settled(s)
		})
	}
}

func TestFilesKilled(t *testing.T) {
	for _, format := range []usage.Format{usage.CSV, usage.FOCUS} {
		t.Run(string(format), func(t *testing.T) {
			r := newRig(t, 6)
			for range 10 {
				r.pass()
			}
			dir := filepath.Join(t.TempDir(), "out")
			kills := 0
			for step := 1; killed(t, step, "file:"+string(format), r.path, dir); step++ {
				kills++
				r.pass()
			}
			r.update(r.late)
			files := &usage.Files{Dir: dir, Format: format}
			if _, err := r.store.Drain(t.Context(), files); err != nil {
				t.Fatal(err)
			}
			if kills == 0 {
				t.Error("it was never killed")
			}
			got := make(map[string]int64)
			if format == usage.FOCUS {
				got = addedUp(t, files)
			} else {
				for _, l := range written(t, files) {
					got[l.AccountID] += l.Quantity
				}
			}
			for _, account := range []string{"acme", "globex"} {
				if want := r.billed(account, false); got[account] != want {
					t.Errorf("the files have %d of %s, billed is %d", got[account], account, want)
				}
			}
		})
	}
}

// addedUp is what all rows of files of FOCUS have together, by account.
func addedUp(t *testing.T, files *usage.Files) map[string]int64 {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(files.Dir, "usage-*.focus.csv"))
	if err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]int64)
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(file).ReadAll()
		if err != nil || len(rows) == 0 {
			t.Fatalf("%s: %d rows, %v", name, len(rows), err)
		}
		_ = file.Close()
		account, quantity := slices.Index(rows[0], "BillingAccountId"), slices.Index(rows[0], "ConsumedQuantity")
		for _, row := range rows[1:] {
			n, err := strconv.ParseInt(row[quantity], 10, 64)
			if err != nil {
				t.Error(err)
			}
			sums[row[account]] += n
		}
	}
	return sums
}

// killed runs a process that exports, and reports whether it was killed; false if it had no such step.
func killed(t *testing.T, step int, kind, path, url string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s %s", killedAt, step, kind, path, url))
	out, err := cmd.CombinedOutput()
	ended := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return false
	case errors.As(err, &ended) && !ended.Exited():
		return true
	}
	t.Fatalf("step %d: %v: %s", step, err, out)
	return false
}

// written are the lines in a directory of files: of each the highest revision.
func written(t *testing.T, files *usage.Files) map[string]usage.Line {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(files.Dir, fmt.Sprintf("usage-*.%s", files.Format)))
	if err != nil {
		t.Fatal(err)
	}
	latest := make(map[string]usage.Line)
	for _, name := range names {
		err := usage.Read(name, files.Format, func(l *usage.Line) error {
			if !l.Intact() {
				t.Errorf("%s: %+v", name, l)
			}
			if l.Revision >= latest[l.LineID].Revision {
				latest[l.LineID] = *l
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return latest
}
