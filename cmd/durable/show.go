package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// shown is what show prints as JSON.
type shown struct {
	*durable.Execution
	Waits []durable.OpenWait `json:"waits,omitempty"`
	Logs  []durable.LogEntry `json:"logs,omitempty"`
}

func (a *app) showCommand() *cobra.Command {
	var logs, full bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a run: status, state, every attempt of its steps, what it waits for",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				var x shown
				if x.Execution, err = e.Execution(ctx, id, durable.WithSteps); err != nil {
					return err
				}
				if x.Waits, err = e.OpenWaits(ctx, id); err != nil {
					return err
				}
				if logs {
					if x.Logs, err = e.Logs(ctx, id, time.Time{}); err != nil {
						return err
					}
				}
				if a.json {
					return term.WriteJSON(a.out, x)
				}
				return writeRun(a.screen(), &x, logs, full, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&logs, "logs", false, "with what its steps logged")
	cmd.Flags().BoolVar(&full, "full", false, "cut no long text in its state")
	return a.dbFlag(cmd)
}

func writeRun(s *term.Screen, x *shown, logs, full bool, now time.Time) error {
	writeHead(s, x.Execution, now)
	if len(x.Steps) > 0 {
		fmt.Fprintln(s)
		if err := stepTable(x.Steps, now).Write(s); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(x.Steps, func(p durable.StepRecord) bool { return len(p.Children) > 0 }) {
		fmt.Fprintf(s, "\nIt has begun runs of its own: durable list --parent %s\n", x.ID)
	}
	writeWaits(s, x.Waits)
	for _, m := range x.Inbox {
		fmt.Fprintf(s, "\nNobody took event %s of %s: %s\n", term.Line(m.Name), term.Stamp(m.At), term.Cut(term.Line(string(m.Payload)), 200))
	}
	if x.State != nil {
		fmt.Fprintf(s, "\n%s\n%s\n", s.Paint(term.Dim, "STATE"), pretty(x.State, full))
	}
	if logs {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Dim, "LOGS"))
		return writeLogs(s, x.Logs)
	}
	return nil
}

// writeHead writes what is known of a run as a whole.
func writeHead(s *term.Screen, x *durable.Execution, now time.Time) {
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(s, "%s %s\n", s.Paint(term.Dim, fmt.Sprintf("%-9s", name)), value)
		}
	}
	field("Run", x.ID.String())
	workflow := x.Workflow
	if x.Version != "" {
		workflow += " version " + x.Version
	}
	field("Workflow", term.Line(workflow))
	field("Status", s.Paint(style(x.Status), string(x.Status)))
	if x.Error != nil {
		field("Error", s.Paint(term.Red, term.Line(x.Error.Error()))+" ("+term.Line(x.Error.Code)+")")
	}
	if x.Parent != (durable.ID{}) {
		field("Parent", x.Parent.String())
	}
	if o := x.Origin; o != nil {
		text := o.Run.String()
		if o.Path != "" {
			text += " at " + term.Line(o.Path)
		}
		field("Forked", "from "+text)
	}
	field("Key", term.Line(x.Key))
	field("Tags", term.Line(strings.Join(x.Tags, ", ")))
	field("Queue", term.Line(x.Queue))
	if x.Priority != 0 {
		field("Priority", fmt.Sprint(x.Priority))
	}
	field("Created", term.Stamp(x.Created))
	if !x.Ended.IsZero() {
		field("Ended", term.Stamp(x.Ended)+", after "+term.Took(x.Ended.Sub(x.Created)))
	} else if x.Due.After(now) {
		field("Due", term.Stamp(x.Due)+", in "+term.Took(x.Due.Sub(now)))
	}
}

func writeWaits(s *term.Screen, waits []durable.OpenWait) {
	for _, w := range waits {
		text := term.Line(fmt.Sprintf("%s %s", w.Kind, w.Name)) + " at " + term.Line(w.Path)
		if !w.Deadline.IsZero() {
			text += ", until " + term.Stamp(w.Deadline)
		}
		if w.Key != "" {
			text += ", published for " + term.Line(w.Key)
		}
		for _, x := range w.Events {
			text += "\n           " + term.Line(awaited(x))
		}
		if !slices.Contains([]string{"sleep", "event", "call"}, w.Kind) && len(w.Events) == 0 {
			text += "\n           answer it with: durable inbox show " + w.ID
		}
		fmt.Fprintf(s, "\nWaits for %s\n", text)
	}
}

func stepTable(steps []durable.StepRecord, now time.Time) *term.Table {
	t := &term.Table{Columns: []term.Column{
		{Head: "STEP", Min: 20}, {Head: "TRY", Right: true}, {Head: "STATUS"}, {Head: "STARTED"}, {Head: "TOOK", Right: true}, {Head: "ERROR", Min: 10},
	}}
	for _, p := range steps {
		row := []term.Cell{{Text: p.Path}, {}, {Text: p.Status, Style: stepStyle(p.Status)}, {Text: p.Started.Local().Format("15:04:05.000")}, {}, {}}
		if p.Kind == "compensate" {
			row[0].Text = "undo " + p.Undoes
		}
		if p.Status == "skipped" && p.Started.IsZero() {
			row[3].Text = ""
		} else if p.Kind == "step" || p.Kind == "compensate" {
			row[1].Text = fmt.Sprint(p.Attempt)
			row[4].Text = term.Took(p.Duration)
			if p.Ended.IsZero() {
				row[4].Text = term.Took(now.Sub(p.Started))
			}
		} else {
			row[2] = term.Cell{Text: "→ " + came(p)}
		}
		if p.Error != nil {
			row[5] = term.Cell{Text: p.Error.Message, Style: term.Red}
		} else if p.Inherited {
			row[5] = term.Cell{Text: "inherited", Style: term.Dim}
		} else if p.Waited > 0 {
			row[5] = term.Cell{Text: "waited " + term.Took(p.Waited), Style: term.Dim}
		}
		t.AddCells(row...)
	}
	return t
}

// came is what a node that is no step has come to.
func came(p durable.StepRecord) string {
	switch {
	case p.Kind == "parallel":
		return p.Answer + " lanes"
	case p.Kind == "each":
		return p.Answer + " items"
	case p.Kind == "wait" && p.Answer == "" && len(p.Waits) > 0 && p.Waits[0].By != "":
		return p.Waits[0].By
	case p.Answer == "":
		return p.Status
	}
	return p.Answer
}

func stepStyle(status string) term.Style {
	switch status {
	case "done":
		return term.Green
	case "failed":
		return term.Red
	case "running":
		return term.Cyan
	}
	return term.Yellow
}

// pretty indents JSON and, unless full, cuts long strings.
func pretty(raw json.RawMessage, full bool) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return term.Text(string(raw))
	}
	if full {
		return term.Text(b.String())
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		l = term.Line(l)
		if w := term.Width(l); w > 120 {
			lines[i] = fmt.Sprintf("%s (%d characters)", term.Cut(l, 100), w)
		} else {
			lines[i] = l
		}
	}
	return strings.Join(lines, "\n")
}

// awaited is one event of a wait for several.
func awaited(x durable.Awaited) string {
	text := x.Name
	if x.Key != "" {
		text += ", published for " + x.Key
	}
	if x.Arrived {
		text += ": has come"
	}
	return text
}
