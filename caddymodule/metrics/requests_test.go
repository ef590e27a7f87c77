package metrics

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

func TestLint(t *testing.T) {
	registry := prometheus.NewRegistry()
	if err := Register(registry, all); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// constants returns the texts of the string constants of a file whose names begin with prefix.
func constants(t *testing.T, file, prefix string) (texts []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
		return true
	})
	if len(texts) < 5 {
		t.Fatalf("%s has only %d constants %s...", file, len(texts), prefix)
	}
	return texts
}

// The lists of labels have all that there is: nothing is hidden in `other`.
func TestListsAreComplete(t *testing.T) {
	for _, tc := range []struct {
		file, prefix string
		list         []string
	}{
		{"../../regions/plan.go", "Reason", reasons[:]},
		{"../../routing/refusal.go", "Code", codes[:]},
		{"../../routing/auth/failure.go", "Code", codes[:]},
	} {
		for _, text := range constants(t, tc.file, tc.prefix) {
			if !slices.Contains(tc.list, text) {
				t.Errorf("%s of %s is not in the list", text, tc.file)
			}
		}
	}
	for _, text := range constants(t, "../gateway/ending.go", "end") {
		if !slices.Contains(outcomes[:], text) {
			t.Errorf("outcome %s is not in the list", text)
		}
	}
	seen := make(map[[2]string]bool)
	for i := range judgements {
		of := [2]string{judgements[i].kind, judgements[i].outcome}
		if seen[of] {
			t.Errorf("%v is twice in the list", of)
		}
		seen[of] = true
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../routing/auth/failure.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	causes := 0
	for name := range parsed.Scope.Objects {
		if strings.HasPrefix(name, "Err") {
			causes++
		}
	}
	listed := 0
	for i := range judgements {
		if judgements[i].cause != nil {
			listed++
		}
	}
	if listed != causes {
		t.Errorf("%d causes of package auth are listed, there are %d", listed, causes)
	}
}

// What callers send makes no series: only names of regions do, which an operator gives.
func TestSeriesAreBounded(t *testing.T) {
	r := NewRequests()
	c := r.Counter([]string{"r", "none"})
	registry := prometheus.NewRegistry()
	if err := Register(registry, func() Values { return Values{Requests: r} }); err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		text := strconv.Itoa(i) + "\x00\n\"\xff"
		c.Count(&Ended{
			Region: "r", Reason: regions.Reason(text), Outcome: text, Status: i - 1000, Attempts: 1, Code: text,
			Checked: true, Method: auth.Method(text), Project: text,
		})
	}
	families, err := registry.Gather() // fails if two series are the same
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); n > 60 {
			t.Errorf("%s has %d series", f.GetName(), n)
		}
	}
}

