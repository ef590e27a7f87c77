package metering_test

import (
	"fmt"
	"os"
	"time"

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

	subject, err := ledger.Subject(metering.Subject{Organization: "acme", Project: "default", Function: "hello"})
	if err != nil {
		panic(err)
	}
	region, err := ledger.Region("eu-central-1")
	if err != nil {
		panic(err)
	}
	invocation := metering.Invocation{Subject: subject, Region: region, At: ledger.Now()}
	record, err := ledger.Admit(invocation) // before the first byte is sent
	if err != nil {
		panic(err)
	}
	if err := ledger.Done(record, invocation, metering.Ending{Status: 200, Attempts: 1, Duration: 20 * time.Millisecond}); err != nil {
		panic(err)
	}

	sums, err := ledger.Usage()
	if err != nil {
		panic(err)
	}
	for _, sum := range sums {
		if sum.Span == metering.Monthly {
			fmt.Println(sum.Organization, sum.Function, sum.Region, sum.Invocations, sum.Completed)
		}
	}
	// Output: acme hello eu-central-1 1 1
}
