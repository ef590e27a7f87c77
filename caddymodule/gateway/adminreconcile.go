package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// reconcileAnswer is what `edgegate usage reconcile` shows.
type reconcileAnswer struct {
	Levels []reconcileLevel `json:"levels"`
	OK     bool             `json:"ok"` // all differences are 0
}

// reconcileLevel compares two accounts of the same.
type reconcileLevel struct {
	Level    string `json:"level"` // R0 to R5 (METERING.md 3.13)
	What     string `json:"what"`
	Expected int64  `json:"expected"`
	Found    int64  `json:"found"`
	// Difference is the sum of what is different anywhere: too much here does not
	// make up for too little there.
	Difference int64  `json:"difference"`
	Explained  bool   `json:"explained,omitempty"` // the difference is of what is on its way
	First      string `json:"first,omitempty"`     // where it is first different
	// Parts are what was found, by kind, where there are kinds.
	Parts []reconcilePart `json:"parts,omitempty"`
}

type reconcilePart struct {
	What   string `json:"what"`
	Number int64  `json:"number"`
}

// reconcile compares the accounts of what was used with each other, from the
// records to the lines of the bills.
func (a *App) reconcile(r *http.Request) (any, error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, err
	}
	opened := a.books.open.Load()
	if opened == nil {
		return nil, errNotOpen
	}
	c := &reconciliation{app: a, books: opened, only: r.URL.Query().Get("organization"), month: month, now: opened.ledger.Now()}
	c.arrived = a.books.arrivals.now(opened.ledger)
	recounts, err := opened.ledger.Recount(c.count)
	if err != nil {
		return nil, err
	}
	c.log(recounts)
	if s := opened.shared.Load(); s != nil {
		if err := c.redis(r.Context(), s); err != nil {
			return nil, err
		}
	}
	if err := c.lines(r.Context()); err != nil {
		return nil, err
	}
	if err := c.exporters(r.Context(), r.URL.Query().Get("against")); err != nil {
		return nil, err
	}
	c.levels = append(c.levels, c.arrived.level(c.recorded))
	answer := reconcileAnswer{Levels: c.levels, OK: true}
	for _, l := range c.levels {
		answer.OK = answer.OK && l.Difference == 0
	}
	return answer, nil
}

type reconciliation struct {
	app    *App
	books  *books
	only   string // an organization
	month  time.Time
	now    time.Time
	levels []reconcileLevel

	arrived  arrived
	recorded int64 // invocations of this process, up to when they were counted
}

// count takes in a record of those that are read again.
func (c *reconciliation) count(instance string, r *metering.Record) {
	at := &c.arrived.at
	if instance != at.Instance || r.Seq <= at.Begun || r.Seq > at.Last {
		return
	}
	switch {
	case r.Type == metering.TypeAdmitted:
		c.recorded += int64(r.Units)
	case r.Type == metering.TypeVoid && r.Ref != 0:
		c.recorded -= int64(r.Units)
	}
}

// account says what a number is of.
type account struct{ instance, organization, period, project, function, region string }

func (k account) String() string {
	return fmt.Sprintf("gateway %s, organization %s, %s, %s/%s in %s", k.instance, k.organization, k.period, k.project, k.function, k.region)
}

// accounts are numbers by what they are of.
type accounts map[account]int64

func (a accounts) sum() (n int64) {
	for _, v := range a {
		n += v
	}
	return n
}

