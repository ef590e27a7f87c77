package quota

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

const (
	// scanEvery is how many rounds of maintainLoop there are to one in which a shard is
	// read as a whole: each shard is read about once a minute.
	scanEvery = 4
	// keepEvery is how many rounds there are to one in which what is known of others is
	// kept on the disk, if it changed.
	keepEvery = 5
	// peerFields bounds how many grants of others one poll asks for on average: of more,
	// fewer polls ask.
	peerFields = 1000
	// rememberedFor is for how long after the start of a period its grants are
	// remembered: it has ended by then.
	rememberedFor = 33 * 24 * time.Hour
	// witnessedAtOnce is of how many grants an authority is told at once that it lost.
	// With more, those who hold them are given witnessPause to say so themselves.
	witnessedAtOnce, witnessPause = 200, 3 * time.Second
)

// others remembers what other holders were granted, as an authority said last. If the
// authority loses that while one of them is off, this process tells it.
type others struct {
	mu      sync.Mutex // guards all
	windows map[string]*othersWindow
	members map[int]int // holders of each shard when it was last read as a whole
	changed bool        // since it was kept
}

// othersWindow has the grants of others in one window, which is a period and an
// organization.
type othersWindow struct {
	Organization string           `json:"organization"`
	Period       string           `json:"period"` // its ID
	Grants       map[string]Grant `json:"grants,omitempty"`
	Grace        *keptGrace       `json:"grace,omitempty"` // for the next process alone

	grace knownGrace
}

// moment is the time by three clocks.
type moment struct {
	billing time.Time
	elapsed time.Duration // as Ledger.Elapsed has it
	machine instant
}

func newOthers() *others {
	return &others{windows: make(map[string]*othersWindow), members: make(map[int]int)}
}

// parseOthers reads what text returned; of what it cannot read nothing is remembered.
func parseOthers(text []byte, now moment) *others {
	o := newOthers()
	var list []*othersWindow
	if json.Unmarshal(text, &list) != nil {
		return o
	}
	for _, w := range list {
		if w.Grants == nil {
			w.Grants = make(map[string]Grant)
		}
		if w.Grace != nil {
			w.Grace.advance(now.machine)
			w.grace.hear(w.Grace.grace(), now.elapsed)
		}
		o.windows[w.Period+"|"+w.Organization] = w
	}
	return o
}

// text returns all for the next process, nil if nothing changed since the last time.
// Periods that have ended are forgotten.
func (o *others) text(now moment) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.changed {
		return nil
	}
	maps.DeleteFunc(o.windows, func(_ string, w *othersWindow) bool { return !remembered(w.Period, now.billing) })
	list := make([]*othersWindow, 0, len(o.windows))
	for _, key := range slices.Sorted(maps.Keys(o.windows)) {
		w := o.windows[key]
		w.Grace = keep(w.grace.from(now.elapsed), now.machine)
		list = append(list, w)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	o.changed = false
	return text
}

// remembered reports whether the period of an ID may go on. An ID begins with the year,
// the month and perhaps the day of its start.
func remembered(period string, now time.Time) bool {
	digits, _, _ := strings.Cut(period, "+")
	digits = strings.ReplaceAll(digits, "-", "")
	for _, layout := range []string{"200601", "20060102"} {
		if start, err := time.Parse(layout, digits); err == nil {
			return now.Sub(start) < rememberedFor
		}
	}
	return true
}

// learn takes over what an authority said to a question that was asked at a reading of
// Ledger.Elapsed. own are the holders whose ledgers are here.
func (o *others) learn(news *News, asked time.Duration, own []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range news.Windows {
		n := &news.Windows[i]
		key := n.Period + "|" + n.Organization
		w := o.windows[key]
		if w == nil {
			w = &othersWindow{Organization: n.Organization, Period: n.Period, Grants: make(map[string]Grant)}
		}
		for holder, g := range n.Grants {
			if before, known := w.Grants[holder]; !slices.Contains(own, holder) && (!known || g.Number > before.Number) {
				w.Grants[holder], o.changed = g, true
			}
		}
		before := w.grace
		w.grace.learn(n.Grace, asked)
		o.changed = o.changed || w.grace != before
		if len(w.Grants) > 0 || w.grace.id != "" {
			o.windows[key] = w
		}
	}
}

// peers returns the holders that have something in a shard, sorted.
func (o *others) peers(shard int, of EpochAuthority) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := make(map[string]struct{})
	for _, w := range o.windows {
		if of.Shard(w.Organization) == shard {
			for holder := range w.Grants {
				names[holder] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// hasUnknown reports whether somebody was granted something whom the poll did not ask
// for: its first grants, since this process last read the shard as a whole.
func (n *News) hasUnknown() bool {
	return slices.ContainsFunc(n.Windows, func(w WindowNews) bool {
		for _, g := range w.Grants {
			w.Total -= g.Holds
		}
		return w.Total != 0
	})
}

// learn is hear, but for a grace that is known already, and is older than was known.
func (k *knownGrace) learn(g Grace, asked time.Duration) {
	if g.ID != "" && g.ID == k.id && g.Limit == k.limit {
		k.at = min(k.at, asked-g.Age)
		return
	}
	k.hear(g, asked)
}

// grace returns the grace of a window.
func (o *others) grace(period, organization string, elapsed time.Duration) Grace {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.windows[period+"|"+organization]; w != nil {
		return w.grace.from(elapsed)
	}
	return Grace{}
}

// claims returns claims that say what others hold in a shard, as their own last claims
// would: an authority that knows of one of these, or of a later one, changes nothing.
func (o *others) claims(shard int, of EpochAuthority, now moment) (claims []Claim) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(o.windows)) {
		w := o.windows[key]
		if of.Shard(w.Organization) != shard || !remembered(w.Period, now.billing) {
			continue
		}
		for _, holder := range slices.Sorted(maps.Keys(w.Grants)) {
			g := w.Grants[holder]
			claims = append(claims, Claim{
				Holder:       holder,
				Organization: w.Organization,
				Period:       metering.Period{ID: w.Period},
				Limit:        noLimit,
				Holds:        g.Holds,
				Number:       g.Number,
				Grace:        w.grace.from(now.elapsed),
			})
		}
	}
	return claims
}

// rescan notes how many members a shard has, and reports whether that is another number
// than when it was last read as a whole.
func (o *others) rescan(shard, members int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, known := o.members[shard]
	return !known || before != members
}

// scanned notes how many members a shard had when it was read as a whole.
func (o *others) scanned(shard, members int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members[shard] = members
}
