package usage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
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

// agreed returns the price of a provisional line: that of the term in which it
// starts. Without terms it is the current one until the hour ends, then the one that
// was in force. before is the line before it, nil for the first.
func (u *update) agreed(start time.Time, e, before *entry) Price {
	term, ok := u.terms.at(start)
	switch {
	case ok && !term.From.IsZero():
		return term.Price
	case u.known && u.now.Before(time.Unix(e.End, 0)):
		if ok {
			return term.Price
		}
		return u.price
	case e.Price != (Price{}): // the price when its hour ended
		return e.Price
	case before != nil: // the line is new, its hour is not
		return before.Price
	case ok:
		return term.Price
	}
	if u.price == (Price{}) {
		return unknownPrice
	}
	return u.price
}

// startOf returns the start of the line with a key in its bucket.
func startOf(key []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(key)), 0).UTC()
}

// end returns where a line ends: with its hour, or where a new term begins in it.
func (u *update) end(k *Key) time.Time {
	if next, ok := u.terms.Next(k.Start); ok && next.Before(k.End) {
		return next
	}
	return k.End
}
