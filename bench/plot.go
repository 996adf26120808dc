package main

import (
	"fmt"
	"strings"
)

// plot is a picture of a section.
type plot struct {
	section, file string
	chart         chart
}

// plots draws what has been measured.
func (r *report) plots() []plot {
	var all []plot
	for _, s := range r.Sections {
		var c chart
		switch s.Name {
		case "throughput":
			c = s.throughputChart()
		case "latency":
			c = s.latencyChart()
		case "growth":
			c = s.growthChart()
		case "scaling":
			c = s.scalingChart()
		default:
			continue
		}
		c.caption += fmt.Sprintf("; %s, %d CPUs", pick(s.Quick, "a smoke run", fmt.Sprintf("medians of %d rounds", s.Rounds)), s.Machine.CPUs)
		all = append(all, plot{s.Name, "benchmarks-" + s.Name + ".svg", c})
	}
	return all
}

// bars adds a metric as a bar with its range; one without samples is left out.
func (c *chart) bar(s *section, id, label string, kind barKind) {
	m := s.find(id)
	if m == nil {
		return
	}
	median, low, high := m.spread()
	c.bars = append(c.bars, bar{label: label, kind: kind, value: median, low: low, high: high, must: m.Must})
}

// tail sets the upper end of the newest bar to another metric's median: p99.
func (c *chart) tail(s *section, id string) {
	if m := s.find(id); m != nil && len(c.bars) > 0 {
		b := &c.bars[len(c.bars)-1]
		b.tail, _, _ = m.spread()
		b.low, b.high = 0, 0
	}
}

func (s *section) throughputChart() chart {
	c := chart{
		title: "Steps a second", unit: "steps/s",
		caption: "5-step runs, 100 at a time; more is better; thin lines are the range, red marks what must be",
	}
	c.bar(s, "postgres", "engine, PostgreSQL", ours)
	c.bar(s, "sqlite", "engine, SQLite", ours)
	c.bar(s, "river.chain", "River, a job a step", peer)
	c.bar(s, "river.single", "River, single jobs", peer)
	c.bar(s, "dbos", "DBOS", peer)
	c.bar(s, "river.plain", "River, draining", peer)
	c.bar(s, "river.many", "River, draining, 1,000 workers", peer)
	c.bar(s, "raw64", "raw PostgreSQL, 64 a batch", raw)
	c.bar(s, "raw512", "raw PostgreSQL, 512 a batch", raw)
	c.bar(s, "raw64.sqlite", "raw SQLite, 64 a batch", raw)
	c.bar(s, "raw512.sqlite", "raw SQLite, 512 a batch", raw)
	return c
}

func (s *section) latencyChart() chart {
	c := chart{
		title: "Latency", unit: "ms", log: true,
		caption: "idle; logarithmic, less is better; bars are p50, the dot is p99",
	}
	c.bar(s, "postgres.p50", "engine, PostgreSQL, one step", ours)
	c.tail(s, "postgres.p99")
	c.bar(s, "sqlite.p50", "engine, SQLite, one step", ours)
	c.tail(s, "sqlite.p99")
	c.bar(s, "river.p50", "River, one job", peer)
	c.tail(s, "river.p99")
	c.bar(s, "dbos.p50", "DBOS, one step", peer)
	c.tail(s, "dbos.p99")
	c.bar(s, "single.p50", "raw PostgreSQL, one commit", raw)
	c.tail(s, "single.p99")
	c.bar(s, "single.sqlite.p50", "raw SQLite, one commit", raw)
	c.tail(s, "single.sqlite.p99")
	c.bar(s, "each", "engine, PostgreSQL, step of 200", ours)
	c.bar(s, "each.sqlite", "engine, SQLite, step of 200", ours)
	c.bar(s, "each.river", "River, job of a chain of 200", peer)
	c.bar(s, "each.dbos", "DBOS, step of 200", peer)
	return c
}

func (s *section) growthChart() chart {
	c := chart{
		title: "Steps a second beside finished runs", unit: "steps/s",
		caption: "PostgreSQL; more is better; thin lines are the range",
	}
	c.bar(s, "empty", "nothing there", ours)
	if m := s.find("full"); m != nil {
		label, _, _ := strings.Cut(m.Name, " of ")
		c.bar(s, "full", label, ours)
	}
	return c
}

func (s *section) scalingChart() chart {
	c := chart{
		title: "Steps a second of several worker processes", unit: "steps/s",
		caption: "one PostgreSQL on the same machine; more is better; thin lines are the range",
	}
	for n := 1; n <= 4; n++ {
		c.bar(s, fmt.Sprintf("queued%d", n), "a due queue, "+workers(n), ours)
	}
	for _, n := range []int{1, 4} {
		c.bar(s, fmt.Sprintf("own%d", n), "runs of its own, "+workers(n), ours)
	}
	return c
}
