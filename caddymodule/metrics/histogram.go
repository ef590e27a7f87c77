package metrics

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const (
	// nativeSchema sets the width of native buckets: each is 2^(1/8), about 9 %, wider
	// than the one before.
	nativeSchema  = 3
	nativePerTwo  = 1 << nativeSchema // buckets from one power of two to the next
	nativeLowest  = -24               // as a power of two of seconds: 60 ns, below is the zero bucket
	nativeHighest = 20                // 12 days; the last bucket takes longer times, too
	nativeBuckets = (nativeHighest-nativeLowest)*nativePerTwo + 1
)

// mostBounds is how many classic buckets a histogram has at most, without that of
// all others.
const mostBounds = 15

// histogram counts durations in classic and in native buckets. Prometheus stores the
// classic ones unless its feature `native-histograms` is on. It allocates nothing, and
// is safe for concurrent use.
type histogram struct {
	bounds  []time.Duration // upper bounds of the classic buckets, ascending
	nanos   atomic.Uint64   // sum of all durations
	classic [mostBounds + 1]atomic.Uint64
	native  [nativeBuckets]atomic.Uint64 // the first is the zero bucket
}

// nativeFractions are the upper bounds of native buckets between 0.5 and 1.
var nativeFractions = func() (bounds [nativePerTwo]float64) {
	for i := range bounds {
		bounds[i] = math.Exp2(float64(i)/nativePerTwo - 1)
	}
	return bounds
}()

// nativeBucket returns the native bucket of a duration.
func nativeBucket(d time.Duration) int {
	fraction, power := math.Frexp(d.Seconds())
	if d <= 0 {
		return 0
	}
	i := 0
	for i < len(nativeFractions) && nativeFractions[i] < fraction {
		i++
	}
	key := (power-1)*nativePerTwo + i
	return min(max(key-nativeLowest*nativePerTwo, 0), nativeBuckets-1)
}

// observe counts a duration; a negative one as 0.
func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(h.bounds) && h.bounds[i] < d {
		i++
	}
	h.nanos.Add(uint64(d))
	// Native first: a scrape reads them last, so that no classic bucket has more than
	// all native ones together.
	h.native[nativeBucket(d)].Add(1)
	h.classic[i].Add(1)
}

// write fills in both kinds of buckets.
func (h *histogram) write(out *dto.Histogram) {
	var below uint64
	for i, bound := range h.bounds {
		below += h.classic[i].Load()
		out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: new(below), UpperBound: new(bound.Seconds())})
	}
	var counts [nativeBuckets]uint64
	var all uint64
	for i := range counts {
		counts[i] = h.native[i].Load()
		all += counts[i]
	}
	out.SampleCount, out.SampleSum = new(all), new(time.Duration(h.nanos.Load()).Seconds())
	out.Schema, out.ZeroThreshold, out.ZeroCount = new(int32(nativeSchema)), new(math.Exp2(nativeLowest)), new(counts[0])
	out.PositiveSpan, out.PositiveDelta = spans(counts[1:])
}

// spans returns the buckets that have counts as native histograms hold them: runs of
// neighbours, and the difference of each count to the one before.
func spans(counts []uint64) (runs []*dto.BucketSpan, deltas []int64) {
	const firstKey = nativeLowest*nativePerTwo + 1
	last, before := -1, int64(0)
	for i, n := range counts {
		if n == 0 {
			continue
		}
		switch {
		case len(runs) == 0:
			runs = append(runs, &dto.BucketSpan{Offset: new(int32(firstKey + i)), Length: new(uint32(0))})
		case i > last+1:
			runs = append(runs, &dto.BucketSpan{Offset: new(int32(i - last - 1)), Length: new(uint32(0))})
		}
		*runs[len(runs)-1].Length++
		deltas = append(deltas, int64(n)-before)
		last, before = i, int64(n)
	}
	if len(runs) == 0 {
		// This is how a native histogram without counts is told from a classic one.
		runs = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
	return runs, deltas
}

// histogramMetric is the histogram of one region.
type histogramMetric struct {
	desc   *prometheus.Desc
	region string
	of     *histogram
}

// Desc implements prometheus.Metric.
func (m histogramMetric) Desc() *prometheus.Desc { return m.desc }

// Write implements prometheus.Metric.
func (m histogramMetric) Write(out *dto.Metric) error {
	out.Label = []*dto.LabelPair{{Name: new("region"), Value: &m.region}}
	out.Histogram = new(dto.Histogram)
	m.of.write(out.Histogram)
	return nil
}

// The classic buckets. Those of whole calls end at the longest time that a plan
// lets a function run by default.
var (
	callBounds = durations("5ms 10ms 25ms 50ms 100ms 250ms 500ms 1s 2.5s 5s 10s 30s 60s 150s 400s")
	ownBounds  = durations("50us 100us 250us 500us 1ms 2.5ms 5ms 10ms 25ms 100ms 1s 10s")
)

func durations(list string) (all []time.Duration) {
	for text := range strings.FieldsSeq(list) {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err) // the lists above are right
		}
		all = append(all, d)
	}
	return all
}
