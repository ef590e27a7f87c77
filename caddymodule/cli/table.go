package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
)

// none stands in a cell for what is not known or not measured.
const none = "-"

type statusAnswer struct {
	gateway.Status
	terminal terminal
}

func (a *statusAnswer) complete() bool { return a.Version != "" && a.Regions != nil }

func (a *statusAnswer) table(out io.Writer, now time.Time) {
	w := new(bytes.Buffer)
	defer func() { _, _ = io.WriteString(out, a.terminal.coloured(a.terminal.fitted(w.String(), valueColumn))) }()
	rows := [][]string{{"Version", a.Version}}
	if a.Gateway != "" {
		rows = append(rows, []string{"Gateway", gatewayName(a.Gateway, a.Host)})
	}
	rows = append(rows, [][]string{
		{"Location", location(a.Location)},
		{"Projects", projectsLine(a.Projects, now)},
	}...)
	if a.Projects.Error != nil {
		rows = append(rows, []string{"", "the latest is not in force: " + strings.ReplaceAll(*a.Projects.Error, "\n", "; ")})
	}
	if n := a.Projects.ProblemsTotal; n > 0 {
		rows = append(rows, []string{"", plural(n, "problem") + "; -o json lists them"})
	}
	if a.Store != nil {
		rows = append(rows, []string{"Store", fmt.Sprintf("%s %s, %s", a.Store.Kind, a.Store.Location, reasoned(a.Store.State, a.Store.Error))})
	}
	if a.Health.Reasons != nil { // a gateway of an older build does not say
		rows = append(rows, []string{"Health", healthText(a.Health)})
	}
	write(w, append(rows, []string{"WebSockets", fmt.Sprintf("%d open", a.Sockets)}))
	rows = make([][]string, 0, 1+len(a.Regions))
	rows = append(rows, append(regionHead(), "BACKENDS"))
	for _, r := range a.Regions {
		rows = append(rows, append(regionCells(r, now), summary(r.Backends)))
	}
	fmt.Fprintln(w)
	write(w, rows)
	writeSources(w, a.Regions, now)
	if len(a.Fleet) > 0 {
		a.writeMatrix(w, now)
	}
	if len(a.Misrouted) > 0 {
		rows := make([][]string, 0, 1+len(a.Misrouted))
		rows = append(rows, []string{"COUNTRY", "CALLS", "NEARER GATEWAY", "REGION", "SAVES"})
		for _, m := range a.Misrouted {
			rows = append(rows, []string{m.Country, strconv.FormatInt(m.Calls, 10), printable(m.Gateway), m.Region, number(&m.Saves, "%.0f ms")})
		}
		fmt.Fprintln(w)
		write(w, rows)
	}
}

// reasoned is a state with why it is entered, where that is known.
func reasoned(state, why string) string {
	if why == "" {
		return state
	}
	return state + ": " + printable(why)
}

// gatewayName is the id of a gateway with the machine that it runs on.
func gatewayName(id, host string) string {
	if host == "" {
		return printable(cmp.Or(id, none))
	}
	return printable(cmp.Or(id, none)) + " on " + printable(host)
}

// valueColumn is where the values of the first lines of status begin.
const valueColumn = len("WebSockets  ")

// writeMatrix shows each gateway's round trips to the regions, and what it does not take
// for up. What is wider than the terminal is shown in several parts, each with as many
// regions as there is room for.
func (a *statusAnswer) writeMatrix(w io.Writer, now time.Time) {
	for from := 0; from == 0 || from < len(a.Regions); {
		to := len(a.Regions)
		var part bytes.Buffer
		for {
			part.Reset()
			write(&part, a.matrix(a.Regions[from:to], now))
			if a.terminal.width == 0 || widest(part.String()) <= a.terminal.width || to <= from+1 {
				break
			}
			to--
		}
		fmt.Fprintln(w)
		_, _ = w.Write(part.Bytes())
		from = max(to, 1)
	}
}

// widest returns the length of the longest line.
func widest(text string) (most int) {
	for line := range strings.Lines(text) {
		most = max(most, utf8.RuneCountInString(strings.TrimRight(line, " \n")))
	}
	return most
}

