package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

func (a *app) inboxCancelCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel WAIT | cancel ID NAME",
		Short: "Withdraw an open question",
		Long:  "Withdraw an open question: its step goes on with an error that carries the reason.",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.order(cmd, args, "Withdrew", func(ctx context.Context, e *durable.Engine, in durable.PendingInput) error {
				return e.CancelWait(ctx, in.Execution, in.ID, reason, durable.By(who()))
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record and for the step")
	return a.dbFlag(cmd)
}

func (a *app) inboxExtendCommand() *cobra.Command {
	var text string
	cmd := &cobra.Command{
		Use:   "extend WAIT --by DURATION | extend ID NAME --by DURATION",
		Short: "Move the deadline of an open question",
		Long:  "Move the deadline of an open question: it ends so long from now, be that later or earlier than before.",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, ok := duration(text)
			if !ok {
				return usage("--by %q: give a time from now on, such as 3d, 12h or 90m", text)
			}
			return a.order(cmd, args, "Extended", func(ctx context.Context, e *durable.Engine, in durable.PendingInput) error {
				return e.ExtendWait(ctx, in.Execution, in.ID, d, durable.By(who()))
			})
		},
	}
	cmd.Flags().StringVar(&text, "by", "", "from now on: 3d, 12h or 90m (required)")
	return a.dbFlag(cmd)
}

// order does something to an open question.
func (a *app) order(cmd *cobra.Command, args []string, done string, do func(context.Context, *durable.Engine, durable.PendingInput) error) error {
	return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
		in, err := question(ctx, e, args)
		if err != nil {
			return err
		}
		if err := do(ctx, e, in); err != nil {
			return err
		}
		if a.json {
			return term.WriteJSON(a.out, answered{in.Execution, in.ID, in.Name})
		}
		_, err = fmt.Fprintf(a.out, "%s %s of run %s.\n", done, term.Line(in.Name), in.Execution)
		return err
	})
}

// happened is what happened to a question, a line for each note.
func happened(notes []durable.WaitNote) []string {
	var lines []string
	for _, n := range notes {
		line := term.Stamp(n.At) + "  " + n.Kind
		if n.To != "" {
			line += " " + n.To
		}
		if !n.Until.IsZero() {
			line += " until " + term.Stamp(n.Until)
		}
		if n.By != "" {
			line += " by " + n.By
		}
		if n.Text != "" {
			line += ": " + n.Text
		}
		lines = append(lines, line)
	}
	return lines
}

// choices describes the answers that can be chosen.
func choices(in durable.PendingInput) []string {
	lines := []string{"one of:"}
	if in.Several {
		lines[0] = "a list of some of:"
	}
	for _, c := range in.Choices {
		line := string(c.Value)
		if c.Label != strings.Trim(line, `"`) {
			line += "  " + c.Label
		}
		lines = append(lines, line)
	}
	return lines
}

// fields describes a form, with groups indented.
func fields(list []durable.FormField, indent string) []string {
	var lines []string
	for _, f := range list {
		line := indent + f.Name + "  " + f.Kind
		if f.Label != f.Name {
			line += "  " + f.Label
		}
		if len(f.Options) > 0 {
			var values []string
			for _, o := range f.Options {
				values = append(values, string(o))
			}
			line += ", of " + strings.Join(values, ", ")
		}
		switch {
		case f.Default != nil:
			line += ", else " + string(f.Default)
		case !f.Required:
			line += ", may be left out"
		}
		lines = append(append(lines, line), fields(f.Fields, indent+"  ")...)
	}
	return lines
}

// left is how long a question has until its deadline.
func left(in durable.PendingInput, now time.Time) string {
	if in.Deadline.IsZero() {
		return ""
	}
	return age(in.Deadline.Sub(now))
}
