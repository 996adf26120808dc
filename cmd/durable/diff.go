package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/internal/diff"
)

// compared is how two runs differ.
type compared struct {
	Execution durable.ID   `json:"execution"`
	Other     durable.ID   `json:"other"`
	Steps     []stepChange `json:"steps"`
	State     []string     `json:"state"` // lines: "- " is the other's, "+ " is this one's
	Input     []string     `json:"input"`
}

// stepChange is a visit that came to something else.
type stepChange struct {
	Path  string `json:"path"`
	Visit int    `json:"visit"` // of that path, from 1
	Was   string `json:"was,omitempty"`
	Is    string `json:"is,omitempty"`
}

func (a *app) diffCommand() *cobra.Command {
	return a.dbFlag(&cobra.Command{
		Use:   "diff ID [OTHER]",
		Short: "Say how a run differs from another: by default from the one that it was forked from",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				x, other, err := a.pair(ctx, e, args)
				if err != nil {
					return err
				}
				c := compare(x, other)
				if a.json {
					return term.WriteJSON(a.out, c)
				}
				return writeDiff(a.screen(), x, other, c)
			})
		},
	})
}

// pair is the two runs.
func (a *app) pair(ctx context.Context, e *durable.Engine, args []string) (x, other *durable.Execution, err error) {
	id, err := find(ctx, e, args[0])
	if err != nil {
		return nil, nil, err
	}
	if x, err = e.Execution(ctx, id, durable.WithSteps); err != nil {
		return nil, nil, err
	}
	switch {
	case len(args) == 2:
		if id, err = find(ctx, e, args[1]); err != nil {
			return nil, nil, err
		}
	case x.Origin == nil:
		return nil, nil, usage("run %s was not forked; name the run to compare it with: durable diff %s OTHER", id, id)
	default:
		id = x.Origin.Run
	}
	if other, err = e.Execution(ctx, id, durable.WithSteps); errors.Is(err, durable.ErrNotFound) {
		err = fmt.Errorf("the run to compare it with, %s, is not there any more: %w", id, durable.ErrNotFound)
	}
	return x, other, err
}

func compare(x, other *durable.Execution) compared {
	c := compared{Execution: x.ID, Other: other.ID, Steps: []stepChange{}}
	was, order := outcomes(other.Steps)
	is, more := outcomes(x.Steps)
	for _, v := range more {
		if _, there := was[v]; !there {
			order = append(order, v)
		}
	}
	for _, v := range order {
		if was[v] != is[v] {
			c.Steps = append(c.Steps, stepChange{v.path, v.n, was[v], is[v]})
		}
	}
	c.Input, c.State = difference(other.Input, x.Input), difference(other.State, x.State)
	return c
}

// difference is how two values differ, line by line.
func difference(was, is json.RawMessage) []string {
	lines, changes := diff.Lines(jsonLines(was), jsonLines(is))
	if changes == 0 && pretty(was, true) != pretty(is, true) {
		return []string{fmt.Sprintf("  they differ behind the first %d lines", maxDiffLines)}
	}
	return lines
}

// visit is one of several of a path.
type visit struct {
	path string
	n    int
}

// outcomes is what the visits of a run came to: without times, which always differ.
func outcomes(steps []durable.StepRecord) (map[visit]string, []visit) {
	came, order, seen := make(map[visit]string), []visit{}, make(map[string]int)
	for _, s := range steps {
		seen[s.Path]++
		v := visit{s.Path, seen[s.Path]}
		text := s.Status
		if s.Answer != "" {
			text = "→ " + s.Answer
		}
		if s.Error != nil {
			text += ": " + s.Error.Message
		}
		if len(s.Change) > 0 {
			text += " " + string(s.Change)
		}
		came[v], order = text, append(order, v)
	}
	return came, order
}

// maxDiffLines is how much of a state is compared.
const maxDiffLines = 2000

func jsonLines(raw json.RawMessage) []string {
	lines := strings.Split(pretty(raw, true), "\n")
	if len(lines) > maxDiffLines {
		lines = append(lines[:maxDiffLines:maxDiffLines], fmt.Sprintf("… and %d lines", len(lines)-maxDiffLines))
	}
	return lines
}

func writeDiff(s *term.Screen, x, other *durable.Execution, c compared) error {
	for _, r := range []struct {
		sign string
		*durable.Execution
	}{{"-", other}, {"+", x}} {
		took := ""
		if !r.Ended.IsZero() {
			took = ", after " + term.Took(r.Ended.Sub(r.Created))
		}
		fmt.Fprintf(s, "%s %s  %s  %s%s\n", r.sign, r.ID, term.Line(r.Workflow), r.Status, took)
	}
	if x.Origin != nil && x.Origin.Run == other.ID && x.Origin.Path != "" {
		fmt.Fprintf(s, "The second goes on from %s of the first.\n", term.Line(x.Origin.Path))
	}
	if len(c.Steps) > 0 {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Dim, "STEPS"))
	}
	for _, v := range c.Steps {
		name := term.Line(v.Path)
		if v.Visit > 1 {
			name += fmt.Sprintf(" (%d)", v.Visit)
		}
		fmt.Fprintln(s, name)
		for _, l := range []struct {
			sign, text string
			style      term.Style
		}{{"-", v.Was, term.Red}, {"+", v.Is, term.Green}} {
			if l.text != "" {
				fmt.Fprintf(s, "  %s\n", s.Paint(l.style, l.sign+" "+term.Cut(term.Line(l.text), 160)))
			}
		}
	}
	for _, part := range []struct {
		head  string
		lines []string
	}{{"INPUT", c.Input}, {"STATE", c.State}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(s, "\n%s\n", s.Paint(term.Dim, part.head))
		}
		for _, l := range part.lines {
			style := term.Plain
			switch l[0] {
			case '-':
				style = term.Red
			case '+':
				style = term.Green
			}
			fmt.Fprintln(s, s.Paint(style, term.Cut(term.Line(l), 200)))
		}
	}
	if len(c.Steps)+len(c.Input)+len(c.State) == 0 {
		fmt.Fprintln(s, "\nThey came to the same.")
	}
	return nil
}
