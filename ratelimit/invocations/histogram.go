package invocations

import (
	"math"
	"math/bits"
)

const (
	// pageSize is how many buckets an octave has: each is at most 1/32 of its values wide, so
	// that its middle is at most 1.6 % away from them.
	pageSize = 32
	// pages are enough for all durations that records hold, in microseconds. The first two
	// have a bucket for each value.
	pages = 28
)

// Histogram counts durations in fixed buckets: two of them can be added. Its zero value is
// empty. Parts in which nothing was counted take no memory.
type Histogram struct {
	counts [pages]*[pageSize]uint64
	n      uint64
}

// bucketOf returns the page and the place in it of a duration in microseconds.
func bucketOf(micro uint32) (page, place int) {
	if micro < 2*pageSize {
		return int(micro / pageSize), int(micro % pageSize)
	}
	shift := bits.Len32(micro) - 6 // what is left is from 32 to 63
	return shift + 1, int(micro>>shift) - pageSize
}

// middle returns the duration that stands for those of a bucket, in microseconds.
func middle(page, place int) float64 {
	if page < 2 {
		return float64(page*pageSize + place)
	}
	width := math.Ldexp(1, page-1)
	return float64(pageSize+place)*width + (width-1)/2
}

// Add counts a duration in microseconds.
func (h *Histogram) Add(micro uint32) {
	page, place := bucketOf(micro)
	counts := h.counts[page]
	if counts == nil {
		counts = new([pageSize]uint64)
		h.counts[page] = counts
	}
	counts[place]++
	h.n++
}

// Merge adds all that another histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	for page, counts := range other.counts {
		if counts == nil {
			continue
		}
		if h.counts[page] == nil {
			h.counts[page] = new([pageSize]uint64)
		}
		for place, n := range counts {
			h.counts[page][place] += n
		}
	}
	h.n += other.n
}

// Count returns how many durations were counted.
func (h *Histogram) Count() uint64 { return h.n }

// Quantile returns the duration in microseconds that a part q of all are not above, from 0
// to 1, at most 1.6 % too high or too low. It is 0 if there are none.
func (h *Histogram) Quantile(q float64) float64 {
	rank, below := uint64(max(1, math.Ceil(q*float64(h.n)))), uint64(0)
	for page, counts := range h.counts {
		if counts == nil {
			continue
		}
		for place, n := range counts {
			if below += n; below >= rank {
				return middle(page, place)
			}
		}
	}
	return 0
}