// compare adds a level with two accounts of the same.
func (c *reconciliation) compare(level, what string, expected, found accounts) {
	l := reconcileLevel{Level: level, What: what, Expected: expected.sum(), Found: found.sum()}
	differ := func(k account) {
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

// asked reports whether a question is about a period of an organization.
func (c *reconciliation) asked(organization string, p metering.Period, cycle metering.Cycle) bool {
	return (c.only == "" || c.only == organization) && wanted(p, cycle, c.month, c.now)
}

// of are the sums of some usage, by function.
func (c *reconciliation) of(usage []metering.Usage, span metering.Span) accounts {
	all := make(accounts)
	for i := range usage {
		u := &usage[i]
		if p := u.Cycle.At(u.Start); u.Span == span && c.asked(u.Organization, p, u.Cycle) {
			all[account{u.Instance, u.Organization, p.ID, u.Project, u.Function, u.Region}] += u.Billed()
		}
	}
	return all
}

// hours are sums of hours: those that are kept, and of hours that are over for so
// long that none are, what the records say.
func (c *reconciliation) hours(read, kept []metering.Usage) (hours []metering.Usage) {
	type hour struct {
		account
		start int64
	}
	there := make(map[hour]bool)
	key := func(u *metering.Usage) hour {
		return hour{account{u.Instance, u.Organization, u.Cycle.At(u.Start).ID, u.Project, u.Function, u.Region}, u.Start.Unix()}
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

// log compares the records with the sums.
func (c *reconciliation) log(recounts []metering.Recounted) {
	records := reconcileLevel{Level: "R0", What: "records in the logs"}
	var read, kept []metering.Usage
	for _, r := range recounts {
		records.Expected += int64(r.Last)
		records.Found += int64(r.Records)
		if r.Damage != nil && records.First == "" {
			records.First = fmt.Sprintf("gateway %s: %v", r.Instance, r.Damage)
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

// redis compares the sums with those in Redis. Calls go on meanwhile: what is in
// Redis must be between the sums before and after.
func (c *reconciliation) redis(ctx context.Context, s *sharing) error {
	c.app.books.adjusting.Lock() // which is how sums become less
	defer c.app.books.adjusting.Unlock()
	before, err := c.books.ledger.Usage()
	if err != nil {
		return err
	}
	if _, err := s.mirror.Flush(ctx); err != nil {
		return fmt.Errorf("sending sums to Redis: %w", err)
	}
	entries, err := s.mirror.OwnSums(ctx)
	if err != nil {
		return fmt.Errorf("reading sums from Redis: %w", err)
	}
	after, err := c.books.ledger.Usage()
	if err != nil {
		return err
	}
	low, high, found := c.of(before, metering.Monthly), c.of(after, metering.Monthly), make(accounts)
	cycles := c.app.periods()
	for i := range entries {
		u, p, ok := cycles.of(&entries[i])
		if ok && c.asked(u.Organization, p, u.Cycle) {
			found[account{entries[i].Instance, u.Organization, p.ID, u.Project, u.Function, u.Region}] += u.Billed()
		}
	}
	for k, n := range found {
		if n >= low[k] && n <= high[k] {
			low[k] = n
		}
	}
	c.compare("R1", "sums here and in Redis", low, found)
	return nil
}

// lines compares what all gateways used with the lines of the bills.
func (c *reconciliation) lines(ctx context.Context) error {
	c.app.books.billing.Lock()
	defer c.app.books.billing.Unlock()
	known, err := c.app.books.billAlone(ctx)
	if err != nil {
		return err
	}
	expected, found := make(accounts), make(accounts)
	cycles := c.app.periods()
	for k, n := range known {
		if c.askedByID(cycles, k.organization, k.period) {
			expected[k] = n
		}
	}
	for l, err := range c.books.bill.book.Lines(func(organization, id string) bool { return c.askedByID(cycles, organization, id) }) {
		if err != nil {
			return err
		}
		found[account{organization: l.AccountID, period: l.Period, project: l.ProjectID, function: l.FunctionID, region: l.Region}] += l.Quantity
	}
	c.compare("R3", "sums of all gateways and lines of bills", expected, found)
	return nil
}

func (c *reconciliation) askedByID(cycles cycles, organization, id string) bool {
	p, cycle, ok := cycles.named(organization, id)
	return ok && c.asked(organization, p, cycle)
}
