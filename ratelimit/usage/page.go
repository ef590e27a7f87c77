package usage

import (
	"context"
	"slices"
)

// PageKey identifies a page of an outbox.
type PageKey struct {
	Account, Period string
	Span            string // the start of the day or hour in UTC: 2026-11-30 or 2026-11-30T14
}

// Pages stores the pages of an outbox: what each service was told. One process at a
// time sends to a service, but pages also change when a gateway that told it
// something joins. A value is for one goroutine.
type Pages interface {
	// Load returns the pages that exist.
	Load(ctx context.Context, service string, keys []PageKey) (map[PageKey][]byte, error)

	// Save stores pages. A page that somebody else changed since it was last loaded
	// or saved is not stored: others has what is there instead. After an error some of
	// them may be stored.
	Save(ctx context.Context, service string, pages map[PageKey][]byte) (others map[PageKey][]byte, err error)

	// Each calls visit with all pages of a service, until it returns an error.
	Each(ctx context.Context, service string, visit func(PageKey, []byte) error) error
}

// page records what a service was told of an organization in a period and a span.
type page struct {
	Sent map[string]delivered `json:"sent,omitempty"` // by item
	// Pending are the messages without a known outcome. They are stored before they
	// are sent.
	Pending  []Message           `json:"way,omitempty"`
	Rejected map[string]rejected `json:"rejected,omitempty"` // by item
}

// delivered is the state of an item that a service has.
type delivered struct {
	Revision int64  `json:"r"`
	Value    int64  `json:"v"`
	Amount   int64  `json:"a,omitempty"`
	Digest   string `json:"d,omitempty"`
	// Alone has, by gateway, what gateways told on their own, while they shared no
	// store. It is part of Value and Amount. Common is the last revision that the
	// gateways of a shared store told, if there is an Alone.
	Alone  map[string]part `json:"p,omitempty"`
	Common int64           `json:"s,omitempty"`
	Last   string          `json:"y,omitempty"` // the gateway on its own that told Revision
	Again  bool            `json:"x,omitempty"` // two told parts of it: the whole must be told once more
	Back   bool            `json:"k,omitempty"` // the service took Revision back
	// The state before, which holds if the service rejects the message later.
	Before     int64 `json:"b,omitempty"`
	BeforePaid int64 `json:"c,omitempty"`
}

// rejected is a message that the service refused for good.
type rejected struct {
	Message
	Reason string `json:"reason"`
}

// add adds messages for items that the service does not have, up to most pending
// messages. alone is Message.Alone; names of earlier revisions than least may be known.
func (p *page) add(items []Item, most int, alone string, least int64) {
	pending := make(map[string]bool, len(p.Pending))
	for _, m := range p.Pending {
		pending[m.ID] = true
	}
	for i := range items {
		if len(p.Pending) >= most {
			return
		}
		former := func(id string) bool { return pending[id] }
		if pending[items[i].ID] || slices.ContainsFunc(items[i].Former, former) {
			continue // the pending message must arrive first
		}
		p.adopt(&items[i])
		if m, wanted := p.message(&items[i], least); wanted {
			m.Alone = alone
			p.Pending = append(p.Pending, m)
		}
	}
}

// adopt has an item go on where the service was told of it under former ids.
func (p *page) adopt(item *Item) {
	is, known := p.Sent[item.ID]
	var last delivered
	later := 0
	for _, id := range item.Former {
		if r, refused := p.Rejected[id]; refused {
			p.forgive(id, r)
		}
		told := p.Sent[id]
		if told.Revision > is.Revision {
			later++
		}
		if told.Revision > last.Revision {
			last = told
		}
	}
	if later == 0 {
		return
	}
	// Which of several the service was told last is not known: it is told once more.
	last.Again = last.Again || known || later > 1
	p.Sent[item.ID] = last
}

// message returns the message for an item. wanted is false if the service has the
// item already or refused it as it is.
func (p *page) message(item *Item, least int64) (m Message, wanted bool) {
	before, known := p.Sent[item.ID]
	digest := item.digest()
	if known && before.Value == item.Value && before.Amount == item.Amount && before.Digest == digest && !before.Again {
		return m, false
	}
	if !known && item.Value == 0 && item.Line == nil {
		return m, false
	}
	m = Message{
		Item:     *item,
		Revision: max(before.Revision+1, least),
		Delta:    item.Value - before.Value,
		Paid:     item.Amount - before.Amount,
	}
	if r, no := p.Rejected[item.ID]; no {
		if r.Value == item.Value && r.Amount == item.Amount && r.digest() == digest {
			return m, false
		}
		m.Revision = max(m.Revision, r.Revision+1)
	}
	if item.Line != nil { // the line takes the revision of its message
		l := *item.Line
		m.Revision = max(m.Revision, l.Revision)
		l.Revision = m.Revision
		l.SHA256 = l.digest()
		m.Line = &l
	}
	return m, true
}

// settle applies verdicts to the first pending messages.
func (p *page) settle(verdicts []Verdict) {
	var left []Message
	for i, m := range p.Pending {
		switch {
		case i >= len(verdicts):
			left = append(left, m)
		case verdicts[i].Held != "":
			if m.Tries > 1 { // it may have arrived before
				left = append(left, m)
			}
		case verdicts[i].Rejected != "":
			p.reject(m, verdicts[i].Rejected)
		default:
			if p.Sent == nil {
				p.Sent = make(map[string]delivered)
			}
			p.Sent[m.ID] = p.Sent[m.ID].after(&m)
			delete(p.Rejected, m.ID)
		}
	}
	p.Pending = left
}

// after returns the state of an item once the service has a message.
func (d delivered) after(m *Message) delivered {
	n := d
	n.Before, n.BeforePaid = d.Value, d.Amount
	n.Digest, n.Last, n.Back = m.digest(), m.Alone, false
	n.tell(m.Alone, part{m.Revision, m.Delta, m.Paid})
	// What another gateway told may have been joined while this message was on its way.
	n.Again = n.Value != m.Value || n.Amount != m.Amount || m.Revision <= d.Revision
	return n
}

func (p *page) reject(m Message, reason string) {
	if p.Rejected == nil {
		p.Rejected = make(map[string]rejected)
	}
	p.Rejected[m.ID] = rejected{m, reason}
}

// takeBack marks the messages of this page as rejected that the service rejected
// after it had accepted them.
func (p *page) takeBack(rejections []Rejection) (taken int) {
	for id, t := range p.Sent {
		m := Message{
			Item:     Item{ID: id, Value: t.Value, Amount: t.Amount},
			Revision: t.Revision,
			Alone:    t.Last,
			Delta:    t.Value - t.Before,
			Paid:     t.Amount - t.BeforePaid,
		}
		i := slices.IndexFunc(rejections, func(c Rejection) bool { return c.Message == m.Name() })
		if i < 0 || p.Rejected[id].Revision == t.Revision {
			continue
		}
		p.reject(m, rejections[i].Reason)
		t.tell(t.Last, part{t.Revision, -m.Delta, -m.Paid})
		t.Before, t.BeforePaid, t.Digest, t.Back = 0, 0, "", true
		p.Sent[id] = t
		taken++
	}
	return taken
}
