package usage

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Service is a sink that is called over a network. An [Outbox] stores what it was
// told and what became of it.
type Service interface {
	Sink

	// Span returns the length of time that a page of the outbox covers: an hour or a
	// day.
	Span() time.Duration

	// Prepare is called at the start of a round. An error ends the round.
	Prepare(ctx context.Context) error

	// Items returns what the service should have, given all lines of an organization in
	// a period and a span.
	Items(lines []Line) []Item

	// Send sends messages and returns a verdict on each, in their order. With an error
	// it returns the verdicts that it has; the other messages may have arrived and are
	// sent again unchanged.
	Send(ctx context.Context, messages []Message) ([]Verdict, error)
}

// RejectionSource is a [Service] that can reject messages after it accepted them.
type RejectionSource interface {
	Service

	// Rejections returns recent rejections. It may return the same one again.
	Rejections(ctx context.Context) ([]Rejection, error)
}

// Rejection names a message that a service could not use.
type Rejection struct {
	Message string // its name
	Reason  string
}

// Item is one value that a service should have.
type Item struct {
	ID      string    `json:"id"`              // 32 hex digits; the same in all revisions
	Meter   string    `json:"meter,omitempty"` // the meter it is for, if the service has several
	Account string    `json:"account"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Value   int64     `json:"value"`
	Amount  int64     `json:"amount,omitempty"` // in the currency's minor unit
	Line    *Line     `json:"line,omitempty"`   // the line, if the service takes lines

	// Former are ids under which the service may have been told of it before. The last
	// that it was told of any of them counts.
	Former []string `json:"-"`
}

// digest tells apart versions of an item that have the same value and amount.
func (i *Item) digest() string {
	if i.Line == nil {
		return ""
	}
	l := *i.Line
	l.Revision, l.State = 0, Final
	return l.digest()[:8]
}

// Message carries a change of an item. It is the same each time it is sent.
type Message struct {
	Item
	Revision int64     `json:"revision"` // from 1 on
	Delta    int64     `json:"delta"`    // Value less that of the revision before
	Paid     int64     `json:"paid"`     // Amount less that of the revision before
	First    time.Time `json:"first"`    // when it was sent for the first time
	Tries    int       `json:"tries"`    // attempts, with this one; beyond 1 it may have arrived already

	// Alone is Outbox.Alone: others may make another message of the same revision.
	Alone string `json:"alone,omitempty"`
}

// Name returns the name of the message. A service may get a message several times
// and must count it once.
func (m *Message) Name() string {
	if m.Alone != "" {
		return fmt.Sprintf("gw-%s-r%d-%s", m.ID, m.Revision, m.Alone)
	}
	return fmt.Sprintf("gw-%s-r%d", m.ID, m.Revision)
}

// NamedMessages is a [Service] that names messages in another way than Message.Name.
type NamedMessages interface {
	// MessageName returns the name by which the service knows a message.
	MessageName(m *Message) string
}

// Verdict is the outcome of a message. The zero Verdict means that the service has
// it.
type Verdict struct {
	Held     string // why it was not sent; it is sent later
	Rejected string // why the service refuses it for good
}

// RetryError is an error after which the next try should wait.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// RetryAfter parses a Retry-After header (RFC 9110, section 10.2.3), in seconds or
// as a time. It returns false if the header is neither.
func RetryAfter(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(header)
	return max(0, at.Sub(now)), err == nil
}
