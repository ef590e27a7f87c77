package quota

import (
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// rememberOthers begins with what the process before knew of other holders, if it had
// the same authority. Who holds what in another one is of no use here.
func (m *Manager) rememberOthers(authority Authority) {
	m.keepOthers()
	o := newOthers()
	if f, ok := authority.(EpochAuthority); ok && f.Known() {
		o = parseOthers(m.ledger.KeptOthers(), m.moment())
	}
	m.others.Store(o)
}

// keepOthers keeps what is known of other holders on the disk. After an error the next
// round tries again.
func (m *Manager) keepOthers() {
	o := m.others.Load()
	if o == nil {
		return
	}
	if text := o.text(m.moment()); text != nil && m.ledger.KeepOthers(text) != nil {
		o.mu.Lock()
		o.changed = true
		o.mu.Unlock()
	}
}

func (m *Manager) moment() moment {
	return moment{billing: m.ledger.Now(), elapsed: m.ledger.Elapsed(), machine: instantOn(time.Now(), metering.RunClock)}
}

// ownHolders returns the holders whose ledgers are here.
func (m *Manager) ownHolders() []string { return append(m.ledger.Orphans(), m.ledger.Instance()) }

// scan learns what others hold in a shard. Nothing is learned of an epoch that this
// process has not joined: perhaps something is lost in it.
func (m *Manager) scan(f EpochAuthority, shard int) {
	o := m.others.Load()
	asked := m.ledger.Elapsed()
	news, err := f.Grants(m.ctx, shard)
	if err != nil || !m.epochs.Load().in(shard, news.Epoch) {
		return
	}
	o.learn(&news, asked, m.ownHolders())
	o.scanned(shard, news.Members)
}

// witness tells an authority what it does not know of the grants of others, as this
// process last saw them: one that is off says nothing itself. The claims are those that
// the others sent last, with their numbers and what was granted, so that one who
// returns goes on from there. It notes the epoch in in.
func (m *Manager) witness(f EpochAuthority, shard int, in settledEpochs) error {
	if err := m.ledger.AwaitClock(m.ctx); err != nil {
		return err
	}
	o := m.others.Load()
	claims := o.claims(shard, f, m.moment())
	if len(claims) == 0 {
		return nil
	}
	// The first one tells the epoch, whatever it changes.
	say := func(c Claim) error {
		answer, err := f.Claim(m.ctx, c)
		if err != nil {
			return err
		}
		return in.note(shard, answer.Epoch)
	}
	if err := say(claims[0]); err != nil {
		return err
	}
	lost, err := m.lostBy(f, shard, claims, in)
	if err == nil && len(lost) > witnessedAtOnce {
		select {
		case <-m.ctx.Done():
			return m.ctx.Err()
		case <-time.After(witnessPause):
		}
		lost, err = m.lostBy(f, shard, lost, in)
	}
	if err != nil {
		return err
	}
	for _, c := range lost {
		if err := say(c); err != nil {
			return err
		}
	}
	return nil
}

// lostBy returns those of claims that an authority does not know of in the epoch of in,
// nor a later one of the same holder, or whose grace it does not know.
func (m *Manager) lostBy(f EpochAuthority, shard int, claims []Claim, in settledEpochs) (lost []Claim, err error) {
	news, err := f.Grants(m.ctx, shard)
	if err != nil {
		return nil, err
	}
	if news.Epoch != in[shard] {
		return nil, errEpochChanged
	}
	known := make(map[string]*WindowNews, len(news.Windows))
	for i := range news.Windows {
		known[news.Windows[i].Period+"|"+news.Windows[i].Organization] = &news.Windows[i]
	}
	for _, c := range claims {
		w := known[windowField(c)]
		if w == nil || w.Grants[c.Holder].Number < c.Number || c.Grace.ID != "" && w.Grace.ID == "" {
			lost = append(lost, c)
		}
	}
	return lost, nil
}
