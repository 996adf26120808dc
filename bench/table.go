package main

import (
	"fmt"
	"strings"
	"time"
)

// markdown is the generated part of benchmarks.md.
func (r *report) markdown(plots []plot) string {
	var b strings.Builder
	for _, m := range r.machines() {
		fmt.Fprintf(&b, "**%s** %s.\n\n", m.where, m.machine)
	}
	if r.smoke() {
		b.WriteString("> **Provisional.** What is marked *smoke* comes from `-quick`: short windows, few rounds, small crowds, on a machine that did other work meanwhile. It shows that the benchmark runs, not how fast anything is.\n\n")
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", strings.ToUpper(s.Name[:1])+s.Name[1:], upper(s.Title)+".")
		b.WriteString("| measured | median | range | must | goal | |\n|---|---:|---:|---:|---:|---|\n")
		for _, m := range s.Metrics {
			b.WriteString(m.row())
		}
		fmt.Fprintf(&b, "\n%s%d rounds, %s, %s.", pick(s.Quick, "*Smoke*: ", ""), s.Rounds, s.At.Format(time.DateOnly), time.Duration(s.Took*float64(time.Second)).Round(time.Second))
		for _, n := range s.Notes {
			b.WriteString(" " + n)
		}
		b.WriteString("\n\n")
		for _, p := range plots {
			if p.section == s.Name {
				fmt.Fprintf(&b, "![%s](%s)\n\n", p.chart.title, p.file)
			}
		}
	}
	return b.String()
}

func (m *metric) row() string {
	value, span := "unknown", ""
	if len(m.Samples) > 0 {
		median, low, high := m.spread()
		value = strings.TrimSpace(figure(median) + " " + m.Unit)
		span = figure(low) + "–" + figure(high)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", m.Name, value, span, m.Must, m.Goal, m.verdict())
}

type where struct {
	where   string
	machine machine
}

// machines are the different ones that sections come from, each with the names
// of its sections if there is more than one.
func (r *report) machines() []where {
	var all []where
	for _, s := range r.Sections {
		i := 0
		for i < len(all) && all[i].machine.String() != s.Machine.String() {
			i++
		}
		if i == len(all) {
			all = append(all, where{machine: s.Machine})
		}
		all[i].where += pick(all[i].where == "", "", ", ") + s.Name
	}
	for i := range all {
		all[i].where = pick(len(all) == 1, "Measured on", upper(all[i].where)+":")
	}
	return all
}

func (r *report) smoke() bool {
	for _, s := range r.Sections {
		if s.Quick {
			return true
		}
	}
	return false
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
