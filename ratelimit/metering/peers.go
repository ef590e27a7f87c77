package metering

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// presentFor is how long an instance counts as present after its last sign of life.
const presentFor = 15 * time.Second

// hashAllCalls is how many commands it takes to read a small hash.
const hashAllCalls = 3

// Presence tells whether an instance log is still written.
type Presence struct {
	// At is the time up to which Redis has all its sums; zero if it left or is lost.
	At time.Time
	// Silent is for how long it has said nothing, by the clock of Redis, and Unchanged
	// for how long this process has seen it say the same: whatever the other's clock says,
	// one that is alive says something new every five seconds.
	Silent, Unchanged time.Duration
	Left              bool // its process ended and sent everything
	Lost              bool // an operator declared that it will never come back
}

// The values in instancesKey that are not times.
const (
	presenceLeft = "left"
	presenceLost = "lost"
)

// Peers returns the presence of every instance log that was ever in Redis, with
// those of this process.
func (m *Mirror) Peers(ctx context.Context) (map[string]Presence, error) {
	m.calls.Add(hashAllCalls)
	found, err := m.conn.HashAll(ctx, instancesKey)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]Presence, len(found))
	for id, text := range found {
		p := Presence{Left: text == presenceLeft, Lost: text == presenceLost}
		if at, err := strconv.ParseInt(text, 10, 64); err == nil {
			p.At = time.Unix(at, 0)
			p.Silent, p.Unchanged = m.silence(p.At), m.heard.unchanged(id, text, m.ledger.Elapsed())
		}
		seen[id] = p
	}
	if _, there := seen[m.ledger.Instance()]; !there && m.appeared.Load() {
		m.noteYoung(0)
	}
	return seen, nil
}

// setPresence writes the presence of an instance log.
func (m *Mirror) setPresence(ctx context.Context, instance, presence string) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	return m.conn.HashSet(ctx, instancesKey, instance, presence)
}

// MarkLost declares that an instance log will never come back, so that nobody
// waits for its sums.
func (m *Mirror) MarkLost(ctx context.Context, instance string) error {
	return m.setPresence(ctx, instance, presenceLost)
}

// register writes the presence of this process's instance logs, of which Redis has
// all sums up to at, and counts the peers that are present. It goes by what Redis
// says, not by what was written before: Redis may have been emptied, or be an older
// copy.
func (m *Mirror) register(ctx context.Context, at time.Time) error {
	seen, err := m.Peers(ctx)
	if err != nil {
		return err
	}
	if err := m.agreeAgain(ctx, seen); err != nil {
		return err
	}
	if err := m.setPresence(ctx, m.ledger.Instance(), strconv.FormatInt(at.Unix(), 10)); err != nil {
		return err
	}
	m.appeared.Store(true)
	for _, id := range m.ledger.sentOrphans() { // nothing is written to them any more
		if !seen[id].Left {
			if err := m.setPresence(ctx, id, presenceLeft); err != nil {
				return err
			}
		}
	}
	present := 1
	for id, p := range seen {
		if !p.At.IsZero() && p.Silent < presentFor && id != m.ledger.Instance() {
			present++
		}
	}
	m.present.Store(int64(present))
	return nil
}

// agreeAgain calls agree if it is time, or if Redis has lost one of this process's
// logs: others must find the form that is read before they find the log.
func (m *Mirror) agreeAgain(ctx context.Context, seen map[string]Presence) error {
	now, lost := time.Now(), false
	for _, id := range append(m.ledger.Orphans(), m.ledger.Instance()) {
		_, there := seen[id]
		lost = lost || !there
	}
	if o := m.shared.Load(); !lost && o != nil && o.Form == FormPeriod && now.Sub(m.agreed) < agreeEvery {
		return nil
	}
	m.agreed = now
	return m.agree(ctx, seen)
}

// sentOrphans returns the orphans of which Redis has all sums.
func (l *Ledger) sentOrphans() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.orphans {
		if len(b.projection.unsent) == 0 {
			ids = append(ids, b.instance.id)
		}
	}
	return ids
}

// agreeEvery is how often a gateway that writes the last form looks whether Redis still
// says so.
const agreeEvery = time.Minute

// schemasKey is the hash with the schema of each instance log: the highest form that
// its gateway reads.
const schemasKey = "gw:schemas"

// laterSchema says that a later build wrote what is in Redis.
func laterSchema(schema string) error {
	return fmt.Errorf("%w: its schema is %s, this build knows %d: use the later build", ErrLaterSchema, schema, FormPeriod)
}

