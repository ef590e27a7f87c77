package rate

import (
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"
)

// PolicyHeader returns the value of RateLimit-Policy for all limits of a gateway
// (draft-ietf-httpapi-ratelimit-headers-11, section 3). The error says which Name a
// header cannot have.
func PolicyHeader(limits []*Limit) (string, error) {
	list := make(httpsfv.List, 0, len(limits))
	for _, l := range limits {
		item := httpsfv.NewItem(l.Name)
		item.Params.Add("q", l.Count)
		item.Params.Add("w", int64(l.Window/time.Second))
		list = append(list, item)
	}
	return httpsfv.Marshal(list)
}

// StateHeader returns the value of RateLimit for the limits of one request, after
// Take (section 4 of the draft); "" if it has none. It writes by hand what httpsfv
// would write, since each response has the header.
func StateHeader(limits []*Limit, states []State) string {
	b := make([]byte, 0, 128)
	for i, l := range limits {
		if states[i].Remaining == Unasked {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(b, l.Name)
		b = append(b, ";r="...)
		b = strconv.AppendInt(b, states[i].Remaining, 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(max(states[i].Reset, states[i].Retry)), 10)
	}
	return string(b)
}

// seconds returns whole seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
