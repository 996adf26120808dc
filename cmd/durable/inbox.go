package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

func (a *app) inboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "What runs ask people: list, show, answer, cancel, extend",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.parsed = false // it does nothing by itself
			return errors.New("inbox needs one of: list, show, answer, cancel, extend")
		},
	}
	cmd.AddCommand(a.inboxListCommand(), a.inboxShowCommand(), a.inboxAnswerCommand(), a.inboxCancelCommand(), a.inboxExtendCommand())
	return cmd
}

func (a *app) inboxListCommand() *cobra.Command {
	var f durable.InputFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List open questions, the most urgent first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Limit < 1 || f.Limit > 1000 {
				return usage("--limit is %d; give 1 to 1000", f.Limit)
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				page, err := e.PendingInputs(ctx, f)
				if err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, page)
				}
				return writeInbox(a.screen(), page, time.Now())
			})
		},
	}
	cmd.Flags().StringVar(&f.Workflow, "workflow", "", "only of this workflow")
	cmd.Flags().StringVar(&f.Name, "name", "", "only questions of this name")
	cmd.Flags().StringVar(&f.Queue, "queue", "", "only of runs in this queue")
	cmd.Flags().StringVar(&f.Assignee, "assignee", "", "only those that this person or group is to answer")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "how many, at most 1000")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "go on after the page that gave this cursor")
	return a.dbFlag(cmd)
}

func writeInbox(s *term.Screen, page *durable.InputPage, now time.Time) error {
	if len(page.Inputs) == 0 {
		_, err := fmt.Fprintln(s, "No open questions.")
		return err
	}
	t := &term.Table{Columns: []term.Column{{Head: "WAIT"}, {Head: "NAME", Min: 8}, {Head: "FOR"}, {Head: "AGE", Right: true}, {Head: "LEFT", Right: true}, {Head: "QUESTION", Min: 16}}}
	for _, in := range page.Inputs {
		t.Add(in.ID, in.Name, in.Assignee, age(now.Sub(in.Opened)), left(in, now), in.Prompt)
	}
	if err := t.Write(s); err != nil {
		return err
	}
	if page.Cursor != "" {
		_, err := fmt.Fprintf(s, "More: --cursor %s\n", term.Line(page.Cursor))
		return err
	}
	_, err := fmt.Fprintf(s, "\nSee one with: durable inbox show WAIT\n")
	return err
}

// question finds an open question by the id of its wait or the beginning of that, or by
// its run and name.
func question(ctx context.Context, e *durable.Engine, args []string) (durable.PendingInput, error) {
	var (
		f      durable.InputFilter
		none   durable.PendingInput
		prefix string
		err    error
	)
	if strings.HasPrefix(args[0], "w_") {
		if len(args) > 1 {
			return none, usage("the wait %s needs no name", args[0])
		}
		prefix = args[0]
	} else if f.Execution, err = find(ctx, e, args[0]); err != nil {
		return none, err
	}
	if len(args) > 1 {
		f.Name = args[1]
	}
	f.Limit = 1000
	var found []durable.PendingInput
	for {
		page, err := e.PendingInputs(ctx, f)
		if err != nil {
			return none, err
		}
		for _, in := range page.Inputs {
			if strings.HasPrefix(in.ID, prefix) {
				found = append(found, in)
			}
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			break
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return none, noQuestion(ctx, e, args)
	}
	lines := make([]string, len(found))
	for i, in := range found {
		lines[i] = fmt.Sprintf("\n  %s  %s  run %s", in.ID, in.Name, in.Execution)
	}
	return none, fmt.Errorf("%w; give the id of one:%s", durable.ErrAmbiguous, strings.Join(lines[:min(len(lines), 10)], ""))
}

// waitLength is the length of a whole id of a wait.
const waitLength = 22

// noQuestion says why there is none.
func noQuestion(ctx context.Context, e *durable.Engine, args []string) error {
	text := strings.Join(args, " ")
	switch {
	case strings.HasPrefix(text, "w_") && len(text) == waitLength: // an id that was copied
		return fmt.Errorf("wait %s: %w", text, durable.ErrNoSuchWait)
	case strings.HasPrefix(text, "w_"):
		return fmt.Errorf("no open question has an id that begins with %s: %w", text, durable.ErrNotFound)
	}
	id, err := find(ctx, e, args[0])
	if err != nil {
		return err
	}
	x, err := e.Execution(ctx, id)
	if err != nil {
		return err
	}
	if x.Status.Ended() {
		return fmt.Errorf("run %s: %w: it is %s", id, durable.ErrRunDone, x.Status)
	}
	return fmt.Errorf("run %s: %w", id, durable.ErrNoSuchWait)
}

func (a *app) inboxShowCommand() *cobra.Command {
	return a.dbFlag(&cobra.Command{
		Use:   "show WAIT | show ID [NAME]",
		Short: "Show an open question, and how to answer it",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				in, err := question(ctx, e, args)
				if err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, in)
				}
				return a.writeQuestion(a.screen(), in)
			})
		},
	})
}

