package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// ReconcileQuery says what a reconciliation compares.
type ReconcileQuery struct {
	Query
	// Against is the System of a usage.SumSource, such as stripe, that is asked what it
	// has, too. Default: none is.
	Against string
}

// Reconcile compares all counts of what was used with each other, from the records to
// the line items and what was delivered to exporters. It reads the logs of this process
// again, which takes long for a large one. The error is an UnknownError if no exporter
// can be asked for what Against has.
func (e *Engine) Reconcile(ctx context.Context, q ReconcileQuery) (ReconcileAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return ReconcileAnswer{}, err
	}
	sinks := catalogue.Sinks()
	if err := q.checkAgainst(sinks); err != nil {
		return ReconcileAnswer{}, err
	}
	c := &reconciliation{
		engine: e,
		opened: o,
		cycles: cyclesOf(catalogue),
		query:  &q,
		now:    o.ledger.Now(),
	}
	c.requests = e.requests.now(o.ledger)
	recounts, err := o.ledger.Recount(c.count)
	if err != nil {
		return ReconcileAnswer{}, err
	}
	c.log(recounts)
	if s := o.shared.Load(); s != nil {
		if err := c.redis(ctx, s.peers); err != nil {
			return ReconcileAnswer{}, err
		}
	}
	if err := c.lines(ctx); err != nil {
		return ReconcileAnswer{}, err
	}
	if err := c.exporters(ctx, sinks); err != nil {
		return ReconcileAnswer{}, err
	}
	c.levels = append(c.levels, c.requests.level(c.recorded))
	answer := ReconcileAnswer{Levels: c.levels, OK: true}
	for _, l := range c.levels {
		answer.OK = answer.OK && l.Difference == 0
	}
	return answer, nil
}

type reconciliation struct {
	engine *Engine
	opened *opened
	cycles Cycles
	query  *ReconcileQuery
	now    time.Time
	levels []ReconcileLevel

	requests requestTotals
	recorded int64 // invocations of this process, up to when they were counted
}

// count adds a record that was read again to recorded, if it is of this process and was
// there when the requests were counted.
func (c *reconciliation) count(instance string, r *metering.Record) {
	at := &c.requests.at
	if instance != at.Instance || r.Seq <= at.Begun || r.Seq > at.Last {
		return
	}
	switch {
	case r.Flags&metering.FlagUnsent != 0: // among the refused
	case r.Type == metering.TypeAdmitted:
		c.recorded += int64(r.Units)
	case r.Type == metering.TypeVoid && r.Ref != 0:
		c.recorded -= int64(r.Units)
	}
}

// compare adds a level that compares two counts of the same invocations.
func (c *reconciliation) compare(level, what string, expected, found Totals) {
	l := ReconcileLevel{
		Level:    level,
		What:     what,
		Expected: expected.sum(),
		Found:    found.sum(),
	}
	differ := func(k TotalKey) {
		if expected[k] == found[k] {
			return
		}
		if text := fmt.Sprintf("%s: %d, found %d", k, expected[k], found[k]); l.First == "" || text < l.First {
			l.First = text
		}
		l.Difference += max(expected[k]-found[k], found[k]-expected[k])
	}
	for k := range expected {
		differ(k)
	}
	for k := range found {
		if _, both := expected[k]; !both {
			differ(k)
		}
	}
	c.levels = append(c.levels, l)
}

// asked reports whether the query asks for a period of an organization.
func (c *reconciliation) asked(organization string, p metering.Period, cycle metering.Cycle) bool {
	return c.query.wants(organization, p, cycle, c.now)
}

// of sums what the query asks for of some usage, by gateway, period, function and region.
func (c *reconciliation) of(usage []metering.Usage, span metering.Span) Totals {
	all := make(Totals)
	for i := range usage {
		u := &usage[i]
		if p := u.Cycle.At(u.Start); u.Span == span && c.asked(u.Organization, p, u.Cycle) {
			all[TotalKey{u.Instance, u.Organization, p.ID, u.Project, u.Function, u.Region}] += u.Billed()
		}
	}
	return all
}

