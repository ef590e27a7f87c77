package metering

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// Instances returns the ids of all logs that were ever sent to Redis, and how
// many of their processes were heard of lately, this one included.
func (m *Mirror) Instances(ctx context.Context) (ids []string, present int, err error) {
	seen, err := m.Seen(ctx)
	if err != nil {
		return nil, 0, err
	}
	for id, at := range seen {
		ids = append(ids, id)
		if time.Since(at) < presentFor && id != m.ledger.Instance() {
			present++
		}
	}
	slices.Sort(ids)
	return ids, present + 1, nil
}

// Seen tells when each gateway was last heard of.
func (m *Mirror) Seen(ctx context.Context) (map[string]time.Time, error) {
	m.calls.Add(hashAllCalls)
	found, err := m.conn.HashAll(ctx, instancesKey)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]time.Time, len(found))
	for id, text := range found {
		at, _ := strconv.ParseInt(text, 10, 64) // what is no time was never
		seen[id] = time.Unix(at, 0)
	}
	return seen, nil
}

// Others returns the sums of all logs but this process's own, of one
// organization or, with "", of all.
func (m *Mirror) Others(ctx context.Context, organization string) ([]Entry, error) {
	ids, _, err := m.Instances(ctx)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{m.ledger.Instance(): true}
	for _, id := range m.ledger.Orphans() {
		own[id] = true
	}
	var all []Entry
	for _, id := range ids {
		if own[id] {
			continue
		}
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
		}
	}
	entries := make([]Entry, 0, len(byName))
	for _, e := range byName {
		entries = append(entries, *e)
	}
	return entries, nil
}
