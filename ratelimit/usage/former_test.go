package usage

import "testing"

// What was told under former ids counts as told: it is told again only if it is not known what the service has.
func TestFormerIDs(t *testing.T) {
	told := func(revision, value int64) delivered { return delivered{Revision: revision, Value: value} }
	for name, of := range map[string]struct {
		sent     map[string]delivered
		rejected string
		revision int64 // of what is told; 0: nothing
		delta    int64
	}{
		"nothing":                {nil, "", 1, 8},
		"under a former id":      {map[string]delivered{"a": told(3, 8)}, "", 0, 0},
		"less, under one":        {map[string]delivered{"a": told(3, 5)}, "", 4, 3},
		"under two":              {map[string]delivered{"a": told(3, 8), "b": told(3, 5)}, "", 4, 0},
		"before it had this id":  {map[string]delivered{"a": told(3, 5), "now": told(4, 8)}, "", 0, 0},
		"by an older build":      {map[string]delivered{"a": told(5, 8), "now": told(4, 8)}, "", 6, 0},
		"refused under a former": {map[string]delivered{"a": told(3, 5)}, "a", 5, 3},
	} {
		p := &page{Sent: of.sent}
		item := Item{ID: "now", Value: 8, Former: []string{"a", "b"}}
		if of.rejected != "" {
			p.reject(Message{Item: Item{ID: of.rejected, Value: 8}, Revision: 4}, "no customer")
		}
		p.add([]Item{item}, 10, "", 0)
		var got Message
		if len(p.Pending) > 0 {
			got = p.Pending[0]
		}
		if got.Revision != of.revision || got.Delta != of.delta || len(p.Pending) > 1 || len(p.Rejected) > 0 {
			t.Errorf("%s: %+v, want revision %d and %d more", name, p, of.revision, of.delta)
		}
	}
	p := &page{Pending: []Message{{Item: Item{ID: "a", Value: 5}, Revision: 1}}}
	if p.add([]Item{{ID: "now", Value: 8, Former: []string{"a"}}}, 10, "", 0); len(p.Pending) != 1 {
		t.Errorf("what is on its way under a former id is not awaited: %+v", p)
	}
}
