package quota

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// awayAfter is how long a gateway must have been silent for what it holds to be told.
const awayAfter = 15 * time.Second

// HeldUnits are units of a hard quota that a gateway was granted, has not used as far as
// Redis knows, and does not use: it is not there.
type HeldUnits struct {
	Organization, Period string // the period's ID
	Gateway              string
	Units                int64
	Seen                 time.Time     // when it was last heard of, by the clock of Redis; zero if Redis does not know it any more
	Silent               time.Duration // since then
	Left                 bool          // it ended, and could not give them back
	Copied               bool          // this process's directory is a copy of its own: it gives back nothing for it
	Gone                 bool          // its log is not in the directory any more; of HeldByGone
}

// HeldByAbsent returns what gateways hold that are not there, of all organizations in
// periods that go on, by organization and gateway; nil if the store is not shared. sums
// are those of Peers.PeerSums. The error is that of Redis.
func (m *Manager) HeldByAbsent(ctx context.Context, peers Peers, sums []metering.Entry) ([]HeldUnits, error) {
	r, ok := (*m.authority.Load()).(*Redis)
	if !ok {
		return nil, nil
	}
	seen, err := peers.Peers(ctx)
	if err != nil {
		return nil, err
	}
	own, copied, now, used := m.ownHolders(), m.ledger.Copied(), m.ledger.Now(), usedOf(sums)
	var held []HeldUnits
	for shard := range r.Shards() {
		news, err := r.Grants(ctx, shard)
		if err != nil {
			return nil, err
		}
		for i := range news.Windows {
			w := &news.Windows[i]
			if !remembered(w.Period, now) {
				continue
			}
			for gateway, grant := range w.Grants {
				p, known := seen[gateway]
				if slices.Contains(own, gateway) || known && !p.Left && !p.Lost && p.Silent < awayAfter {
					continue
				}
				units := grant.Holds - int64(used[gateway+"|"+w.Period+"|"+w.Organization])
				if units > 0 && !p.Lost {
					held = append(held, HeldUnits{
						Organization: w.Organization,
						Period:       w.Period,
						Gateway:      gateway,
						Units:        units,
						Seen:         p.At,
						Silent:       p.Silent,
						Left:         p.Left,
						Copied:       slices.Contains(copied, gateway),
					})
				}
			}
		}
	}
	slices.SortFunc(held, func(a, b HeldUnits) int {
		return strings.Compare(a.Organization+"|"+a.Period+"|"+a.Gateway, b.Organization+"|"+b.Period+"|"+b.Gateway)
	})
	return held, nil
}
