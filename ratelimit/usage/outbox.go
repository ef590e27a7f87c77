package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Outbox delivers the lines of a LineStore to services so that each change counts
// once. It stores a message before it is sent, and the outcome afterwards. If the
// outcome is unknown, the same message is sent again under the same name.
type Outbox struct {
	Store *LineStore
	Pages Pages
	Now   func() time.Time
	// CheckLeader returns nil while this process is the one that sends, otherwise an
	// error that ends the round. It is called before each batch. Optional.
	CheckLeader func(ctx context.Context) error
	// Retention is how long Pages keeps pages. Lines that are older and have no page
	// count as delivered. Default: for ever.
	Retention time.Duration
	// Alone is the id of a gateway that shared a store and now sends on its own, or of
	// a store to which gateways came from another: the gateways that it left may send the
	// same lines. Its messages have names of their own, and what it told is added up with
	// what others told when they share a store again. Optional.
	Alone string

	step func(string) // tests end the process here
}

// Result counts what happened to the messages of a round.
type Result struct {
	Sent     int
	Rejected int
	Held     map[string]int // messages that were not sent, by reason
}

// round is the result so far of a round, in which a message may be held several
// times: it counts once.
type round struct {
	Result
	held map[string]bool // the names of the messages that were held
}

// Run sends a service everything that it does not have, in batches, until nothing
// is due. Messages without a known outcome are sent again.
func (o *Outbox) Run(ctx context.Context, s Service) (Result, error) {
	r := round{
		Result: Result{Held: make(map[string]int)},
		held:   make(map[string]bool),
	}
	err := o.run(ctx, s, &r)
	return r.Result, err
}

