package quota_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// An organization may use three units in a month. The first one is returned, since
// its invocation was not sent.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer ledger.Close()
	manager := quota.NewManager(ledger, quota.NewEmbedded(dir, time.Now))
	defer manager.Close(context.Background())

	allowance := &quota.Allowance{Quota: 3, Hard: true}
	for i := range 5 {
		unit, err := manager.Take(context.Background(), "acme", allowance)
		if errors.Is(err, quota.ErrExhausted) {
			fmt.Println("402: the quota is used up")
			continue
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(unit.Remaining, "of", unit.Limit, "are left")
		if i == 0 {
			unit.Return()
			continue
		}
		subject, err := ledger.Subject(metering.Subject{Organization: "acme", Project: "shop", Function: "hello"})
		if err != nil {
			panic(err)
		}
		if _, err := ledger.Admit(metering.Invocation{Subject: subject, At: unit.At}); err != nil {
			panic(err)
		}
	}
	// Output:
	// 2 of 3 are left
	// 2 of 3 are left
	// 1 of 3 are left
	// 0 of 3 are left
	// 402: the quota is used up
}
