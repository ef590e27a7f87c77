//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/integration/testclock"
)

// priceTerms are the terms of an organization whose plan sells packages of two.
type priceTerms struct {
	included int
	price    string
	capped   bool
}

func (p priceTerms) options() string {
	spendCap := "off"
	if p.capped {
		spendCap = "on"
	}
	return fmt.Sprintf("\t\tplan small {\n\t\t\tquota %d\n\t\t\toverage %s per 2\n\t\t\tspend_cap %s\n\t\t}", p.included, p.price, spendCap)
}

// termsStep is a configuration that is loaded at a time of the day, unless it is in force, and calls that are made then.
type termsStep struct {
	at    string
	terms priceTerms
	calls int
}

// soldTerm is a term as a bill has it.
type soldTerm struct {
	Included    int64     `json:"included"`
	Invocations int64     `json:"invocations"`
	Packages    int64     `json:"packages"`
	Amount      string    `json:"amount"`
	From        time.Time `json:"from"`
}

// Contract 7.9: the examples of docs/billing.md, by a gateway whose clock is set. Reloads change the terms from the first whole minute
// on that is 60 s away; what ran while nothing was sold, in grace, stays unsold, and what was sold stays sold.
func TestTermsChangeByReload(t *testing.T) {
	file, err := shifted()
	if err != nil {
		t.Fatal(err)
	}
	sold, capped := priceTerms{3, "1.00", false}, priceTerms{3, "1.00", true}
	for name, tt := range map[string]struct {
		steps  []termsStep
		want   []soldTerm // without From
		begins []string   // of the terms after the first
		total  string
	}{
		"cap off for a while": {
			[]termsStep{{"14:10:00", capped, 5}, {"14:20:10", sold, 0}, {"14:22:05", sold, 4}, {"14:40:10", capped, 0}, {"14:42:05", capped, 7}},
			[]soldTerm{{3, 5, 0, "0.00", time.Time{}}, {3, 4, 2, "2.00", time.Time{}}, {3, 7, 0, "0.00", time.Time{}}},
			[]string{"14:22", "14:42"},
			"2.00",
		},
		"downgrade at the end of an hour": {
			[]termsStep{{"14:50:00", sold, 4}, {"14:59:10", capped, 2}, {"15:00:40", capped, 2}, {"15:01:05", capped, 9}},
			[]soldTerm{{3, 8, 3, "3.00", time.Time{}}, {3, 9, 0, "0.00", time.Time{}}},
			[]string{"15:01"},
			"3.00",
		},
		"quota raised and lowered": {
			[]termsStep{
				{"14:10:00", sold, 4},
				{"14:20:10", priceTerms{6, "1.00", false}, 0},
				{"14:22:05", priceTerms{6, "1.00", false}, 3},
				{"14:40:10", priceTerms{1, "1.00", false}, 0},
				{"14:42:05", priceTerms{1, "1.00", false}, 3},
			},
			[]soldTerm{{3, 4, 1, "1.00", time.Time{}}, {6, 3, 1, "1.00", time.Time{}}, {1, 3, 2, "2.00", time.Time{}}},
			[]string{"14:22", "14:42"},
			"4.00",
		},
		"price changed": {
			[]termsStep{{"14:10:00", sold, 6}, {"14:20:10", priceTerms{3, "3.00", false}, 0}, {"14:22:05", priceTerms{3, "3.00", false}, 3}},
			[]soldTerm{{3, 6, 2, "2.00", time.Time{}}, {3, 3, 1, "3.00", time.Time{}}},
			[]string{"14:22"},
			"5.00",
		},
		"cap off and on within a minute": {
			[]termsStep{
				{"14:10:00", capped, 3},
				{"14:30:01", sold, 1},
				{"14:30:20", capped, 1},
				{"14:32:05", capped, 2},
				{"14:33:05", capped, 4},
			},
			[]soldTerm{{3, 5, 0, "0.00", time.Time{}}, {3, 2, 1, "1.00", time.Time{}}, {3, 4, 0, "0.00", time.Time{}}},
			[]string{"14:32", "14:33"},
			"1.00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWitness(t)
			c := config{
				backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
				project: "\t\t\torganization acme\n\t\t\tplan small\n\t\t\tgrace 24h",
			}
			// The day after tomorrow is not of another period than its neighbours, unless it is the first.
			day := time.Now().UTC().AddDate(0, 0, 2).Truncate(24 * time.Hour)
			if day.Day() == 1 {
				day = day.AddDate(0, 0, 1)
			}
			clock := testclock.New(t, 0)
			set := func(at string) {
				t.Helper()
				of, err := time.Parse(time.TimeOnly, at)
				if err != nil {
					t.Fatal(err)
				}
				clock.Set(time.Until(day.Add(of.Sub(of.Truncate(24 * time.Hour)))))
			}
			set(tt.steps[0].at)
			g := prepareGateway(t)
			g.file, g.environment = file, []string{clock.Environment()}
			c.options = tt.steps[0].terms.options()
			g.start(t, c.caddyfile(g.port, g.admin))
			bill := func() (amount string, terms []soldTerm) {
				t.Helper()
				var answer struct {
					Organizations []struct {
						Amount string     `json:"amount"`
						Terms  []soldTerm `json:"terms"`
					} `json:"organizations"`
				}
				text := g.command(t, "usage", "bill", "-o", "json")
				if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Organizations) != 1 {
					t.Fatalf("%v %s", err, text)
				}
				return answer.Organizations[0].Amount, answer.Organizations[0].Terms
			}
			for i, s := range tt.steps {
				set(s.at)
				if i > 0 && s.terms != tt.steps[i-1].terms {
					c.options = s.terms.options()
					if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
						t.Fatalf("%d %s", status, body)
					}
					bill() // it is told to the store
				}
				for range s.calls {
					res, err := http.Get(g.url + "/functions/v1/ok")
					if err != nil {
						t.Fatal(err)
					}
					res.Body.Close()
					if res.StatusCode != http.StatusOK {
						t.Fatalf("at %s it is answered %d", s.at, res.StatusCode)
					}
				}
			}
			amount, terms := bill()
			var begins []string
			for i := range terms {
				if i > 0 {
					begins = append(begins, terms[i].From.UTC().Format("15:04"))
				}
				terms[i].From = time.Time{}
			}
			if amount != tt.total || !slices.Equal(terms, tt.want) || !slices.Equal(begins, tt.begins) {
				t.Errorf("%s, %+v, from %v, want %s, %+v, from %v", amount, terms, begins, tt.total, tt.want, tt.begins)
			}
		})
	}
}