func (o *Outbox) run(ctx context.Context, s Service, r *round) error {
	if err := o.checkLeader(ctx); err != nil {
		return err
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	if err := o.Store.noteDue(s.Name(), s.Span()); err != nil {
		return err
	}
	o.at("noted")
	due, err := o.Store.due(s.Name())
	if err != nil {
		return err
	}
	for changed := 0; len(due) > 0 && ctx.Err() == nil; {
		if err := o.checkLeader(ctx); err != nil {
			return err
		}
		n, err := o.batch(ctx, s, due, r)
		if errors.Is(err, errChanged) && changed < mostChanged {
			changed++
			continue
		}
		if err != nil {
			return err
		}
		due, changed = due[n:], 0
	}
	if c, ok := s.(RejectionSource); ok && ctx.Err() == nil {
		n, err := o.takeBack(ctx, c)
		r.Rejected += n
		return err
	}
	return ctx.Err()
}

// errChanged says that pages changed between being read and written.
var errChanged = errors.New("what it was told changed meanwhile: another gateway sends, or joins")

// mostChanged is how often in a row a batch begins again because of errChanged.
const mostChanged = 5

func (o *Outbox) checkLeader(ctx context.Context) error {
	if o.CheckLeader == nil {
		return nil
	}
	return o.CheckLeader(ctx)
}

func (o *Outbox) at(step string) {
	if o.step != nil {
		o.step(step)
	}
}

// openPage is a page during a round.
type openPage struct {
	page
	due  duePage
	sent int // how many of its messages are in this batch
	held int
}

// looked reports whether nothing more can be done for the page in this round.
func (p *openPage) looked() bool { return p.held > 0 || p.sent == 0 && len(p.Pending) == 0 }

// batch sends one batch with messages of the first due pages and returns how many
// of these pages are done for this round.
func (o *Outbox) batch(ctx context.Context, s Service, due []duePage, r *round) (looked int, err error) {
	pages, err := o.fill(ctx, s, due)
	if err != nil {
		return 0, err
	}
	messages := o.take(pages, s.MaxBatch())
	if others, err := o.save(ctx, s, pages); err != nil || len(others) > 0 {
		return 0, errors.Join(err, changed(others))
	}
	o.at("written")
	var verdicts []Verdict
	if len(messages) > 0 {
		verdicts, err = s.Send(ctx, messages)
		if err == nil && len(verdicts) != len(messages) {
			err = fmt.Errorf("%d verdicts on %d messages", len(verdicts), len(messages))
		}
		o.at("sent")
	}
	for _, p := range pages {
		n := min(len(verdicts), p.sent)
		p.judge(verdicts[:n], r)
		verdicts = verdicts[n:]
	}
	if err := errors.Join(err, o.settle(ctx, s, pages)); err != nil {
		return 0, err
	}
	o.at("settled")
	if err := o.finish(s, pages); err != nil {
		return 0, err
	}
	for looked < len(pages) && pages[looked].looked() {
		looked++
	}
	return looked, nil
}

// fill opens due pages until they have enough messages for a batch.
func (o *Outbox) fill(ctx context.Context, s Service, due []duePage) ([]*openPage, error) {
	const most = 500
	due = due[:min(len(due), most)]
	keys := make([]PageKey, len(due))
	for i := range due {
		keys[i] = due[i].PageKey
	}
	texts, err := o.Pages.Load(ctx, s.Name(), keys)
	if err != nil {
		return nil, err
	}
	var pages []*openPage
	left := s.MaxBatch()
	err = o.Store.spans(due, s.Span(), func(i int, lines []Line) (more bool, err error) {
		p := &openPage{due: due[i]}
		text := texts[due[i].PageKey]
		if text == nil && o.Retention > 0 && len(lines) > 0 && o.Now().Sub(lines[0].WindowStart) > o.Retention {
			pages = append(pages, p)
			return true, nil
		}
		if text != nil {
			if err := json.Unmarshal(text, &p.page); err != nil {
				return false, damaged(s.Name(), due[i].PageKey, err)
			}
		}
		p.add(s.Items(lines), left, o.Alone, floor(lines))
		left -= len(p.Pending)
		pages = append(pages, p)
		return left > 0, nil
	})
	return pages, err
}

// take picks the messages of a batch and counts the attempt.
func (o *Outbox) take(pages []*openPage, most int) (messages []Message) {
	for _, p := range pages {
		p.sent = min(len(p.Pending), most-len(messages))
		for i := range p.Pending[:p.sent] {
			if p.Pending[i].First.IsZero() {
				p.Pending[i].First = o.Now().UTC()
			}
			p.Pending[i].Tries++
			messages = append(messages, p.Pending[i])
		}
	}
	return messages
}

// judge applies the verdicts on the first messages of a page. Messages without a
// verdict may have arrived and stay pending.
func (p *openPage) judge(verdicts []Verdict, r *round) {
	for i, v := range verdicts {
		switch {
		case v.Held != "":
			p.held++
			if name := p.Pending[i].Name(); !r.held[name] {
				r.held[name] = true
				r.Held[v.Held]++
			}
		case v.Rejected != "":
			r.Rejected++
		default:
			r.Sent++
		}
	}
	p.settle(verdicts)
}

// save stores the pages with messages in this batch. others are the texts of pages
// that somebody else changed, which are not stored.
func (o *Outbox) save(ctx context.Context, s Service, pages []*openPage) (others map[PageKey][]byte, err error) {
	texts := make(map[PageKey][]byte, len(pages))
	for _, p := range pages {
		if p.sent == 0 {
			continue
		}
		text, err := json.Marshal(&p.page)
		if err != nil {
			return nil, err
		}
		texts[p.due.PageKey] = text
	}
	if len(texts) == 0 {
		return nil, nil
	}
	return o.Pages.Save(ctx, s.Name(), texts)
}

// changed returns errChanged if there are pages that somebody else changed.
func changed(others map[PageKey][]byte) error {
	if len(others) > 0 {
		return errChanged
	}
	return nil
}

// settle stores the outcome of a batch. To pages that somebody else changed since the
// batch was sent, by a gateway that joined or that has the turn now, it is added.
func (o *Outbox) settle(ctx context.Context, s Service, pages []*openPage) error {
	for range mostChanged {
		others, err := o.save(ctx, s, pages)
		if err != nil || len(others) == 0 {
			return err
		}
		for _, p := range pages {
			text, is := others[p.due.PageKey]
			if !is {
				continue
			}
			var other page
			if err := json.Unmarshal(text, &other); err != nil {
				return damaged(s.Name(), p.due.PageKey, err)
			}
			p.page = *joinPages(&p.page, &other)
		}
	}
	return errChanged
}

// damaged names the page that cannot be read.
func damaged(service string, key PageKey, err error) error {
	return fmt.Errorf("the outbox of %s: the page %v: %w", service, key, err)
}

// finish marks pages as no longer due if the service has everything on them. Pages
// with rejected messages stay due, so that Status lists them.
func (o *Outbox) finish(s Service, pages []*openPage) error {
	var done []duePage
	for _, p := range pages {
		if p.sent == 0 && len(p.Pending) == 0 && len(p.Rejected) == 0 {
			done = append(done, p.due)
		}
	}
	return o.Store.notDue(s.Name(), done)
}

// takeBack marks messages as rejected that a service accepted first and rejected
// later. It returns how many.
func (o *Outbox) takeBack(ctx context.Context, s RejectionSource) (taken int, err error) {
	rejections, err := s.Rejections(ctx)
	if err != nil || len(rejections) == 0 {
		return 0, err
	}
	var of []duePage
	err = o.Pages.Each(ctx, s.Name(), func(key PageKey, text []byte) error {
		var p page
		if err := json.Unmarshal(text, &p); err != nil {
			return damaged(s.Name(), key, err)
		}
		if p.takeBack(rejections) > 0 {
			of = append(of, duePage{PageKey: key})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var keys []PageKey
	err = o.pages(ctx, s, of, func(key PageKey, p *page) (bool, error) {
		n := p.takeBack(rejections)
		taken += n
		if n > 0 {
			keys = append(keys, key)
		}
		return n > 0, nil
	})
	return taken, errors.Join(err, o.Store.again(s.Name(), keys))
}
