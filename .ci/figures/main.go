// Command figures draws the figures of docs by running what they show: how far
// requests run beyond the nearest region, by the way in which regions are
// chosen.
//
//	go run . [-check] DOCS
//
// With -check nothing is written: the exit code is 1 if a figure would change.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"time"

	"github.com/edgegate/edgegate/routing/simulation"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	draw2d "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figures are the scenarios that are drawn.
var figures = []struct{ scenario, file, title string }{
	{"normal", "extra-rtt-gateway.svg", "nearest gateway: round trip beyond the region nearest to the gateway"},
	{"client", "extra-rtt-client.svg", "nearest client: round trip beyond the region nearest to the client"},
}

// lines are the colours of the policies (Okabe and Ito's, which colour-blind
// people can tell apart), in the order of simulation.Policies.
var lines = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {230, 159, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {86, 180, 233, 255}, {0, 0, 0, 255},
}

// most is where the figures end.
const most = 300 * time.Millisecond

func main() {
	check := flag.Bool("check", false, "write nothing, fail if a figure would change")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: figures [-check] DOCS")
		os.Exit(2)
	}
	for _, f := range figures {
		if err := draw(f.scenario, f.title, filepath.Join(flag.Arg(0), f.file), *check); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", f.file, err)
			os.Exit(1)
		}
	}
}

func draw(scenario, title, file string, check bool) error {
	s, err := simulation.Load(scenario)
	if err != nil {
		return err
	}
	cities, err := simulation.BuiltInCities()
	if err != nil {
		return err
	}
	results, err := simulation.RunAll(s, cities)
	if err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = "ms", "part of the requests at most so far beyond (%)"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(most/time.Millisecond), 0, 101
	p.Legend.Left = false
	p.Add(plotter.NewGrid())
	for i, r := range results {
		line, err := plotter.NewLine(distribution(r.Extra))
		if err != nil {
			return err
		}
		line.Color, line.Width = lines[i], vg.Points(2)
		if r.Policy == simulation.PolicyOracle {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(4)}
		}
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%s (mean %.1f ms)", r.Policy, r.MeanExtra), line)
	}
	canvas := vgsvg.New(18*vg.Centimeter, 11*vg.Centimeter)
	p.Draw(draw2d.New(canvas))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	if !check {
		return os.WriteFile(file, svg.Bytes(), 0o644) //nolint:gosec // a document, for all to read
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(committed, svg.Bytes()) {
		return errors.New("is not what the simulation says now: run `make figures`, and correct docs/simulation.md")
	}
	return nil
}

// distribution has, for each millisecond, how many percent of the sorted extra
// times are not above it.
func distribution(extra []time.Duration) plotter.XYs {
	var points plotter.XYs
	n := 0
	for at := time.Duration(0); at <= most; at += time.Millisecond {
		for n < len(extra) && extra[n] <= at {
			n++
		}
		points = append(points, plotter.XY{X: float64(at / time.Millisecond), Y: 100 * float64(n) / float64(len(extra))})
	}
	return points
}
