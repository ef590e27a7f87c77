package projects

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
)

// fleetRef is the ref of the i-th project of a fleet.
func fleetRef(i int) string {
	ref := []byte("aaaaaaaaaaaaaaaaaaaa")
	for k := len(ref) - 1; i > 0; k-- {
		ref[k] += byte(i % 26)
		i /= 26
	}
	return string(ref)
}

func fleetDomain(i int) string { return fmt.Sprintf("api.customer-%d.example.org", i) }

// fleet is a file with n projects, each as a tenant of the hosted platform is.
func fleet(n, functions int) []byte {
	var b strings.Builder
	b.WriteString(`{"organizations":[{"id":"acme","plan":"pro"}],"projects":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		key := fmt.Sprintf("%024d", i)
		sum := sha256.Sum256([]byte("sb_secret_" + key))
		fmt.Fprintf(&b, `{"ref":%q,"organization":"acme","domains":[%q],"jwt":{"secret":"%040d"},"api_keys":[{"name":"default","type":"publishable","key":"sb_publishable_%s"},{"name":"ci","type":"secret","sha256":"%s"}],"functions":[`,
			fleetRef(i), fleetDomain(i), i, key, hex.EncodeToString(sum[:]))
		for k := range functions {
			if k > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"slug":"send-message-%d","id":"%08x-7c5a-4f8e-9d3b-%012x","version":%d,"verify_jwt":%v}`,
				k, i, k, k%9+1, k%3 > 0)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first left to finalizers and cleanups
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// 10,000 projects of 50 functions each fit in 100 MB of heap, in a second build
// beside the first as well as alone: that is how a change comes.
func TestMemory(t *testing.T) {
	const projects, functions, limit = 10_000, 50, 100 << 20
	before := heap()
	config := testConfig()
	config.Shared = auth.NewShared(auth.SharedConfig{})
	b, err := NewBuilder(config)
	if err != nil {
		t.Fatal(err)
	}
	data := fleet(projects, functions)
	started := time.Now()
	load(t, b, data)
	t.Logf("%d bytes built in %v", len(data), time.Since(started))

	changed := []byte(strings.Replace(string(data), `"version":1,`, `"version":2,`, 1))
	started = time.Now()
	s := load(t, b, changed)
	t.Logf("built again with one change in %v", time.Since(started))
	size := len(data)
	used := heap() - before // data and changed are dead by now
	t.Logf("%.1f MB of heap for %.1f MB of JSON", float64(used)/(1<<20), float64(size)/(1<<20))
	if used > limit {
		t.Errorf("%d bytes, at most %d", used, limit)
	}
	for _, i := range []int{0, 1, projects - 1} {
		if m, ok := s.Find(fleetDomain(i)); !ok || m.Project.Ref != fleetRef(i) || m.Project.Functions() != functions {
			t.Errorf("project %d is not found", i)
		}
	}
	runtime.KeepAlive(b)
}

func load(t testing.TB, b *Builder, data []byte) *Snapshot {
	t.Helper()
	in, err := SplitFile(data)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := b.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A look-up costs the same, and nothing on the heap, whatever the number of
// projects.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 10, 10_000} {
		s := load(b, testBuilder(b), fleet(n, 1))
		for _, host := range []struct{ name, format string }{
			{"path_form", "%s.example.com:443"}, {"host_form", "%s.functions.example.com"}, {"own_domain", ""}, {"unknown", "%s.example.net"},
		} {
			hosts := make([]string, 1024)
			for i := range hosts {
				if hosts[i] = fmt.Sprintf(host.format, fleetRef(i*7919%n)); host.format == "" {
					hosts[i] = fleetDomain(i * 7919 % n)
				}
			}
			b.Run(fmt.Sprintf("%s/%d", host.name, n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if _, ok := s.Find(hosts[i%1024]); ok == (host.name == "unknown") {
						b.Fatal(hosts[i%1024])
					}
					i++
				}
			})
		}
	}
}

func BenchmarkFunction(b *testing.B) {
	for _, n := range []int{1, 10, 50, 500} {
		s := load(b, testBuilder(b), fleet(1, n))
		p, _ := s.Lookup(fleetRef(0))
		slug := fmt.Sprintf("send-message-%d", n*2/3)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.Function(slug); !ok {
					b.Fatal(slug)
				}
			}
		})
	}
}

// What a change in one of many projects costs, beside reading the file.
func BenchmarkBuild(b *testing.B) {
	data := fleet(1000, 50)
	in, err := SplitFile(data)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("anew", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, _, err := testBuilder(b).Build(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		builder := testBuilder(b)
		for b.Loop() {
			if _, _, err := builder.Build(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
