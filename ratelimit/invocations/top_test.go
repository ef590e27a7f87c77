package invocations_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

func top(t *testing.T, l *metering.Ledger, q invocations.TopQuery) invocations.TopAnswer {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	a, err := invocations.Top(context.Background(), l.RecordLogs(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rows says how rows are named, and how many invocations and errors each has.
func rows(a invocations.TopAnswer) string {
	name := func(s *string) string {
		if s == nil {
			return "*"
		}
		return *s
	}
	var all []string
	for _, r := range a.Rows {
		all = append(all, fmt.Sprintf("%s/%s/%s:%d,%d", name(r.Project), name(r.Function), name(r.Region), r.Invocations, r.Errors))
	}
	return strings.Join(all, " ")
}

func TestTop(t *testing.T) {
	l := open(t, t.TempDir())
	someCalls(t, l)
	someCalls(t, l)
	for _, tt := range []struct {
		name string
		q    invocations.TopQuery
		want string
	}{
		{"functions", invocations.TopQuery{}, "shop/hello/*:4,0 blog/feed/*:2,0 blog/hello/*:2,2 shop/pay/*:2,2"},
		{"projects", invocations.TopQuery{Each: invocations.EachProject}, "shop/*/*:6,2 blog/*/*:4,2"},
		{"regions", invocations.TopQuery{Each: invocations.EachRegion, Query: invocations.Query{Project: "shop"}}, "shop/hello/eu:2,0 shop/hello/us:2,0 shop/pay/us:2,2"},
		{"errors", invocations.TopQuery{By: invocations.ByErrors, Query: invocations.Query{Limit: 2}}, "blog/hello/*:2,2 shop/pay/*:2,2"},
		{"p95", invocations.TopQuery{By: invocations.ByP95, Query: invocations.Query{Limit: 2}}, "shop/pay/*:2,2 shop/hello/*:4,0"},
		{"bytes", invocations.TopQuery{By: invocations.ByBytes, Query: invocations.Query{Limit: 1}}, "shop/hello/*:4,0"},
		{"a region", invocations.TopQuery{Query: invocations.Query{Region: "us"}}, "shop/hello/*:2,0 shop/pay/*:2,2"},
		{"a function", invocations.TopQuery{Query: invocations.Query{Function: "hello"}}, "shop/hello/*:4,0 blog/hello/*:2,2"},
		{"a time", invocations.TopQuery{Query: invocations.Query{Since: noon.Add(time.Minute), Until: noon.Add(3 * time.Minute)}}, "shop/hello/*:2,0 shop/pay/*:2,2"},
	} {
		if a := top(t, l, tt.q); rows(a) != tt.want || len(a.Findings) > 0 {
			t.Errorf("%s: %q, want %q; %+v", tt.name, rows(a), tt.want, a.Findings)
		}
	}
	a := top(t, l, invocations.TopQuery{Query: invocations.Query{Limit: 1}})
	first, all := a.Rows[0], a.All
	if a.Total != 4 || all.Invocations != 10 || all.Unfinished != 2 || all.Errors != 4 || all.Cut != 2 || *all.ErrorShare != 0.5 || all.BytesIn != 56 || all.BytesOut != 72 {
		t.Errorf("%d rows, all %+v", a.Total, all)
	}
	if *first.ErrorShare != 0 || first.Cold != nil || first.Unfinished != 0 || math.Abs(*first.P50MS-20) > 0.4 || math.Abs(*first.P99MS-2000) > 40 {
		t.Errorf("the first %+v", first)
	}
	if feed := top(t, l, invocations.TopQuery{Query: invocations.Query{Function: "feed"}}).Rows[0]; feed.ErrorShare != nil || feed.P50MS != nil {
		t.Errorf("none of it ended: %+v", feed)
	}
	if !a.RecordsFrom.Equal(noon) || !slices.Equal(a.Gateways, []string{l.Instance()}) {
		t.Errorf("records from %v, of %v", a.RecordsFrom, a.Gateways)
	}
}

// The sums are exact, whatever is in segments and archives; percentiles are at most 2 % off.
func TestTopIsExact(t *testing.T) {
	dir, random := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	l := open(t, dir)
	var took []float64
	bytes, errors, n := uint64(0), uint64(0), 20_000
	for i := range n {
		call := callOf(t, l, "shop", fmt.Sprint("f", i%10), "eu", noon.Add(time.Duration(i)*time.Second))
		seq := admit(t, l, call)
		e := metering.Ending{Status: 200 + 300*(i%3/2), Duration: time.Duration(math.Exp(random.Float64()*16)) * time.Microsecond, BytesOut: uint64(i)}
		done(t, l, seq, call, e)
		took, bytes = append(took, float64(e.Duration.Microseconds())/1000), bytes+e.BytesOut
		if e.Status >= 500 {
			errors++
		}
	}
	l, _ = archived(t, l, dir)
	slices.Sort(took)
	a := top(t, l, invocations.TopQuery{})
	if a.Total != 10 || a.All.Invocations != uint64(n) || a.All.Errors != errors || a.All.BytesOut != bytes || len(a.Findings) > 0 {
		t.Errorf("%d rows, %+v", a.Total, a.All)
	}
	for q, got := range map[float64]*float64{0.5: a.All.P50MS, 0.95: a.All.P95MS, 0.99: a.All.P99MS} {
		want := took[int(math.Ceil(q*float64(n)))-1]
		if math.Abs(*got-want) > 0.02*want {
			t.Errorf("percentile %v: %v, want %v", q, *got, want)
		}
	}
	last := top(t, l, invocations.TopQuery{Query: invocations.Query{Since: noon.Add(time.Duration(n-100) * time.Second)}})
	if last.All.Invocations != 100 || last.Read >= a.Read || last.RecordsFrom != nil {
		t.Errorf("the last: %+v, %d of %d records read", last.All, last.Read, a.Read)
	}
}

func TestTopDamaged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	manyCalls(t, l, 20_000)
	l, archives := archived(t, l, dir)
	if err := os.Truncate(archives[0], 100); err != nil {
		t.Fatal(err)
	}
	a := top(t, l, invocations.TopQuery{})
	if len(a.Findings) != 1 || a.Findings[0].File != archives[0] || a.All.Invocations == 0 {
		t.Errorf("%+v, %+v", a.All, a.Findings)
	}
}

func TestHistogram(t *testing.T) {
	var sum, one, two invocations.Histogram
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 100_000 {
		v := uint32(1)<<random.IntN(32) | random.Uint32()>>random.IntN(32)
		sum.Add(v)
		if i%3 == 0 {
			one.Add(v)
		} else {
			two.Add(v)
		}
		var single invocations.Histogram
		single.Add(v)
		if got := single.Quantile(0.5); math.Abs(got-float64(v)) > 0.016*float64(v) {
			t.Fatalf("%d is %v", v, got)
		}
	}
	for _, v := range []uint32{0, 1, 63, 64, 127, 128, 1<<32 - 1} {
		var single invocations.Histogram
		single.Add(v)
		if got := single.Quantile(1); math.Abs(got-float64(v)) > 0.016*float64(v) {
			t.Errorf("%d is %v", v, got)
		}
	}
	one.Merge(&two)
	for _, q := range []float64{0, 0.1, 0.5, 0.99, 1} {
		if one.Quantile(q) != sum.Quantile(q) || one.Count() != sum.Count() {
			t.Errorf("merged, %v is %v of %d, want %v of %d", q, one.Quantile(q), one.Count(), sum.Quantile(q), sum.Count())
		}
	}
	if new(invocations.Histogram).Quantile(0.5) != 0 {
		t.Error("an empty one has a median")
	}
}
