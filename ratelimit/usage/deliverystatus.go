package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// DeliveryStatus tells how much of what a service should have it does not have yet.
type DeliveryStatus struct {
	Due        int      // pages with changes that it may not have
	Unanswered int      // messages that may or may not have arrived
	Rejected   int      // messages that it refused for good
	Reasons    []string // why, at most maxReasons of them
}

// maxReasons bounds DeliveryStatus.Reasons.
const maxReasons = 10

// Status returns the delivery status of a service.
func (o *Outbox) Status(ctx context.Context, s Service) (st DeliveryStatus, err error) {
	due, err := o.Store.due(s.Name())
	if err != nil {
		return st, err
	}
	st.Due = len(due)
	name := (*Message).Name
	if named, ok := s.(NamedMessages); ok {
		name = named.MessageName
	}
	err = o.pages(ctx, s, due, func(_ PageKey, p *page) (bool, error) {
		st.Unanswered += len(p.Pending)
		st.Rejected += len(p.Rejected)
		for _, id := range slices.Sorted(maps.Keys(p.Rejected)) {
			if len(st.Reasons) < maxReasons {
				r := p.Rejected[id]
				st.Reasons = append(st.Reasons, fmt.Sprintf("%s of %s, %s: %s", name(&r.Message), r.Account, r.Start.Format(time.RFC3339), r.Reason))
			}
		}
		return false, nil
	})
	return st, err
}

// pages calls visit with each due page and saves those that visit changed.
func (o *Outbox) pages(ctx context.Context, s Service, due []duePage, visit func(PageKey, *page) (changed bool, err error)) error {
	for chunk := range slices.Chunk(due, 100) {
		keys := make([]PageKey, len(chunk))
		for i := range chunk {
			keys[i] = chunk[i].PageKey
		}
		texts, err := o.Pages.Load(ctx, s.Name(), keys)
		if err != nil {
			return err
		}
		keep := make(map[PageKey][]byte)
		for _, key := range keys {
			if texts[key] == nil {
				continue
			}
			var p page
			if err := json.Unmarshal(texts[key], &p); err != nil {
				return damaged(s.Name(), key, err)
			}
			changed, err := visit(key, &p)
			if err != nil {
				return err
			}
			if changed {
				if keep[key], err = json.Marshal(&p); err != nil {
					return err
				}
			}
		}
		if len(keep) > 0 {
			others, err := o.Pages.Save(ctx, s.Name(), keep)
			if err := errors.Join(err, changed(others)); err != nil {
				return err
			}
		}
	}
	return nil
}

// RetryRejected queues the messages that a service refused, to be sent again, and
// returns how many. They get new names: the service may remember the old ones.
func (o *Outbox) RetryRejected(ctx context.Context, s Service) (n int, err error) {
	due, err := o.Store.due(s.Name())
	if err != nil {
		return 0, err
	}
	return n, o.pages(ctx, s, due, func(_ PageKey, p *page) (bool, error) {
		n += len(p.Rejected)
		return p.forgiveAll(), nil
	})
}

// forgiveAll drops the rejected messages of a page but keeps their revisions, so that
// new messages get new names.
func (p *page) forgiveAll() (changed bool) {
	for id, r := range p.Rejected {
		p.forgive(id, r)
		changed = true
	}
	return changed
}

// forgive drops the rejected message of an item.
func (p *page) forgive(id string, r rejected) {
	t := p.Sent[id]
	t.tell(r.Alone, part{Revision: max(t.by(r.Alone).Revision, r.Revision)})
	t.Digest = "" // the service does not have that line
	if p.Sent == nil {
		p.Sent = make(map[string]delivered)
	}
	p.Sent[id] = t
	delete(p.Rejected, id)
}

// Recheck marks as due the pages with messages that have no known outcome, or with
// items that two gateways told parts of. Gateways that join bring such pages, of lines
// that did not change here.
func (o *Outbox) Recheck(ctx context.Context, s Service) error {
	var keys []PageKey
	err := o.Pages.Each(ctx, s.Name(), func(key PageKey, text []byte) error {
		var p page
		if err := json.Unmarshal(text, &p); err != nil {
			return damaged(s.Name(), key, err)
		}
		again := len(p.Pending) > 0
		for _, t := range p.Sent {
			again = again || t.Again
		}
		if again {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return o.Store.again(s.Name(), keys)
}

// Compare calls visit with each item that a service should have of the periods that
// want selects, and the value that was delivered. pending means that a change of
// the item is on its way or held.
func (o *Outbox) Compare(ctx context.Context, s Service, want func(organization, period string) bool, visit func(item *Item, delivered int64, pending bool)) error {
	keys, err := o.Store.pagesOf(s.Span(), want)
	if err != nil {
		return err
	}
	waiting, err := o.Store.due(s.Name())
	if err != nil {
		return err
	}
	pending := make(map[PageKey]waits, len(waiting))
	for _, d := range waiting {
		pending[d.PageKey] = waits{due: true}
	}
	news, err := o.Store.undue(s.Name(), s.Span())
	if err != nil {
		return err
	}
	for _, k := range news { // only who sends knows what of these is due
		pending[k] = waits{due: pending[k].due, changed: true}
	}
	for chunk := range slices.Chunk(keys, 100) {
		if err := o.compare(ctx, s, chunk, pending, visit); err != nil {
			return err
		}
	}
	return nil
}

// waits says why the service may lack something of a page.
type waits struct {
	due     bool // the page was not done yet when this gateway last sent
	changed bool // since then; another gateway may have sent it
}

// lacks reports whether the service may lack an item of a page.
func (w waits) lacks(p *page, item *Item) bool {
	if _, refused := p.Rejected[item.ID]; refused {
		return false
	}
	told, known := p.Sent[item.ID]
	return w.due || w.changed && (!known || item.Line == nil || told.Again || told.Digest != item.digest())
}

func (o *Outbox) compare(ctx context.Context, s Service, chunk []duePage, pending map[PageKey]waits, visit func(*Item, int64, bool)) error {
	keys := make([]PageKey, len(chunk))
	for i := range chunk {
		keys[i] = chunk[i].PageKey
	}
	texts, err := o.Pages.Load(ctx, s.Name(), keys)
	if err != nil {
		return err
	}
	return o.Store.spans(chunk, s.Span(), func(i int, lines []Line) (bool, error) {
		var p page
		if text := texts[keys[i]]; text != nil {
			if err := json.Unmarshal(text, &p); err != nil {
				return false, damaged(s.Name(), keys[i], err)
			}
		}
		items := s.Items(lines)
		for k := range items {
			p.adopt(&items[k])
			told := p.Sent[items[k].ID].Value
			visit(&items[k], told, pending[keys[i]].lacks(&p, &items[k]))
		}
		return true, nil
	})
}

// pagesOf returns the pages with the lines of the periods that want selects.
func (b *LineStore) pagesOf(span time.Duration, want func(organization, period string) bool) (pages []duePage, err error) {
	err = b.entries(want, func(k Key, _ *entry) error {
		page := pageOf(k, span)
		if n := len(pages); n == 0 || pages[n-1].PageKey != page {
			pages = append(pages, duePage{PageKey: page})
		}
		return nil
	})
	return pages, err
}
