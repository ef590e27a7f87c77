package billing_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// acme may use 2 invocations in each month.
var acme = billing.Account{
	ID:        "acme",
	Allowance: quota.Allowance{Quota: 2, Hard: true},
	Price:     usage.Price{Plan: "free", Included: 2, Currency: "USD"},
	Projects:  slices.Values([]billing.Project(nil)),
}

// catalogue is a configuration with one organization and no exporters.
type catalogue struct{}

func (catalogue) Loaded() bool                        { return true }
func (catalogue) Accounts() iter.Seq[billing.Account] { return slices.Values([]billing.Account{acme}) }
func (catalogue) Sinks() []usage.Sink                 { return nil }
func (catalogue) Regions() []string                   { return []string{"eu-west-1"} }

func (catalogue) DefaultPrice() usage.Price { return usage.Price{Included: -1, Currency: "USD"} }

// An engine counts three requests, the last of which its organization has no unit for.
func Example() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	engine := billing.NewEngine(dir)
	if err := engine.Start(billing.Settings{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		panic(err)
	}
	defer engine.Close()
	engine.Use(catalogue{})

	subject := metering.Subject{Organization: "acme", Project: "shop", Function: "checkout"}
	for range 3 {
		request := engine.Receive()
		ending := metering.Ending{Status: http.StatusOK}
		if err := request.Take(context.Background(), acme.ID, &acme.Allowance); err != nil {
			fmt.Println("refused:", err)
			request.Refused(metering.Subject{Organization: "acme", Project: "shop"}, http.StatusPaymentRequired)
		} else if err := request.Send(&billing.Dispatch{Subject: subject, Region: "eu-west-1"}); err != nil {
			fmt.Println("not sent:", err)
		} else {
			fmt.Println("sent") // here it is
		}
		if err := request.Finish(ending); err != nil {
			fmt.Println("the end is not recorded:", err)
		}
	}
	answer, err := engine.Quota(context.Background(), "acme")
	if err != nil {
		panic(err)
	}
	q := answer.Organizations[0]
	fmt.Println(q.Used, "of", *q.Limit, q.State)
	// Output:
	// sent
	// sent
	// refused: the quota is used up
	// 2 of 2 restricted
}
