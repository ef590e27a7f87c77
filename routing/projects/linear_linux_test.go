package projects

import (
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Lists of a project are compared in linear time: 100,000 domains took 9 s of a
// processor, comparing each with all, and take 0.1 s. The bound is far from both.
func TestListsAreReadInLinearTime(t *testing.T) {
	list := func(format string, n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(format, i)
		}
		return names
	}
	build := func(t *testing.T, cfg ProjectConfig) {
		t.Helper()
		if _, _, err := testBuilder(t).Project(cfg); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		work func(t *testing.T, n int) func()
	}{
		{"domains", func(t *testing.T, n int) func() {
			cfg := ProjectConfig{Domains: list("h%d.example.net", n)}
			return func() { build(t, cfg) }
		}},
		{"regions", func(t *testing.T, n int) func() {
			cfg := ProjectConfig{Regions: list("region-%d", n)}
			return func() { build(t, cfg) }
		}},
		{"functions", func(t *testing.T, n int) func() {
			var cfg ProjectConfig
			for _, slug := range list("f-%d", n) {
				cfg.Functions = append(cfg.Functions, FunctionConfig{Slug: slug})
			}
			return func() { build(t, cfg) }
		}},
		{"cors origins", func(t *testing.T, n int) func() {
			cfg := ProjectConfig{CORS: &CORSConfig{Origins: list("https://h%d.example.net", n)}}
			return func() { build(t, cfg) }
		}},
		{"domains of a record that changes", func(t *testing.T, n int) func() {
			names := list("h%d.example.net", n)
			version := func(domains []string) Input {
				text, err := json.Marshal(map[string][]string{"domains": domains})
				if err != nil {
					t.Fatal(err)
				}
				return Input{KeepGood: true, Projects: []Record{{Path: "p", Key: refA, JSON: text}}}
			}
			one, other := version(names), version(names[1:])
			return func() {
				builder := testBuilder(t)
				for _, in := range []Input{one, other} {
					if _, report, err := builder.Build(in); err != nil || report.Dropped+report.Kept > 0 {
						t.Fatalf("%v, %+v", err, report)
					}
				}
			}
		}},
	}
	const many, bound = 100_000, 2 * time.Second
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if took := processorTime(t, tt.work(t, many)); took > bound {
				t.Errorf("%d took %v of a processor", many, took)
			}
		})
	}
}

// processorTime is how long the thread works, not how long the clock runs: others
// may use the machine.
func processorTime(t *testing.T, work func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	work()
	return used() - before
}

func BenchmarkDomains(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		cfg := ProjectConfig{Domains: make([]string, n)}
		for i := range cfg.Domains {
			cfg.Domains[i] = fmt.Sprintf("h%d.example.net", i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := testBuilder(b).Project(cfg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
