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
	settled, err := lines.store.Settled()
	if err != nil {
		return BillAnswer{}, err
	}
	answer := BillAnswer{Organizations: []OrganizationBill{}}
	for c, err := range lines.store.Charges(lines.want) {
		l := &c.Line
		if err != nil {
			return BillAnswer{}, err
		}
		last := len(answer.Organizations) - 1
		if last < 0 || !answer.Organizations[last].covers(l) {
			p, _, _ := lines.cycles.Named(l.AccountID, l.Period)
			answer.Organizations = append(answer.Organizations, OrganizationBill{ID: l.AccountID, Period: periodOf(p), State: usage.Final})
			last++
			if settled.Before(p.End) { // more may be used
				answer.Organizations[last].State = usage.Provisional
			}
		}
		answer.Organizations[last].add(&c)
	}
	return answer, nil
}

// covers reports whether a line item belongs on the bill.
func (b *OrganizationBill) covers(l *usage.Line) bool {
	return b.ID == l.AccountID && b.Period.ID == l.Period && b.Currency == l.Currency
}

// add adds a line item with its price, which is later than those before.
func (b *OrganizationBill) add(l *usage.Charge) {
	b.Plan, b.Included, b.Currency = l.Plan, l.Included, l.Currency
	b.Invocations += l.Quantity
	b.Over += l.OverageQuantity
	b.Packages += l.Packages
	b.AmountMinor = usage.AddAmounts(b.AmountMinor, l.AmountMinor)
	b.Amount = usage.Decimal(b.AmountMinor, b.Currency)
	if l.State == usage.Provisional {
		b.State = usage.Provisional
	}
	last := len(b.Terms) - 1
	if last < 0 || b.Terms[last].PlanRev != l.PlanRev {
		b.Terms = append(b.Terms, BillTerm{
			From:     l.WindowStart,
			Plan:     l.Plan,
			PlanRev:  l.PlanRev,
			Included: l.Included,
			Package:  l.Package,
			Price:    usage.Decimal(l.Minor, l.Currency),
		})
		last++
	}
	b.Terms[last].add(&l.Line, b.Currency)
}

// add adds a line item of the term.
func (t *BillTerm) add(l *usage.Line, currency string) {
	t.Invocations += l.Quantity
	t.Packages += l.Packages
	t.AmountMinor = usage.AddAmounts(t.AmountMinor, l.AmountMinor)
	t.Amount = usage.Decimal(t.AmountMinor, currency)
}
