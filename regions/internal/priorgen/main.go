// Command priorgen writes the Go source of the built-in table of expected round
// trips between regions from a CSV matrix of milliseconds. It decides how the
// numbers are stored and refuses a matrix that cannot be a table of round
// trips; what the numbers are used for is package regions' business. The data
// itself is not part of this repository. From its root:
//
//	go run ./regions/internal/priorgen -in ../data/rtt14.csv -out regions/geo/prior_rtt.go
//
// or, with the path in the environment, PRIOR_CSV=../../data/rtt14.csv go generate ./regions/geo.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "priorgen:", err)
		os.Exit(1)
	}
}

// run reads -in and writes -out. The output is left alone on any error.
func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("priorgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	in := flags.String("in", "", "CSV matrix of round trips in milliseconds")
	out := flags.String("out", "", "Go file to write")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("parsing arguments: %w", err)
	}
	if *in == "" || *out == "" {
		return fmt.Errorf("both -in FILE and -out FILE are needed")
	}
	data, err := os.ReadFile(*in)
	if err != nil {
		return fmt.Errorf("reading the matrix: %w", err)
	}
	table, err := parse(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("parsing %s: %w", *in, err)
	}
	source, err := render(table)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*out, source, 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}
