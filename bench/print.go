package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report is the sections of one run.
type report struct {
	Sections []*section `json:"sections"`
}

// print writes the tables for a terminal.
func (r *report) print(w io.Writer) {
	for i, s := range r.Sections {
		if i == 0 {
			fmt.Fprintf(w, "%s\n", s.Machine)
		}
		fmt.Fprintf(w, "\n%s: %s (median of %d%s)\n", s.Name, s.Title, s.Rounds, pick(s.Quick, "; a smoke run, not a measurement", ""))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, m := range s.Metrics {
			c := m.cells()
			fmt.Fprintf(t, "  %s\n", strings.Join(c[:], "\t"))
		}
		t.Flush()
		for _, n := range s.Notes {
			fmt.Fprintf(w, "  %s\n", n)
		}
	}
}

// cells of a row: name, median with unit, range, must, goal, verdict.
func (m *metric) cells() [6]string {
	c := [6]string{m.Name, "unknown", "", "", "", strings.ReplaceAll(m.verdict(), "**", "")}
	if len(m.Samples) > 0 {
		median, low, high := m.spread()
		c[1] = strings.TrimSpace(figure(median) + " " + m.Unit)
		c[2] = figure(low) + "–" + figure(high)
	}
	if m.Must != nil {
		c[3] = "must " + m.Must.String()
	}
	if m.Goal != nil {
		c[4] = "goal " + m.Goal.String()
	}
	return c
}
