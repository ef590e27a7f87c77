package usage

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// meter is a service that counts once what it is told, by the names of messages.
type meter struct {
	known map[string]bool
	added map[string]int64 // differences, by item
	last  map[string]int64 // the last total
}

// tell brings a service what a page lacks of items. Some outcomes get lost: these messages stay pending.
func (m *meter) tell(t *rapid.T, p *page, items []Item, alone string) {
	p.add(items, 100, alone, 0)
	verdicts := make([]Verdict, rapid.IntRange(0, len(p.Pending)).Draw(t, "answers"))
	for i := range p.Pending {
		if i > len(verdicts) {
			break // was not sent; the one before was, and has no answer
		}
		m.take(&p.Pending[i])
	}
	p.settle(verdicts)
}

func (m *meter) take(message *Message) {
	if m.known[message.Name()] {
		return
	}
	m.known[message.Name()] = true
	m.added[message.ID] += message.Delta
	m.last[message.ID] = message.Value
}

// copied is a page as it is read after it was written.
func copied(t *rapid.T, p *page) *page {
	text, err := json.Marshal(p)
	var c page
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func text(p *page) string {
	b, _ := json.Marshal(p)
	return string(b)
}

// Gateways join a store, leave it and join it again, and tell a service what changed, in the store or alone. Once all have
// joined and all is told, the service has what it should have, by differences and by totals.
func TestJoinedPagesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meter{make(map[string]bool), make(map[string]int64), make(map[string]int64)}
		store, own, alone := new(page), make([]*page, 3), make([]bool, 3)
		for i := range own {
			own[i] = new(page)
		}
		wants := map[string]int64{"a": 0, "b": 0}
		items := func() (list []Item) {
			for _, id := range []string{"a", "b"} {
				list = append(list, Item{ID: id, Value: wants[id]})
			}
			return list
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "gateway")
			switch rapid.SampledFrom([]string{"use", "tell", "move", "copy"}).Draw(t, "step") {
			case "use":
				wants[rapid.SampledFrom([]string{"a", "b"}).Draw(t, "item")] += rapid.Int64Range(-3, 9).Draw(t, "used")
			case "tell":
				if alone[i] {
					m.tell(t, own[i], items(), fmt.Sprint("gateway", i))
				} else {
					m.tell(t, store, items(), "")
				}
			case "move":
				joined := joinPages(store, own[i])
				if alone[i] {
					store = copied(t, joined)
				} else {
					own[i] = copied(t, joined)
				}
				alone[i] = !alone[i]
			case "copy":
				if !alone[i] {
					own[i] = copied(t, joinPages(own[i], store))
				}
			}
		}
		a, b, c := own[0], own[1], own[2]
		if x, y := text(joinPages(a, b)), text(joinPages(b, a)); x != y {
			t.Errorf("joined in one order\n%s\nin the other\n%s", x, y)
		}
		joined := joinPages(joinPages(a, b), c)
		for i, again := range []*page{joinPages(joined, joined), joinPages(joined, a), joinPages(b, joined)} {
			if text(again) != text(joined) {
				t.Errorf("%d: joined once\n%s\nand again\n%s", i, text(joined), text(again))
			}
		}
		for i := range own {
			if alone[i] {
				store = joinPages(store, own[i])
			}
		}
		for range 10 {
			store.add(items(), 100, "", 0)
			for i := range store.Pending {
				m.take(&store.Pending[i])
			}
			store.settle(make([]Verdict, len(store.Pending)))
		}
		for _, have := range []map[string]int64{m.added, m.last} {
			for id, want := range wants {
				if have[id] != want {
					t.Errorf("the service has %v, want %v; added %v, last %v; %s", have[id], want, m.added, m.last, text(store))
				}
			}
		}
		for id := range maps.Keys(wants) {
			if got := store.Sent[id].Value; got != wants[id] {
				t.Errorf("%s: told is %d, want %d", id, got, wants[id])
			}
		}
	})
}