// ErrLaterSchema says that a later build changed what is in Redis.
var ErrLaterSchema = errors.New("a later build wrote the sums in Redis")

// Agree has what is counted from now on be of the ledger that all gateways of this
// Redis share.
func (m *Mirror) Agree(ctx context.Context) error {
	seen, err := m.Peers(ctx)
	if err != nil {
		return err
	}
	return m.agree(ctx, seen)
}

// Agreed reports whether all gateways of this Redis are of builds that know hours of
// several parts, as far as Agree has found out.
func (m *Mirror) Agreed() bool {
	o := m.shared.Load()
	return o != nil && o.Form == FormPeriod
}

// agree finds out which form all gateways read that may still write, and goes over to
// it. Whoever left or is lost is not waited for.
func (m *Mirror) agree(ctx context.Context, seen map[string]Presence) error {
	m.calls.Add(hashAllCalls + 1)
	schemas, err := m.conn.HashAll(ctx, schemasKey)
	if err != nil {
		return err
	}
	own := append(m.ledger.Orphans(), m.ledger.Instance())
	for _, id := range own {
		if schemas[id] == "" {
			schemas[id] = strconv.Itoa(int(FormPeriod))
			m.calls.Add(1)
			if err := m.conn.HashSet(ctx, schemasKey, id, schemas[id]); err != nil {
				return err
			}
		}
	}
	shared := Origin{Form: FormPeriod}
	for id, schema := range schemas {
		if n, err := strconv.ParseUint(schema, 10, 8); err != nil || Form(n) > FormPeriod {
			return fmt.Errorf("gateway %s: %w", id, laterSchema(schema))
		}
	}
	for id, p := range seen {
		if !p.Left && !p.Lost && schemas[id] == "" {
			shared.Form = FormHour
		}
	}
	if shared.Ledger, err = m.Identity(ctx, m.ledger.config.Dir); err != nil {
		return err
	}
	before := m.shared.Load()
	if before != nil && before.Form == FormPeriod { // others have read it
		shared.Form = FormPeriod
	}
	if before != nil && *before == shared {
		return nil
	}
	if err := m.ledger.share(shared); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	m.shared.Store(&shared)
	for _, b := range m.ledger.logs() { // all is sent again, in the new form
		b.projection.mirrored(m.ledger.mirrored, time.Now())
	}
	for _, s := range m.shards { // also what is of the same records
		s.known = false
	}
	return nil
}

// PeerSums returns the sums of all instance logs of other processes, of one
// organization or, with "", of all organizations.
func (m *Mirror) PeerSums(ctx context.Context, organization string) ([]Entry, error) {
	seen, err := m.Peers(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range append(m.ledger.Orphans(), m.ledger.Instance()) {
		delete(seen, id)
	}
	return m.entries(ctx, slices.Sorted(maps.Keys(seen)), organization)
}

// OwnSums returns the sums in Redis of this process's instance logs.
func (m *Mirror) OwnSums(ctx context.Context) ([]Entry, error) {
	return m.entries(ctx, append(m.ledger.Orphans(), m.ledger.Instance()), "")
}

func (m *Mirror) entries(ctx context.Context, ids []string, organization string) ([]Entry, error) {
	var all []Entry
	shared := m.ledger.Origin().Ledger
	if o := m.shared.Load(); o != nil {
		shared = o.Ledger
	}
	for _, id := range ids {
		for shard := range Shards {
			if organization != "" && Shard(organization) != shard {
				continue
			}
			key := sumsKey(shardOf{id, shard})
			m.calls.Add(hashAllCalls)
			fields, err := m.conn.HashAll(ctx, key)
			if err != nil {
				return nil, err
			}
			entries, err := entriesOf(id, shared, fields)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			for _, e := range entries {
				if organization == "" || e.Subject.Organization == organization {
					all = append(all, e)
				}
			}
		}
	}
	return all, nil
}

// Hooks are functions that a mirror calls.
type Hooks struct {
	// Trouble is called with the error when sums cannot be sent, and with nil when they
	// can be again.
	Trouble func(error)
	// Join is called before the first sums are sent, and before all are sent again
	// because Redis lost some. After an error nothing is sent, and it is called again.
	// Optional.
	Join func(ctx context.Context) error
}

// join calls Hooks.Join, unless that succeeded before and again is false.
func (m *Mirror) join(ctx context.Context, again bool) error {
	m.joining.Lock()
	defer m.joining.Unlock()
	if m.hooks.Join == nil || m.joined && !again {
		return nil
	}
	if err := m.hooks.Join(ctx); err != nil {
		return err
	}
	m.joined = true
	return nil
}
