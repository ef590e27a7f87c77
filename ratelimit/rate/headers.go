package rate

import (
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"
)

// PolicyHeader is the value of RateLimit-Policy for what all of a gateway's
// limits are (draft-ietf-httpapi-ratelimit-headers-11, section 3).
func PolicyHeader(rates []*Limit) (string, error) {
	list := make(httpsfv.List, 0, len(rates))
	for _, r := range rates {
		item := httpsfv.NewItem(r.Name)
		item.Params.Add("q", r.Count)
		item.Params.Add("w", int64(r.Window/time.Second))
		list = append(list, item)
	}
	return httpsfv.Marshal(list)
}

// StateHeader is the value of RateLimit for how the limits of one request are
// (section 4 of the draft). What is written is what httpsfv would write: it is
// written for each answer.
func StateHeader(rates []*Limit, states []State) string {
	b := make([]byte, 0, 128)
	for i, r := range rates {
		if states[i].Remaining == Unasked {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(b, r.Name)
		b = append(b, ";r="...)
		b = strconv.AppendInt(b, states[i].Remaining, 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(max(states[i].Reset, states[i].Retry)), 10)
	}
	return string(b)
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
