package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/durable-go/durable"
)

// desk answers what is asked: a stand-in for the page or chat in which people would.
type desk struct {
	engine *durable.Engine
	answer func(ctx context.Context, q durable.PendingInput) error
}

// serve looks for open questions until ctx ends. Nobody is told of them: whoever can answer
// lists them.
func (d desk) serve(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		page, err := d.engine.PendingInputs(ctx, durable.InputFilter{Workflow: "expense"})
		if err != nil {
			continue // looked for again
		}
		for _, q := range page.Inputs {
			// What was answered by somebody else meanwhile, or is out of time, is no trouble.
			_ = d.answer(ctx, q)
		}
	}
}

// byRule answers as the people of the story would.
func (d desk) byRule(ctx context.Context, q durable.PendingInput) error {
	if q.Kind == "form" {
		return d.engine.ProvideInput(ctx, q.Execution, q.ID, spent(q.Assignee), durable.By(q.Assignee))
	}
	yes := strings.Contains(q.Prompt, "a chair") && q.Assignee == "lead" ||
		strings.Contains(q.Prompt, "a conference") && q.Assignee == "finance"
	if !yes {
		return nil // they are silent
	}
	return d.engine.ProvideInput(ctx, q.Execution, q.ID, true, durable.By(q.Assignee))
}

func spent(who string) Expense {
	switch who {
	case "Ada":
		return Expense{Amount: 35, Purpose: "a taxi", Account: "travel"}
	case "Bob":
		return Expense{Amount: 480, Purpose: "a chair", Account: "office"}
	case "Cleo":
		return Expense{Amount: 1900, Purpose: "a conference", Account: "travel"}
	}
	return Expense{Amount: 9000, Purpose: "a boat", Account: "office"}
}

// byTerminal asks whoever sits there.
func (d desk) byTerminal(in io.Reader, out io.Writer) func(ctx context.Context, q durable.PendingInput) error {
	lines := bufio.NewScanner(in)
	line := func(prompt string) string {
		fmt.Fprintf(out, "%s: ", prompt)
		lines.Scan()
		return strings.TrimSpace(lines.Text())
	}
	return func(ctx context.Context, q durable.PendingInput) error {
		fmt.Fprintf(out, "\n%s is asked: %s\n", q.Assignee, q.Prompt)
		var value any = map[string]any{}
		if q.Kind == "form" {
			value = fill(q.Fields, line)
		} else {
			value = strings.HasPrefix(line("yes or no"), "y")
		}
		err := d.engine.ProvideInput(ctx, q.Execution, q.ID, value, durable.By(q.Assignee))
		var refused *durable.AnswerError
		if errors.As(err, &refused) { // it stays open, and is asked again
			for _, f := range refused.Fields {
				fmt.Fprintf(out, "  %s: %s\n", f.Path, f.Message)
			}
		}
		return err
	}
}

// fill asks for each field. What is left empty is left out.
func fill(fields []durable.FormField, line func(string) string) map[string]any {
	form := make(map[string]any)
	for _, f := range fields {
		label := f.Label
		for _, o := range f.Options {
			label += " " + string(o)
		}
		switch text := line(label); {
		case text == "":
		case f.Kind == "integer":
			form[f.Name] = json.RawMessage(text)
			if !json.Valid([]byte(text)) {
				form[f.Name] = text // refused, with a reason
			}
		default:
			form[f.Name] = text
		}
	}
	return form
}
