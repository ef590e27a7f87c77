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

// The forms of the hours in names: one that begins within an hour has its
// minute.
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

// Hour returns the hour of a sum of an hour: of a cycle, since a period may begin
// or end within it.
func (e *Entry) Hour(c Cycle) (hour, period Period, err error) {
	layout := wholeHour
	if len(e.ID) == len(partHour) {
		layout = partHour
	}
	start, err := time.Parse(layout, e.ID)
	if err != nil {
		return hour, period, fmt.Errorf("the hour %q of a sum: %w", e.ID, err)
	}
	period = c.At(start)
	return hourOf(period, start), period, nil
}

// Hour returns the hour of a sum of an hour, and its billing period.
func (u *Usage) Hour() (hour, period Period) {
	period = u.Cycle.At(u.Start)
	return hourOf(period, u.Start), period
}

// Entry is a sum that a gateway has in Redis.
type Entry struct {
	Instance string
	Span     Span
	ID       string // of the period, or the hour as 2006010215
	Subject  Subject
	Region   string
	Sums
}

// presentFor is for how long an instance counts after it was last heard of.
const presentFor = 15 * time.Second

// hashAllCalls is how many commands reading a small hash takes.
const hashAllCalls = 3

// Presence is what was last heard of a gateway's ledger.
type Presence struct {
	// At is until when all its sums are there; zero where that will not change.
	At   time.Time
	Left bool // it ended, and has sent all
	Lost bool // an operator says that it will never come back
}

// What stands in place of a time in instancesKey.
const (
	presenceLeft = "left"
	presenceLost = "lost"
)

// Peers tells what was last heard of each ledger that was ever sent to Redis.
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
		}
		seen[id] = p
	}
	return seen, nil
}

// setPresence says what is to be known of a ledger.
func (m *Mirror) setPresence(ctx context.Context, instance, what string) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	return m.conn.HashSet(ctx, instancesKey, instance, what)
}

// MarkLost notes that a gateway will never come back.
func (m *Mirror) MarkLost(ctx context.Context, instance string) error {
	return m.setPresence(ctx, instance, presenceLost)
}

// register tells others which ledgers there are, and that all was sent that they
// had at a time.
func (m *Mirror) register(ctx context.Context, at time.Time) error {
	if err := m.setPresence(ctx, m.ledger.Instance(), strconv.FormatInt(at.Unix(), 10)); err != nil {
		return err
	}
	for _, id := range m.ledger.Orphans() { // in which nothing is written any more
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
		if m.now().Sub(p.At) < presentFor && id != m.ledger.Instance() {
			present++
		}
	}
	m.present.Store(int64(present))
	return nil
}

// PeerSums returns the sums of all logs but this process's own, of one
// organization or, with "", of all.
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

// OwnSums returns what Redis has of this process's own logs.
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

// entriesOf reads the fields of a hash.
func entriesOf(instance string, fields map[string]string) ([]Entry, error) {
	byName := make(map[string]*Entry)
	for field, value := range fields {
		if strings.HasPrefix(field, "_") {
			continue
		}
		parts := strings.Split(field, "|")
		n, err := strconv.ParseUint(value, 10, 64)
		if len(parts) != 7 || len(parts[0]) != 1 || err != nil {
			return nil, fmt.Errorf("the field %q with %q is no sum", field, value)
		}
		name := strings.Join(parts[:6], "|")
		e := byName[name]
		if e == nil {
			e = &Entry{
				Instance: instance, Span: Span(parts[0][0]), ID: parts[1],
				Subject: Subject{Organization: parts[2], Project: parts[3], Function: parts[4]}, Region: parts[5],
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
