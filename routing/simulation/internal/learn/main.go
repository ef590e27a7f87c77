// Command learn writes the built-in table of expected round trips from
// countries to regions, and the populations that the simulation weighs by, as
// Go source. It decides how the numbers are learnt from measured cities; when
// they are used is package regions' business. The data is not part of this
// repository. With the paths of its files in the environment:
//
//	CITIES_CSV=/data/city_rtt.csv COUNTRIES_CSV=/data/population.csv go generate ./regions
//
// With -evaluate it writes nothing but what a table costs that is learnt
// without the cities it is judged by.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/routing/simulation"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "learn:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("learn", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cities := flags.String("cities", "", "CSV of measured cities")
	countries := flags.String("countries", "", "CSV of countries: iso2,iso3,name,population,lat,lon,source of the place")
	table := flags.String("table", "", "Go file of package regions to write: the table")
	holdout := flags.String("holdout", "", "Go file of package regions to write: a table and the cities it was learnt without, for a test")
	populations := flags.String("populations", "", "Go file of package simulation to write: the populations")
	judge := flags.Bool("evaluate", false, "write nothing, print what the table costs on cities it has not seen")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("parsing arguments: %w", err)
	}
	if *cities == "" || *countries == "" {
		return errors.New("both -cities FILE and -countries FILE are needed")
	}
	in, err := read(*cities, *countries)
	if err != nil {
		return err
	}
	if *judge {
		return evaluate(stdout, in)
	}
	outputs := []struct {
		path   string
		render func(*input) ([]byte, error)
	}{{*table, renderTable}, {*holdout, renderHoldout}, {*populations, renderPopulations}}
	for _, output := range outputs {
		if output.path == "" {
			continue
		}
		source, err := output.render(in)
		if err != nil {
			return err
		}
		if err := os.WriteFile(output.path, source, 0o600); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}

// input is everything that is learnt from.
type input struct {
	cities    []simulation.City
	countries []country
	targets   []target // in the order of regions' own table
}

func read(cityPath, countryPath string) (*input, error) {
	var in input
	f, err := os.Open(cityPath)
	if err != nil {
		return nil, fmt.Errorf("reading cities: %w", err)
	}
	defer f.Close()
	if in.cities, err = simulation.ReadCities(f); err != nil {
		return nil, fmt.Errorf("reading cities: %w", err)
	}
	g, err := os.Open(countryPath)
	if err != nil {
		return nil, fmt.Errorf("reading countries: %w", err)
	}
	defer g.Close()
	if in.countries, err = readCountries(g); err != nil {
		return nil, fmt.Errorf("reading countries: %w", err)
	}
	for _, name := range geo.KnownNames() {
		if _, measured := in.cities[0].RTT[name]; measured {
			known, _ := geo.Known(name)
			in.targets = append(in.targets, target{name, known.Coordinates})
		}
	}
	if len(in.targets) == 0 {
		return nil, errors.New("reading cities: none of the regions is a known one")
	}
	return &in, nil
}

// weights returns the people a city of each country stands for. Countries
// without a population weigh nothing.
func (in *input) weights() map[string]float64 {
	cities := make(map[string]float64)
	for i := range in.cities {
		cities[in.cities[i].Country]++
	}
	weights := make(map[string]float64)
	for _, c := range in.countries {
		if cities[c.Code] > 0 {
			weights[c.Code] = float64(c.Population) / cities[c.Code]
		}
	}
	return weights
}

func (in *input) measured(c *simulation.City) []float64 {
	ms := make([]float64, len(in.targets))
	for i, t := range in.targets {
		ms[i] = milliseconds(c, t)
	}
	return ms
}
