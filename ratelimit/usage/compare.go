package usage

import "time"

// Difference is a line whose part of one log is not what the log's sums say.
type Difference struct {
	Key      Key
	Instance string
	Stored   Source // in the line
	Counted  Source // by the log
}

// more reports whether the line has more than the log counted. Fewer it may have for a
// minute: until the next Update.
func (d *Difference) more() bool {
	s, c := &d.Stored, &d.Counted
	return s.Invocations+s.Voided > c.Invocations+c.Voided || s.Voided > c.Voided || s.Completed > c.Completed || s.Added > c.Added || s.Deducted > c.Deducted
}

// Compare returns the differences between the lines and the sums of some logs. Hours that
// ended before since may be missing in the sums. A line that has less is behind, not
// different. A file that does not say which ledger its lines are of is not compared.
func (b *LineStore) Compare(sums []Sum, logs []string, since time.Time) (all []Difference, err error) {
	type part struct{ group, line, instance string }
	var counted map[part]Source
	ours := make(map[string]bool)
	for _, id := range logs {
		ours[id] = true
	}
	of := func(k *Key, instance string) part {
		return part{string(groupKey(k.Organization, k.Period)), string(b.lineKey(*k)), instance}
	}
	err = b.entries(func(string, string) bool { return b.pinned }, func(k Key, e *entry) error {
		if counted == nil { // which keys are without a ledger is known now
			counted = make(map[part]Source)
			for i := range sums {
				for _, s := range sums[i].Sources {
					p := of(&sums[i].Key, s.Instance)
					total := counted[p]
					total.Add(s)
					counted[p] = total
				}
			}
		}
		for _, s := range e.Sources {
			if !ours[s.Instance] {
				continue
			}
			c, known := counted[of(&k, s.Instance)]
			d := Difference{
				Key:      k,
				Instance: s.Instance,
				Stored:   s,
				Counted:  c,
			}
			if d.more() && (known || !time.Unix(e.End, 0).Before(since)) {
				all = append(all, d)
			}
		}
		return nil
	})
	return all, err
}