// hours returns the sums of hours. Those of hours that ended so long ago that they are
// not kept are taken from the records that were read.
func (c *reconciliation) hours(read, kept []metering.Usage) (hours []metering.Usage) {
	type hour struct {
		TotalKey
		start  int64
		origin metering.Origin
	}
	there := make(map[hour]bool)
	key := func(u *metering.Usage) hour {
		return hour{TotalKey{u.Instance, u.Organization, u.Cycle.At(u.Start).ID, u.Project, u.Function, u.Region}, u.Start.Unix(), u.Origin}
	}
	for i := range kept {
		if kept[i].Span == metering.Hourly {
			hours = append(hours, kept[i])
			there[key(&kept[i])] = true
		}
	}
	for i := range read {
		if read[i].Forgotten(c.now) && !there[key(&read[i])] {
			hours = append(hours, read[i])
		}
	}
	return hours
}

// log adds the levels that compare the records with the sums of this process.
func (c *reconciliation) log(recounts []metering.Recounted) {
	records := ReconcileLevel{Level: "R0", What: "records in the logs"}
	var read, kept []metering.Usage
	for _, r := range recounts {
		records.Expected += int64(r.Last)
		records.Found += int64(r.Records)
		switch {
		case records.First != "":
		case r.Damage != nil:
			records.First = fmt.Sprintf("gateway %s: %v", r.Instance, r.Damage)
		case len(r.Lost) > 0:
			records.First = fmt.Sprintf("gateway %s: the records %s are lost: R1 compares what is left with the sums", r.Instance, r.Lost)
		}
		read, kept = append(read, r.Read...), append(kept, r.Kept...)
	}
	if records.Difference = records.Expected - records.Found; records.Difference == 0 && records.First != "" {
		records.Difference = 1
	}
	c.levels = append(c.levels, records)
	c.compare("R1", "records and sums", c.of(read, metering.Monthly), c.of(kept, metering.Monthly))
	c.compare("R2", "sums of periods and of hours", c.of(kept, metering.Monthly), c.of(c.hours(read, kept), metering.Hourly))
}

// redis adds the level that compares the sums of this process with those in Redis. Calls
// go on meanwhile: a sum in Redis must be between the sums before and after.
func (c *reconciliation) redis(ctx context.Context, p peers) error {
	c.engine.adjusting.Lock() // an adjustment makes sums less
	defer c.engine.adjusting.Unlock()
	before, err := c.opened.ledger.Usage()
	if err != nil {
		return err
	}
	if _, err := p.Flush(ctx); err != nil {
		return fmt.Errorf("sending sums to Redis: %w", err)
	}
	entries, err := p.OwnSums(ctx)
	if err != nil {
		return fmt.Errorf("reading sums from Redis: %w", err)
	}
	after, err := c.opened.ledger.Usage()
	if err != nil {
		return err
	}
	low, high, found := c.of(before, metering.Monthly), c.of(after, metering.Monthly), make(Totals)
	for i := range entries {
		u, p, ok := c.cycles.Monthly(&entries[i])
		if ok && c.asked(u.Organization, p, u.Cycle) {
			found[TotalKey{entries[i].Instance, u.Organization, p.ID, u.Project, u.Function, u.Region}] += u.Billed()
		}
	}
	for k, n := range found {
		if n >= low[k] && n <= high[k] {
			low[k] = n
		}
	}
	c.compare("R1", "sums here and in Redis", low, found)
	if err := p.Verify(ctx); err != nil {
		return fmt.Errorf("setting sums in Redis right: %w", err)
	}
	return nil
}

// lines adds the level that compares the sums of all gateways with the line items. The
// sums of other gateways with the same directory are known from the items alone: each
// compares its own.
func (c *reconciliation) lines(ctx context.Context) error {
	c.engine.updating.Lock()
	defer c.engine.updating.Unlock()
	known, err := c.engine.update(ctx)
	if err != nil {
		return err
	}
	expected, found := make(Totals), make(Totals)
	for k, n := range known {
		if c.askedByID(k.Organization, k.Period) {
			expected[k] = n
		}
	}
	others := c.opened.othersParts()
	for item, err := range c.opened.lines.Sourced(c.askedByID) {
		if err != nil {
			return err
		}
		found[totalKeyOf(&item.Line)] += item.Quantity
		others.add(expected, &item)
	}
	c.compare("R3", "sums of all gateways and lines of bills", expected, found)
	return nil
}

// askedByID is asked for a period by its id.
func (c *reconciliation) askedByID(organization, id string) bool {
	p, cycle, ok := c.cycles.Named(organization, id)
	return ok && c.asked(organization, p, cycle)
}
