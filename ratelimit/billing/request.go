package billing

import (
	"context"
	"errors"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// Request counts one request, from its arrival to its end: it takes the unit of a
// quota, and records that the unit was used and how that ended. Its methods are
// called by one goroutine at a time and allocate nothing.
type Request struct {
	opened   *opened // nil: the engine was not open when the request came
	stripe   *stripe
	unit     quota.Unit
	admitted bool    // it has a unit
	outcome  Outcome // unless it is an invocation

	subject  metering.SubjectID
	region   uint16
	seq      uint64    // of the record; 0: there is none, or it was taken back
	counted  bool      // it is among the calls of opened
	deferred *Dispatch // of a record that is made later
	sent     bool      // by an attempt before the one that is made now
}

// Dispatch describes an invocation for its record.
type Dispatch struct {
	// Subject names the organization that pays and the function that answers, which may
	// be Wildcard.
	Subject metering.Subject
	Slug    string // the name that it is called by
	Region  string // that it is sent to
	// Open says that the invocation goes on where it cannot be recorded. It is
	// recorded later then.
	Open bool
}

// Receive counts a request that came in. Finish ends it.
func (e *Engine) Receive() Request {
	return Request{opened: e.opened.Load(), stripe: e.requests.enter()}
}

// Restricted returns how long an organization's invocations will be refused, 0 if
// the next one may not be. It takes nothing.
func (r *Request) Restricted(organization string, allowance *quota.Allowance) time.Duration {
	if r.opened == nil {
		return 0
	}
	return r.opened.quotas.Restricted(organization, allowance)
}

// FunctionName returns the name under which a call of slug is counted that a
// function of the project answers: the function's own, or for Wildcard the slug,
// unless the project has too many of them.
func (r *Request) FunctionName(project, function, slug string) string {
	if r.opened == nil {
		return function
	}
	return r.opened.names.counted(project, function, slug)
}

// Take takes a unit of an organization's quota for the request. The error is
// quota.ErrExhausted, quota.ErrUnavailable where nobody can be asked for one, or
// ErrNotOpen.
func (r *Request) Take(ctx context.Context, organization string, allowance *quota.Allowance) (err error) {
	if r.opened == nil {
		return ErrNotOpen
	}
	r.unit, err = r.opened.quotas.Take(ctx, organization, allowance)
	r.admitted = err == nil
	if err != nil && !errors.Is(err, quota.ErrExhausted) && ctx.Err() == nil {
		r.opened.ungranted.note(r.opened.now(), err)
	}
	return err
}

// Unit returns the unit that was taken; false if none was.
func (r *Request) Unit() (quota.Unit, bool) { return r.unit, r.admitted }

// Send records the invocation that is about to be sent. Nothing may be sent if it
// fails. A request without a unit is not recorded: it passes without counting. One
// that is sent again is no other invocation (contract 7.2).
func (r *Request) Send(d *Dispatch) error {
	switch {
	case r.Counts():
		r.sent = true // or Unsent would have taken it back
		return nil
	case !r.admitted:
		r.outcome = OutcomePassed
		return nil
	}
	if err := r.record(d); err != nil {
		r.opened.unrecorded.note(r.opened.now(), err)
		return err
	}
	if r.deferred != nil {
		return nil
	}
	err := r.opened.ledger.Await(r.seq)
	if err == nil || d.Open {
		return nil
	}
	r.opened.unrecorded.note(r.opened.now(), err)
	return errors.Join(err, r.Unsent())
}

// record makes an invocation of the request: one that is recorded later, if it
// cannot be now and may go on without.
func (r *Request) record(d *Dispatch) (err error) {
	subject := d.Subject
	subject.Function = r.FunctionName(subject.Project, subject.Function, d.Slug)
	if r.subject, err = r.opened.ledger.Subject(subject); err == nil {
		r.region, err = r.opened.ledger.Region(d.Region)
	}
	if !r.counted {
		r.counted = true
		r.opened.calls.Add(1)
	}
	r.stripe.mu.Lock()
	defer r.stripe.mu.Unlock()
	if err == nil {
		r.seq, err = r.opened.ledger.Begin(r.invocation())
	}
	if err != nil && d.Open {
		r.deferred, err = &Dispatch{Subject: subject, Region: d.Region}, nil
		r.opened.ledger.Defer(r.deferral(), 1)
	}
	if err == nil {
		r.stripe.waiting--
	}
	return err
}

// invocation is the request as the ledger records it.
func (r *Request) invocation() metering.Invocation {
	return metering.Invocation{Subject: r.subject, Region: r.region, At: r.unit.At}
}

// deferral is the request as the ledger records it once it can be written again.
func (r *Request) deferral() metering.Deferral {
	return metering.Deferral{Subject: r.deferred.Subject, Region: r.deferred.Region, At: r.unit.At}
}

// Counts reports whether the request is an invocation by now.
func (r *Request) Counts() bool { return r.seq != 0 || r.deferred != nil }

// Record is the number of the invocation's record in the ledger; 0 if it has none.
func (r *Request) Record() uint64 { return r.seq }

// Unsent takes back what Send recorded: nothing was sent after all, by this attempt
// or one before. After an error the invocation counts.
func (r *Request) Unsent() error {
	if r.sent {
		return nil
	}
	r.outcome = OutcomeUnknown
	r.stripe.mu.Lock()
	defer r.stripe.mu.Unlock()
	switch {
	case r.deferred != nil:
		r.opened.ledger.Defer(r.deferral(), -1)
		r.deferred = nil
	case r.seq != 0:
		if err := r.opened.ledger.Void(r.seq, r.invocation()); err != nil {
			return err
		}
		r.seq = 0
	default:
		return nil
	}
	r.stripe.waiting++
	return nil
}

// Answered says that the gateway answered the request without a function, as one
// of OutcomePreflight and OutcomeOptions.
func (r *Request) Answered(as Outcome) { r.outcome = as }

// Gone says that the client went away before an answer.
func (r *Request) Gone() {
	if r.outcome == OutcomeUnknown {
		r.outcome = OutcomeUnsent
	}
}

// Refused says that the gateway answered the request with a status. Unless it is an
// invocation, the ledger counts it for the subject, which has no function; that of
// an unknown project is the zero Subject.
func (r *Request) Refused(s metering.Subject, status int) {
	if r.outcome == OutcomeUnknown {
		r.outcome = OutcomeRefused
	}
	if r.opened != nil && !r.Counts() {
		r.opened.ledger.Refused(s, status)
	}
}

// RefusedBilled says that the request, which was refused, counts as usage of the subject
// all the same. It takes no unit of a quota.
func (r *Request) RefusedBilled(s metering.Subject) {
	if r.opened != nil && !r.Counts() {
		r.opened.ledger.RefusedBilled(s)
	}
}

// Finish ends the request, however it ended: the end of an invocation is recorded,
// with a Duration since the unit was taken, and a unit that was not used is given
// back. The error says that the end could not be recorded; the invocation counts.
func (r *Request) Finish(ending metering.Ending) error {
	// Until then the engine is busy: it must not close before the unit is back.
	if r.counted {
		defer r.opened.calls.Add(-1)
	}
	if !r.Counts() {
		defer r.stripe.leave(r.outcome)
	}
	switch {
	case !r.admitted, r.deferred != nil:
		return nil
	case r.seq == 0:
		r.unit.Return()
		return nil
	}
	ending.Duration = r.opened.ledger.Now().Sub(r.unit.At)
	return r.opened.ledger.Done(r.seq, r.invocation(), ending)
}
