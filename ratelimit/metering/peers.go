package metering

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The layouts of hours in field names. A span that begins within an hour, where a
// billing period does, has the minute and second too.
const (
	wholeHour = "2006010215"
	partHour  = "20060102150405"
)

func hourID(start time.Time) string {
	if start.Equal(start.Truncate(time.Hour)) {
		return start.Format(wholeHour)
	}
	return start.Format(partHour)
}

// Hour returns the hour of an hourly sum and the billing period it is in, for an
// organization with cycle c. The hour is shorter where a period begins or ends
// within it.
func (e *Entry) Hour(c Cycle) (hour, period Period, err error) {
	layout := wholeHour
	if len(e.ID) == len(partHour) {
		layout = partHour
	}
	start, err := time.Parse(layout, e.ID)
	if err != nil {
		return hour, period, fmt.Errorf("reading the hour %q of a sum: %w", e.ID, err)
	}
	period = c.At(start)
	return hourFrom(period, start), period, nil
}

// hourFrom returns the part of an hour that begins at a start, as far as the billing
// period allows: where terms end it is not known here.
func hourFrom(p Period, start time.Time) Period {
	hour := hourOf(p, start)
	hour.Start = start
	return hour
}

// Hour returns the hour of an hourly sum and its billing period.
func (u *Usage) Hour() (hour, period Period) {
	period = u.Cycle.At(u.Start)
	return hourFrom(period, u.Start), period
}

// Entry is a sum in Redis.
type Entry struct {
	Instance string
	Span     Span
	ID       string // the id of the billing period, or the hour as 2006010215
	Subject  Subject
	Region   string
	Sums
}

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
// all sums up to at, and counts the peers that are present.
func (m *Mirror) register(ctx context.Context, at time.Time) error {
	if err := m.setPresence(ctx, m.ledger.Instance(), strconv.FormatInt(at.Unix(), 10)); err != nil {
		return err
	}
	for _, id := range m.ledger.Orphans() { // nothing is written to them any more
		if !m.leftSent[id] {
			if err := m.setPresence(ctx, id, presenceLeft); err != nil {
				return err
			}
			m.leftSent[id] = true
		}
	}
	seen, err := m.Peers(ctx)
	if err != nil {
		return err
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
			entries, err := entriesOf(id, fields)
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

// entriesOf reads the fields of a hash with sums.
func entriesOf(instance string, fields map[string]string) ([]Entry, error) {
	byName := make(map[string]*Entry)
	for field, value := range fields {
		if strings.HasPrefix(field, "_") {
			continue
		}
		parts := strings.Split(field, "|")
		n, err := strconv.ParseUint(value, 10, 64)
		if len(parts) != 7 || len(parts[0]) != 1 || err != nil {
			return nil, fmt.Errorf("the field %q with the value %q is not a sum", field, value)
		}
		name := strings.Join(parts[:6], "|")
		e := byName[name]
		if e == nil {
			e = &Entry{
				Instance: instance,
				Span:     Span(parts[0][0]),
				ID:       parts[1],
				Subject:  Subject{Organization: parts[2], Project: parts[3], Function: parts[4]},
				Region:   parts[5],
			}
			byName[name] = e
		}
		switch parts[6] {
		case "invocations":
			e.Invocations = n
		case "completed":
			e.Completed = n
		case "voided":
			e.Voided = n
		case "added":
			e.Added = n
		case "deducted":
			e.Deducted = n
		case "first":
			e.First = n
		}
	}
	entries := make([]Entry, 0, len(byName))
	for _, e := range byName {
		entries = append(entries, *e)
	}
	return entries, nil
}
