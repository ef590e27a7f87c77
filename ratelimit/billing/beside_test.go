package billing

import (
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/quota"
)

// Two gateways have one directory, and no Redis: a hard quota is exact over both, each says that its usage is a part, and the
// bill of either has all. When one has ended, the other says nothing of the kind.
func TestGatewaysOfOneDirectory(t *testing.T) {
	allowance := quota.Allowance{Quota: 10, Hard: true}
	first := newFixture(t, account("acme", allowance, pays))
	second := reopen(t, first.dir, first.clock, account("acme", allowance, pays))
	passed := 0
	for range 10 {
		passed += 2 - first.take(1, allowance) - second.take(1, allowance)
	}
	if passed != 10 {
		t.Errorf("%d passed of a quota of 10", passed)
	}
	const part = "this is what 1 of the 2 gateways counted"
	shown := uint64(0)
	for _, f := range []*fixture{first, second} {
		q, err := f.Quota(t.Context(), "acme")
		if err != nil || !strings.HasPrefix(q.Partial, part) {
			t.Errorf("quota: %q, %v", q.Partial, err)
		}
		u, err := f.Usage(t.Context(), UsageQuery{Query: Query{Organization: "acme"}, Daily: true})
		if err != nil || len(u.Organizations) != 1 || !strings.HasPrefix(u.Partial, part) {
			t.Fatalf("usage: %+v, %v", u, err)
		}
		shown += u.Organizations[0].Invocations
		if q.Organizations[0].Used != u.Organizations[0].Invocations {
			t.Errorf("%d are used, %d were counted", q.Organizations[0].Used, u.Organizations[0].Invocations)
		}
		f.bill(Query{Organization: "acme"})
	}
	if shown != 10 {
		t.Errorf("both show %d in all", shown)
	}
	for _, f := range []*fixture{first, second} {
		if bills := f.bill(Query{Organization: "acme"}); len(bills) != 1 || bills[0].Invocations != 10 {
			t.Errorf("the bill is %+v", bills)
		}
	}
	second.end()
	if q, err := first.Quota(t.Context(), "acme"); err != nil || q.Partial != "" {
		t.Errorf("it is alone: %q, %v", q.Partial, err)
	}
}