// A request costs no allocation, with all that is counted.
func TestCountAllocatesNothing(t *testing.T) {
	r := NewRequests()
	r.TopProjects(5)
	c := r.Counter([]string{"r"})
	e := Ended{
		Region: "r", Reason: regions.ReasonNearest, Outcome: "refused", Status: 401, Attempts: 2, Duration: time.Second, Own: time.Millisecond,
		Backend: time.Minute, Project: "p", Code: auth.CodeLegacyJWT, Checked: true, Failure: auth.ErrExpired,
	}
	c.Count(&e)
	if n := testing.AllocsPerRun(1000, func() { c.Count(&e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var none *Counter
	if n := testing.AllocsPerRun(1000, func() { none.Count(&e) }); n != 0 {
		t.Errorf("%v allocations where nothing is counted", n)
	}
}

func BenchmarkCount(b *testing.B) {
	r := NewRequests()
	r.TopProjects(5)
	c := r.Counter([]string{"r"})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := Ended{
			Region: "r", Reason: regions.ReasonNearest, Outcome: "complete", Status: 200, Attempts: 1, Duration: 20 * time.Millisecond,
			Own: 200 * time.Microsecond, Backend: 19 * time.Millisecond, Project: "p", Checked: true, Method: auth.MethodJWT,
		}
		for pb.Next() {
			c.Count(&e)
		}
	})
}

// Counts go on with the counter of another configuration, also those of regions that it does not have.
func TestCountersShareCounts(t *testing.T) {
	r := NewRequests()
	first, second := r.Counter([]string{"r"}), r.Counter([]string{"r", "s"})
	e := Ended{Region: "r", Reason: regions.ReasonNearest, Outcome: "complete", Status: 200}
	first.Count(&e)
	second.Count(&e)
	e.Region = "s"
	first.Count(&e)
	got, _ := gather(t, Values{Requests: r})
	if got["requests_total{2xx,complete,nearest,r}"] != 2 || got["requests_total{2xx,complete,nearest,s}"] != 1 {
		t.Errorf("%v", got)
	}
}

func TestCredentials(t *testing.T) {
	for _, tc := range []struct {
		accepts auth.Method
		failure error
		want    string
	}{
		{auth.MethodJWT, nil, "jwt accepted"},
		{auth.MethodAPIKey, nil, "api_key accepted"},
		{auth.MethodNone, nil, "none accepted"},
		{"", auth.ErrMissing, "none missing"},
		{"", auth.ErrExpired, "jwt expired"},
		{"", auth.ErrUnknownKey, "api_key unknown"},
		{"", auth.ErrBusy, "jwt overloaded"},
		{"", prometheus.AlreadyRegisteredError{}, "other other"},
		{"", nil, "other other"},
	} {
		if j := judgements[judgementOf(tc.accepts, tc.failure)]; j.kind+" "+j.outcome != tc.want {
			t.Errorf("%q, %v is %s %s, want %s", tc.accepts, tc.failure, j.kind, j.outcome, tc.want)
		}
	}
}

// Both kinds of buckets are those that Prometheus' own histogram has of the same durations.
func TestHistogram(t *testing.T) {
	bounds := make([]float64, len(callBounds))
	for i, bound := range callBounds {
		bounds[i] = bound.Seconds()
	}
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "x_seconds", Help: "x.", Buckets: bounds, NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: 1. / (1 << 24), NativeHistogramMaxBucketNumber: 1000,
	})
	ours := histogram{bounds: callBounds}
	observe := func(d time.Duration) {
		theirs.Observe(d.Seconds())
		ours.observe(d)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		observe(time.Duration(random.ExpFloat64() * float64(time.Second)))
	}
	for _, bound := range callBounds {
		observe(bound)
		observe(bound + 1)
	}
	for power := range 50 { // the bounds of native buckets, to 13 days
		observe(time.Duration(1) << power)
	}
	observe(0)
	var want, got dto.Metric
	if err := theirs.Write(&want); err != nil {
		t.Fatal(err)
	}
	got.Histogram = new(dto.Histogram)
	ours.write(got.Histogram)
	w, g := want.GetHistogram(), got.GetHistogram()
	if g.GetSampleCount() != w.GetSampleCount() || g.GetSampleSum() < w.GetSampleSum()*0.999999 || g.GetSampleSum() > w.GetSampleSum()*1.000001 {
		t.Errorf("%d observations, %v s in all; want %d, %v", g.GetSampleCount(), g.GetSampleSum(), w.GetSampleCount(), w.GetSampleSum())
	}
	for i, bucket := range w.GetBucket() {
		if b := g.GetBucket()[i]; b.GetCumulativeCount() != bucket.GetCumulativeCount() || b.GetUpperBound() != bucket.GetUpperBound() {
			t.Errorf("bucket %v, want %v", b, bucket)
		}
	}
	if g.GetSchema() != w.GetSchema() || g.GetZeroCount() != w.GetZeroCount() || g.GetZeroThreshold() != w.GetZeroThreshold() {
		t.Errorf("schema %d, zero %d below %v; want %d, %d, %v", g.GetSchema(), g.GetZeroCount(), g.GetZeroThreshold(), w.GetSchema(), w.GetZeroCount(), w.GetZeroThreshold())
	}
	if a, b := nativeOf(g), nativeOf(w); !reflect.DeepEqual(a, b) {
		t.Errorf("native buckets %v,\nwant %v", a, b)
	}
}

// nativeOf returns the counts of native buckets by their keys.
func nativeOf(h *dto.Histogram) map[int32]int64 {
	counts := make(map[int32]int64)
	var key int32
	var n int64
	deltas := h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		key += span.GetOffset()
		for range span.GetLength() {
			n += deltas[0]
			deltas = deltas[1:]
			if n != 0 {
				counts[key] = n
			}
			key++
		}
	}
	return counts
}

// Prometheus takes a native histogram without counts for one by its span.
func TestEmptyHistogram(t *testing.T) {
	h, out := histogram{bounds: ownBounds}, new(dto.Histogram)
	h.write(out)
	if len(out.GetPositiveSpan()) != 1 || out.GetPositiveSpan()[0].GetLength() != 0 || out.GetSampleCount() != 0 {
		t.Errorf("%v", out)
	}
}

// While requests are counted, no scrape shows more in a bucket than in all, and no count falls.
func TestScrapesWhileCounting(t *testing.T) {
	r := NewRequests()
	r.TopProjects(3)
	c := r.Counter([]string{"r"})
	var counting sync.WaitGroup
	const workers, each = 4, 5000
	for w := range workers {
		counting.Go(func() {
			for i := range each {
				c.Count(&Ended{
					Region: "r", Reason: regions.ReasonNearest, Outcome: "complete", Status: 200, Attempts: 1,
					Duration: time.Duration(i) * time.Microsecond, Project: strconv.Itoa(w),
				})
			}
		})
	}
	done := make(chan struct{})
	go func() {
		counting.Wait()
		close(done)
	}()
	before := uint64(0)
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		out := new(dto.Histogram)
		r.in("r").whole.write(out)
		last := out.GetBucket()[len(out.GetBucket())-1].GetCumulativeCount()
		if last > out.GetSampleCount() || out.GetSampleCount() < before {
			t.Fatalf("%d in buckets of %d, %d before", last, out.GetSampleCount(), before)
		}
		before = out.GetSampleCount()
		_ = r.projects.series(time.Now())
	}
	all := uint64(0)
	for _, s := range r.projects.series(time.Now()) {
		all += s.classes[2]
	}
	if before != workers*each || all != workers*each {
		t.Errorf("%d observations and %d requests of projects, want %d", before, all, workers*each)
	}
}
