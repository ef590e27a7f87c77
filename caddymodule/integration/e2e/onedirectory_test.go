//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Two gateways have one directory, and no Redis. Reconciling through either finds no difference, and an adjustment through either
// goes by what both counted.
func TestOneDirectoryReconciled(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore embedded " + t.TempDir() + "\n" + smallPlan, project: "\t\t\torganization acme\n\t\t\tplan small",
	}
	gateways := []*gateway{startGateway(t, c), startGateway(t, c)}
	month := time.Now().UTC().Format("2006-01")
	for i, calls := range []int{4, 3} {
		for range calls {
			res, err := http.Get(gateways[i].url + "/functions/v1/ok")
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("gateway %d: status %d, %v", i+1, res.StatusCode, err)
			}
		}
	}
	for _, g := range gateways {
		g.command(t, "usage", "bill") // has it bring its part of the lines up to date
	}
	for _, g := range gateways {
		reconciled(t, g, month)
	}
	total := 7
	for i, units := range []int{-2, -4, 5} {
		said := gateways[i%2].command(t, "usage", "adjust", "acme", fmt.Sprint(units), "--project", "default", "--function", "ok",
			"--region", "eu-central-1", "--reason", "a client ran amok", "--operator", "ada")
		if want := fmt.Sprintf("acme is billed %d invocations in %s now, %d before", total+units, month, total); !strings.Contains(said, want) {
			t.Errorf("it says %q, want %q", said, want)
		}
		total += units
	}
	for _, g := range gateways {
		reconciled(t, g, month)
	}
}
