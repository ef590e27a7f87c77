package usage

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Service is a sink that is told over a network what it should have. What it was
// told, and whether it heard, is kept in an [Outbox].
type Service interface {
	Sink

	// Span is how much a page of the outbox is of: an hour or a day.
	Span() time.Duration

	// Prepare sees that the service can be told something, at the start of a round.
	Prepare(ctx context.Context) error

	// Items is what it should have of all lines of an organization in a period and
	// a span.
	Items(lines []Line) []Item

	// Send tells it, and returns what became of each message, in their order. With
	// an error nothing is known of those after the verdicts that it returns: they may
	// have arrived, and come again as they are.
	Send(ctx context.Context, messages []Message) ([]Verdict, error)
}

// RejectionSource is a [Service] that says later which messages it could not use.
type RejectionSource interface {
	Service

	// Rejections returns those that it has not returned yet.
	Rejections(ctx context.Context) ([]Rejection, error)
}

// Rejection is about a message by its name.
type Rejection struct{ Message, Reason string }

// Item is what a service should have of one thing.
type Item struct {
	ID      string    `json:"id"`              // 32 hex digits; the same in all revisions
	Meter   string    `json:"meter,omitempty"` // of the service, where it has several
	Account string    `json:"account"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Value   int64     `json:"value"`
	Amount  int64     `json:"amount,omitempty"` // in the currency's minor unit
	Line    *Line     `json:"line,omitempty"`   // where it is one
}

// digest tells editions of an item apart that have the same value.
func (i *Item) digest() string {
	if i.Line == nil {
		return ""
	}
	l := *i.Line
	l.Revision, l.State = 0, Final
	return l.digest()[:8]
}

// Message is an item on its way, the same each time that it is sent.
type Message struct {
	Item
	Revision int64     `json:"revision"` // from 1 on
	Delta    int64     `json:"delta"`    // Value less that of the revision before
	Paid     int64     `json:"paid"`     // Amount less that of the revision before
	First    time.Time `json:"first"`    // when it was sent for the first time
	Tries    int       `json:"tries"`    // that were begun, with this one: beyond 1 it may be there already
}

// Name tells messages apart. A service may see one several times and must count
// it once.
func (m *Message) Name() string { return fmt.Sprintf("gw-%s-r%d", m.ID, m.Revision) }

// Verdict is what became of a message. The zero Verdict: the service has it.
type Verdict struct {
	Held     string // why it was not sent; it is tried again
	Rejected string // why the service will never take it
}

// RetryError says when it makes sense to try again.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// RetryAfter reads the header of that name (RFC 9110, section 10.2.3): seconds, or
// a time.
func RetryAfter(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(header)
	return max(0, at.Sub(now)), err == nil
}
