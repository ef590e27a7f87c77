package usage

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// soldRule is the Rule of entries whose overage is what Price.Sell says. Without it,
// an entry was written by an earlier build, which counted everything beyond the
// included units as overage, sold or not.
const soldRule = 1

// sale returns what the line adds to the bill.
func (e *entry) sale() Sale {
	after := e.after()
	if e.Rule >= soldRule {
		sale, _ := e.Price.Sell(Reading{Used: e.Before, Sold: e.Sold}, after)
		return sale
	}
	packages := e.Price.Packages(after) - e.Price.Packages(e.Before)
	return Sale{
		Packages: packages,
		Overage:  e.Price.Over(after) - e.Price.Over(e.Before),
		Amount:   e.Price.cost(packages),
	}
}

// reading returns the position in the period after the line.
func (e *entry) reading() Reading {
	if e.Rule >= soldRule {
		_, at := e.Price.Sell(Reading{Used: e.Before, Sold: e.Sold}, e.after())
		return at
	}
	return Reading{Used: e.after(), Sold: e.Price.Over(e.after())}
}

// earlier returns the key of the first line if an earlier build counted overage by
// another rule, otherwise from. A bill that is final keeps what it says.
func (u *update) earlier(from []byte) ([]byte, error) {
	if u.closed {
		return from, nil
	}
	cursor := u.bucket.Cursor()
	k, v := cursor.First()
	for k != nil && !isLine(k) {
		k, v = cursor.Next()
	}
	if k == nil || bytes.Compare(k, from) >= 0 {
		return from, nil
	}
	var first entry
	if err := json.Unmarshal(v, &first); err != nil {
		return nil, fmt.Errorf("reading the line %x: %w", k, err)
	}
	if first.Rule >= soldRule {
		return from, nil
	}
	return bytes.Clone(k), nil
}
