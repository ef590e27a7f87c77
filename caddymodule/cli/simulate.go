package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/routing/simulation"
)

func simulateCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "simulate",
		Usage: "[SCENARIO] [--rtt FILE.csv] [-o table|json]",
		Short: "Shows how well regions are chosen, against other ways to choose",
		Long: `Plays requests of clients all over the world on a virtual clock, with regions
that fail as the scenario says, through the same code that chooses regions in a
gateway, and then through other ways to choose. No gateway is needed, nothing is
sent, and the same call gives the same figures.

SCENARIO is a file that ends in .yaml or .yml, - for standard input, or the name
of one that comes with edgegate, of which all are played without it:
` + strings.Join(simulation.Names(), ", ") + `.

--rtt is the truth to be judged by: a file of measured round trips in CSV,
city,country,lat,lon,REGION,... with milliseconds, a line for each city. Without
it the truth is what edgegate expects itself.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("simulate", "", " blackhole", " scenario.yaml --rtt cities.csv -o json")
			cmd.DisableFlagsInUseLine = true // they are all in Usage
			var name string
			rtt := cmd.Flags().String("rtt", "", "a CSV file of measured round trips from cities to regions")
			output := outputFlag(cmd, "json: more figures")
			Run(cmd, func(context.Context) error {
				if err := checkOutput(*output); err != nil {
					return err
				}
				return simulate(cmd, name, *rtt, *output == "json")
			}, Arg{Name: "SCENARIO", Value: &name, Optional: true})
		},
	}
}

// simulated is a scenario with what came of it, the JSON of -o json.
type simulated struct {
	Scenario string               `json:"scenario"`
	About    string               `json:"about,omitempty"`
	Results  []*simulation.Result `json:"results"`
}

func simulate(cmd *cobra.Command, name, rtt string, asJSON bool) error {
	scenarios, err := scenariosOf(name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	cities, err := citiesOf(rtt)
	if err != nil {
		return err
	}
	all := make([]simulated, 0, len(scenarios))
	for i, s := range scenarios {
		results, err := simulation.RunAll(s, cities)
		if err != nil {
			return &FailureError{Msg: fmt.Sprintf("scenario %s: %v", s.Name, err), Hint: "`regions` of a scenario file says which are played"}
		}
		all = append(all, simulated{Scenario: s.Name, About: s.About, Results: results})
		if !asJSON { // each as soon as it is there: all of them take a minute
			var text bytes.Buffer
			if i > 0 {
				text.WriteByte('\n')
			}
			all[i].table(&text)
			if err := show(cmd, text.Bytes()); err != nil {
				return err
			}
		}
	}
	if asJSON {
		return showJSON(cmd, map[string]any{"scenarios": all})
	}
	return nil
}

// scenariosOf returns the scenario of a file or a name, all that have a name
// for "".
func scenariosOf(name string, input io.Reader) ([]*simulation.Scenario, error) {
	names := []string{name}
	switch extension := filepath.Ext(name); {
	case name == "":
		names = simulation.Names()
	case name == "-" || extension == ".yaml" || extension == ".yml":
		return readScenario(name, input)
	}
	scenarios := make([]*simulation.Scenario, len(names))
	for i, name := range names {
		s, err := simulation.Load(name)
		if err != nil {
			return nil, &UsageError{Msg: err.Error(), Hint: "files end in .yaml or .yml"}
		}
		scenarios[i] = s
	}
	return scenarios, nil
}

func readScenario(name string, input io.Reader) ([]*simulation.Scenario, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &FailureError{Msg: fmt.Sprintf("reading the scenario: %v", err), Hint: "`edgegate simulate --help` lists those that need no file"}
		}
		defer file.Close()
		input = file
	}
	s, err := simulation.ReadScenario(input)
	if err != nil {
		return nil, &FailureError{Msg: located(name, err), Hint: "docs/simulation.md lists the fields and what they may be"}
	}
	return []*simulation.Scenario{s}, nil
}

// located writes each error of a file as FILE:LINE: what.
func located(name string, err error) string {
	problems := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		problems = joined.Unwrap()
	}
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = name + ": " + problem.Error()
		if e, ok := errors.AsType[*simulation.ScenarioError](problem); ok {
			texts[i] = fmt.Sprintf("%s:%d: %s", name, e.Line, e.Reason())
		}
	}
	return strings.Join(texts, "; ")
}

func citiesOf(file string) ([]simulation.City, error) {
	if file == "" {
		return simulation.BuiltInCities()
	}
	opened, err := os.Open(file)
	if err != nil {
		return nil, &FailureError{Msg: fmt.Sprintf("--rtt: %v", err), Hint: "it is a CSV file of measured round trips"}
	}
	defer opened.Close()
	cities, err := simulation.ReadCities(opened)
	if err != nil {
		return nil, &FailureError{Msg: fmt.Sprintf("--rtt %s: %v", file, err), Hint: "the first line is city,country,lat,lon,REGION,..., every other one a city"}
	}
	return cities, nil
}

func (s *simulated) table(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", printable(s.Scenario), printable(s.About))
	rows := append(make([][]string, 0, 1+len(s.Results)), []string{
		"POLICY", "J", "MEAN EXTRA", "P95 EXTRA", "WRONG", "FAILED", "NAMED FAILED", "RE-ROUTED", "DETECTED IN", "MISSED", "FLAPS", "SPIKE",
	})
	for _, r := range s.Results {
		detected, spike := none, none
		if r.Detected > 0 {
			detected = fmt.Sprintf("%.1f s", r.DetectMean/1000)
		}
		if r.Spike > 0 {
			spike = fmt.Sprintf("%.2f", r.Spike)
		}
		rows = append(rows, []string{
			string(r.Policy), fmt.Sprintf("%.1f", r.J), fmt.Sprintf("%.1f ms", r.MeanExtra), fmt.Sprintf("%.1f ms", r.P95Extra),
			fmt.Sprintf("%.1f%%", 100*r.Wrong), fmt.Sprintf("%d of %d", r.Failed, r.Automatic), fmt.Sprintf("%d of %d", r.NamedFailed, r.Named),
			strconv.Itoa(r.Rerouted), detected, strconv.Itoa(r.Missed), strconv.Itoa(r.Flaps), spike,
		})
	}
	write(w, rows)
}