func (a *statusAnswer) matrix(list []gateway.RegionStatus, now time.Time) [][]string {
	head := append(make([]string, 0, 3+len(list)), "GATEWAY", "LOCATION", "HEARD")
	for _, r := range list {
		head = append(head, r.Region)
	}
	rows := append(make([][]string, 0, 1+len(a.Fleet)), head)
	for _, h := range a.Fleet {
		row := append(make([]string, 0, len(head)), gatewayName(h.Gateway, h.Host), location(h.Location), age(h.At, now)+" ago")
		for _, r := range list {
			seen, ok := h.Regions[r.Region]
			cell := number(seen.RTT, "%.1f ms")
			if ok && seen.State != "up" {
				cell = fmt.Sprintf("%s (%s)", cell, seen.State)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

// projectsLine says where the projects come from, how many there are and since
// when.
func projectsLine(p gateway.StatusProjects, now time.Time) string {
	source := p.Source
	if p.Location != "" {
		source += " " + p.Location
	}
	if p.LoadedAt == nil {
		return source + ", not loaded yet"
	}
	if p.Source == "config" {
		return fmt.Sprintf("%s, loaded %s ago", source, age(*p.LoadedAt, now))
	}
	return fmt.Sprintf("%s: %s with %s, loaded %s ago", source, plural(p.Projects, "project"), plural(p.Functions, "function"), age(*p.LoadedAt, now))
}

type regionsAnswer struct{ gateway.RegionsAnswer }

func (a *regionsAnswer) complete() bool { return a.Regions != nil }

func (a *regionsAnswer) table(w io.Writer, now time.Time) {
	rows := [][]string{append(regionHead(), "BACKEND", "STATE")}
	for _, r := range a.Regions {
		cells := regionCells(r, now)
		if len(r.Backends) == 0 {
			rows = append(rows, append(cells, none, none))
		}
		for i, b := range r.Backends {
			if i > 0 {
				cells = make([]string, len(cells)) // said once a region
			}
			state := reasoned(phased(b.State, b.Phase), b.Why)
			if b.Phase == regions.PhaseLeaving {
				state += fmt.Sprintf(", %d in flight", b.InFlight)
			} else if len(r.Sources) > 0 && b.Weight > 0 {
				state += fmt.Sprintf(", weight %.2f", b.Weight)
			}
			rows = append(rows, append(slices.Clone(cells), printable(b.Address), state))
		}
	}
	write(w, rows)
	writeSources(w, a.Regions, now)
}

// phased is the state of a backend, and its phase unless it serves.
func phased(state regions.State, phase regions.Phase) string {
	if phase == "" {
		return string(state)
	}
	return fmt.Sprintf("%s, %s", state, phase)
}

// writeSources says where the backends of regions come from, unless all are fixed.
func writeSources(w io.Writer, list []gateway.RegionStatus, now time.Time) {
	rows := [][]string{{"REGION", "BACKENDS FROM", "LISTED", "AGE", "PROBLEM"}}
	for _, r := range list {
		for _, s := range r.Sources {
			listed := none
			if s.ListedAt != nil {
				listed = age(*s.ListedAt, now)
			}
			rows = append(rows, []string{r.Region, printable(s.Source), strconv.Itoa(s.Backends), listed, cmp.Or(printable(s.Error), printable(s.Incomplete), none)})
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w)
		write(w, rows)
	}
}

func regionHead() []string { return []string{"REGION", "STATE", "SINCE", "RTT", "LOAD"} }

func regionCells(r gateway.RegionStatus, now time.Time) []string {
	return []string{r.Region, string(r.State), age(r.Since, now), number(r.RTT, "%.1f ms"), number(r.Load, "%.2f")}
}

// location says where the gateway is and how that is known.
func location(l fleet.Location) string {
	place := l.Region
	if place == "" && l.Coordinates != nil {
		place = fmt.Sprintf("%g %g", l.Coordinates[0], l.Coordinates[1])
	}
	if place == "" {
		return string(l.Source)
	}
	return fmt.Sprintf("%s (%s)", place, l.Source)
}

// summary counts backends by state, in the order in which states first come.
func summary(backends []gateway.BackendStatus) string {
	var states []string
	count := make(map[string]int)
	for _, b := range backends {
		state := string(b.State)
		if b.Phase != "" {
			state = string(b.Phase)
		}
		if count[state]++; count[state] == 1 {
			states = append(states, state)
		}
	}
	if len(states) == 0 {
		return none
	}
	for i, state := range states {
		states[i] = fmt.Sprintf("%d %s", count[state], state)
	}
	return strings.Join(states, ", ")
}

func number(value *float64, format string) string {
	if value == nil {
		return none
	}
	return fmt.Sprintf(format, *value)
}

// age is how long ago since was, in its two largest units. Clocks of two
// machines differ, so what lies in the future is now.
func age(since, now time.Time) string {
	if since.IsZero() {
		return none
	}
	d := max(now.Sub(since), 0)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
}

// write aligns the cells of rows in columns. w is a buffer of this package,
// so there are no errors to tell.
func write(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush()
}
