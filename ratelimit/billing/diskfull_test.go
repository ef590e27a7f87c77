//go:build linux

package billing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// smallDisk returns a directory on a disk of 4 MiB. Where that needs to be root, the test runs again in a process that is root of
// its own name space, and false is returned here.
func smallDisk(t *testing.T) (dir string, here bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		}
		if text, err := again.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return "", false
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// full is a gateway on a small disk, and what it was seen to answer.
type full struct {
	t        *testing.T
	random   *rand.Rand
	disk     string
	dir      string
	at       *clock
	engine   *Engine // nil: it could not start
	sink     *usage.Files
	answered int64 // calls that were sent, and units that were adjusted
	limit    *int64
	failed   map[string]int
}

func (f *full) account() *plan {
	return &plan{accounts: []Account{account("acme", granted, pays)}}
}

func (f *full) start() error {
	e := NewEngine(f.dir)
	e.now = f.at.now
	if err := e.Start(Settings{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	e.Use(f.account())
	f.engine = e
	return nil
}

// took notes what failed for want of room. Nothing may be taken for damage.
func (f *full) took(what string, err error) bool {
	f.t.Helper()
	if damage, ok := errors.AsType[*durable.DamageError](err); ok {
		f.t.Fatalf("%s: taken for damage: %v", what, damage)
	}
	if err != nil {
		f.failed[what]++
	}
	return err == nil
}

// fill takes the rest of the disk, but for some pages.
func (f *full) fill() {
	file, err := os.OpenFile(filepath.Join(f.disk, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		f.failed["ballast"]++
		return
	}
	defer file.Close()
	page := make([]byte, 4096)
	for {
		if _, err := file.Write(page); err != nil {
			break
		}
	}
	if info, err := file.Stat(); err == nil {
		_ = file.Truncate(max(0, info.Size()-4096*f.random.Int64N(6)))
	}
}

func (f *full) free() {
	if err := os.Remove(filepath.Join(f.disk, "ballast")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
}

func (f *full) step(ctx context.Context) {
	if f.engine == nil {
		f.free()
		if err := f.start(); err != nil {
			f.t.Fatalf("there is room again: %v", err)
		}
	}
	switch f.random.IntN(12) {
	default:
		slug := strings.Repeat("long", 50) + fmt.Sprint(f.random.IntN(80)) // names need room too
		r := f.engine.Receive()
		if !f.took("take", r.Take(ctx, "acme", &granted)) {
			return
		}
		d := Dispatch{Subject: metering.Subject{Organization: "acme", Project: "p", Function: slug}, Slug: "f", Region: "eu"}
		if f.took("record", r.Send(&d)) {
			f.answered++
			f.took("end", r.Finish(metering.Ending{Status: 200}))
		}
	case 4:
		_, err := f.engine.Update(ctx)
		f.took("lines", err)
		f.at.forward(time.Duration(f.random.IntN(40)) * time.Minute)
	case 5:
		limit := 50_000 + f.random.Int64N(1000)
		if _, err := f.engine.SetQuota(ctx, QuotaOrder{Organization: "acme", Limit: &limit}); f.took("quota", err) {
			f.limit = &limit
		}
	case 6:
		n := 1 + f.random.Int64N(9)
		order := AdjustOrder{Organization: "acme", Units: n, Project: "p", Function: "f", Region: "eu", Reason: fmt.Sprintf("goodwill %d", f.random.Int()), Operator: "ann"}
		if _, err := f.engine.Adjust(ctx, order); f.took("adjustment", err) {
			f.answered += n
		}
	case 7:
		_, err := f.engine.opened.Load().exports.round(ctx, f.sink)
		f.took("export", err)
	case 8:
		f.fill()
	case 9:
		f.free()
	case 10:
		f.took("close", f.engine.Close())
		f.engine = nil
		f.took("start", f.start())
	}
}

// exported returns what the files of an exporter say in all: of each line the last revision.
func (f *full) exported() (quantity int64) {
	type revision struct {
		line string
		n    int64
	}
	seen, last := make(map[revision]bool), make(map[string]usage.Line)
	paths, err := filepath.Glob(filepath.Join(f.sink.Dir, "usage-*"))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, path := range paths {
		err := usage.Read(path, f.sink.Format, func(l *usage.Line) error {
			if r := (revision{l.LineID, l.Revision}); seen[r] {
				return fmt.Errorf("%+v is there twice", r)
			}
			seen[revision{l.LineID, l.Revision}] = true
			if l.Revision > last[l.LineID].Revision {
				last[l.LineID] = *l
			}
			return nil
		})
		if err != nil {
			f.t.Fatalf("%s: %v", path, err)
		}
	}
	for id := range last {
		quantity += last[id].Quantity
	}
	return quantity
}

// The disk is full at any moment, of calls, names, sums, lines, quotas, adjustments, exports, stops and starts, and has room again
// later: all that was answered is there then, once, and nothing half is taken for whole, or for damage.
func TestDiskFull(t *testing.T) {
	disk, here := smallDisk(t)
	if !here {
		return
	}
	failed := make(map[string]int)
	for seed := range uint64(8) {
		f := &full{
			t:      t,
			random: rand.New(rand.NewPCG(seed, 3)),
			disk:   disk,
			dir:    filepath.Join(disk, fmt.Sprint("ledger", seed)),
			at:     &clock{began: time.Now()},
			failed: failed,
		}
		f.sink = &usage.Files{Dir: filepath.Join(f.dir, "exported"), Format: usage.JSONL}
		if err := f.start(); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			f.step(t.Context())
		}
		f.free()
		if f.engine != nil {
			f.took("close", f.engine.Close())
		}
		if found, err := findingsAt(f.dir); err != nil || len(found) > 0 {
			t.Fatalf("seed %d: %+v, %v", seed, found, err)
		}
		if err := f.start(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		f.at.forward(2 * time.Hour)
		if _, err := f.engine.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.engine.opened.Load().exports.round(t.Context(), f.sink); err != nil {
			t.Fatal(err)
		}
		answer, err := f.engine.Quota(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		usage, err := f.engine.Ledger().Usage()
		if err != nil {
			t.Fatal(err)
		}
		counted := int64(0)
		for i := range usage {
			if u := &usage[i]; u.Span == metering.Hourly {
				counted += u.Billed()
			}
		}
		if billed := f.exported(); counted != f.answered || billed != f.answered {
			t.Errorf("seed %d: %d were answered, %d counted, %d exported", seed, f.answered, counted, billed)
		}
		if is := answer.Organizations[0].Limit; f.limit != nil && (is == nil || *is != *f.limit) {
			t.Errorf("seed %d: the quota is %v, set was %d", seed, is, *f.limit)
		}
		if err := f.engine.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(f.dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("failed for want of room: %v", failed)
	for _, what := range []string{"record", "lines", "quota", "adjustment", "export", "close"} {
		if failed[what] == 0 {
			t.Errorf("the disk was never full for: %s", what)
		}
	}
}