func (a *app) writeQuestion(s *term.Screen, in durable.PendingInput) error {
	fmt.Fprintf(s, "%s\n\n", s.Paint(term.Bold, term.Text(in.Prompt)))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(s, "%s %s\n", s.Paint(term.Dim, fmt.Sprintf("%-9s", name)), value)
		}
	}
	field("Wait", in.ID)
	field("Name", term.Line(in.Name))
	field("Run", in.Execution.String()+" of "+term.Line(in.Workflow))
	field("Step", term.Line(in.Path))
	field("Asked", term.Stamp(in.Opened))
	field("Until", term.Stamp(in.Deadline))
	field("For", term.Line(in.Assignee))
	for _, line := range happened(in.Notes) {
		field("Happened", term.Line(line))
	}
	if in.Details != nil {
		fmt.Fprintf(s, "\n%s\n", s.Paint(term.Dim, "DETAILS"))
		writeDetails(s, in.Details)
	}
	fmt.Fprintf(s, "\n%s\n", s.Paint(term.Dim, "ANSWER"))
	for _, l := range form(in) {
		fmt.Fprintln(s, "  "+term.Line(l))
	}
	_, err := fmt.Fprintf(s, "\nFor example: %s inbox answer %s --db %s '%s'\n", self(), in.ID, a.shown(), term.Line(example(in)))
	return err
}

// writeDetails shows an object's fields, texts with their lines.
func writeDetails(s *term.Screen, raw json.RawMessage) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		fmt.Fprintln(s, pretty(raw, false))
		return
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return
		}
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return
		}
		text := pretty(v, false)
		var str string
		if json.Unmarshal(v, &str) == nil {
			text = term.Text(str)
		}
		if strings.Contains(text, "\n") {
			text = "\n    " + strings.ReplaceAll(text, "\n", "\n    ")
		}
		fmt.Fprintf(s, "  %s %s\n", s.Paint(term.Dim, term.Line(fmt.Sprint(name))+":"), text)
	}
}

func (a *app) inboxAnswerCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "answer WAIT VALUE | answer ID NAME VALUE",
		Short: "Answer an open question",
		Long: "Answer an open question, by the id of its wait or by its run and name.\n" +
			"VALUE is JSON or text, or comes from --file. It is checked before it is accepted.",
		Args: cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, text, given := args, "", false
			if file == "" {
				if len(args) < 2 {
					return usage("give a value, or --file")
				}
				which, text, given = args[:len(args)-1], args[len(args)-1], true
			} else if len(args) == 3 {
				return usage("give the value or --file, not both")
			}
			value, err := a.value(text, given, file)
			if err != nil {
				return err
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				in, err := question(ctx, e, which)
				if err != nil {
					return err
				}
				if err := e.ProvideInput(ctx, in.Execution, in.ID, value, durable.By(who())); err != nil {
					if errors.Is(err, durable.ErrInvalid) {
						return fmt.Errorf("%w\nThe answer has this form:\n  %s", err, strings.Join(form(in), "\n  "))
					}
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, answered{in.Execution, in.ID, in.Name})
				}
				_, err = fmt.Fprintf(a.out, "Answered %s of run %s.\n", term.Line(in.Name), in.Execution)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "take the value from `FILE`; - is standard input")
	return a.dbFlag(cmd)
}

// answered is what inbox answer prints as JSON.
type answered struct {
	Execution durable.ID `json:"execution"`
	Wait      string     `json:"wait"`
	Name      string     `json:"name"`
}

// form describes an answer, a line for each field.
func form(in durable.PendingInput) []string {
	switch in.Kind {
	case "approval":
		return []string{"true or false, or:", "approved  boolean", "comment   string, may be left out"}
	case "in_doubt":
		return []string{`outcome  "done" (it happened), "run" (it did not: run it) or "fail"`}
	}
	if len(in.Choices) > 0 {
		return choices(in)
	}
	if len(in.Fields) > 0 {
		return fields(in.Fields, "")
	}
	s := readSchema(in.Schema)
	if lines := s.lines(deepest); len(lines) > 0 {
		return lines
	}
	return []string{s.kind()}
}

// example is an answer that fits, for people to change.
func example(in durable.PendingInput) string {
	switch in.Kind {
	case "approval":
		return "true"
	case "in_doubt":
		return `{"outcome": "run"}`
	}
	return readSchema(in.Schema).sample(deepest)
}
