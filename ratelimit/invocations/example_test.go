package invocations_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

func Example() {
	dir, err := os.MkdirTemp("", "ledger-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer ledger.Close()
	subject, err := ledger.Subject(metering.Subject{Organization: "acme", Project: "shop", Function: "pay"})
	if err != nil {
		panic(err)
	}
	region, err := ledger.Region("eu-central-1")
	if err != nil {
		panic(err)
	}
	call := metering.Invocation{Subject: subject, Region: region, At: ledger.Now()}
	record, err := ledger.Admit(call)
	if err != nil {
		panic(err)
	}
	if err := ledger.Done(record, call, metering.Ending{Status: 502, Attempts: 2, Duration: 3 * time.Second}); err != nil {
		panic(err)
	}

	status, err := invocations.ParseStatuses("5xx")
	if err != nil {
		panic(err)
	}
	answer, err := invocations.List(context.Background(), ledger.RecordLogs(), nil, invocations.Query{Status: status, Slow: time.Second, Limit: 20})
	if err != nil {
		panic(err)
	}
	for _, i := range answer.Invocations {
		fmt.Println(*i.ProjectRef, *i.Function, *i.Region, *i.Status, *i.ExecutionTimeMS, *i.Attempts)
	}
	// Output: shop pay eu-central-1 502 3000 2
}
