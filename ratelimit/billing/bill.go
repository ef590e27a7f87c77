package billing

import (
	"context"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Bill brings the line items up to date and returns what organizations have to pay.
func (e *Engine) Bill(ctx context.Context, q Query) (BillAnswer, error) {
	lines, err := e.Select(ctx, q)
	if err != nil {
		return BillAnswer{}, err
	}
	answer := BillAnswer{Organizations: []OrganizationBill{}}
	for l, err := range lines.store.Lines(lines.want) {
		if err != nil {
			return BillAnswer{}, err
		}
		last := len(answer.Organizations) - 1
		if last < 0 || !answer.Organizations[last].covers(&l) {
			p, _, _ := lines.cycles.Named(l.AccountID, l.Period)
			answer.Organizations = append(answer.Organizations, OrganizationBill{ID: l.AccountID, Period: periodOf(p), State: usage.Final})
			last++
		}
		answer.Organizations[last].add(&l)
	}
	return answer, nil
}

// covers reports whether a line item belongs on the bill.
func (b *OrganizationBill) covers(l *usage.Line) bool {
	return b.ID == l.AccountID && b.Period.ID == l.Period && b.Currency == l.Currency
}

// add adds a line item, which is later than those before.
func (b *OrganizationBill) add(l *usage.Line) {
	b.Plan, b.Included, b.Currency = l.Plan, l.Included, l.Currency
	b.Invocations += l.Quantity
	b.Over += l.OverageQuantity
	b.Packages += l.Packages
	b.AmountMinor = usage.AddAmounts(b.AmountMinor, l.AmountMinor)
	b.Amount = usage.Decimal(b.AmountMinor, b.Currency)
	if l.State == usage.Provisional {
		b.State = usage.Provisional
	}
}
