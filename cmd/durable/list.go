package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/store"
)

func (a *app) listCommand() *cobra.Command {
	var (
		f        durable.Filter
		statuses []string
		since    string
		parent   string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range statuses {
				if !durable.Status(s).Valid() {
					return usage("--status %q: the statuses are %s", s, statusList())
				}
				f.Statuses = append(f.Statuses, durable.Status(s))
			}
			if f.Limit < 1 || f.Limit > 1000 {
				return usage("--limit is %d; give 1 to 1000", f.Limit)
			}
			var err error
			if f.After, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			f.Count = true
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				if parent != "" {
					if f.Parent, err = find(ctx, e, parent); err != nil {
						return err
					}
				}
				page, err := e.Executions(ctx, f)
				if err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, page)
				}
				return writeList(a.screen(), page, f.Cursor != "", time.Now())
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Workflow, "workflow", "", "only runs of this workflow")
	flags.StringSliceVar(&statuses, "status", nil, "only runs of this status; repeat it for several")
	flags.StringVar(&f.Queue, "queue", "", "only runs in this queue")
	flags.StringSliceVar(&f.Tags, "tag", nil, "only runs with this tag; repeat it for those with all")
	flags.StringVar(&f.Key, "key", "", "only runs started with this key")
	flags.StringVar(&parent, "parent", "", "only runs that this run has begun")
	flags.BoolVar(&f.TopLevel, "top", false, "only runs that no run has begun")
	flags.StringVar(&since, "since", "", "only runs started since: 90m, 12h, 7d, or 2006-01-02[T15:04:05Z]")
	flags.IntVar(&f.Limit, "limit", 50, "how many, at most 1000")
	flags.StringVar(&f.Cursor, "cursor", "", "go on after the page that gave this cursor")
	_ = cmd.RegisterFlagCompletionFunc("status", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(statusList(), ", "), cobra.ShellCompDirectiveNoFileComp
	})
	return a.dbFlag(cmd)
}

func statusList() string {
	var names []string
	for _, s := range store.Statuses() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// parseSince reads an age or a time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, ok := duration(text); ok {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--since %q: give an age such as 90m, 12h or 7d, or a time such as 2006-01-02 or 2006-01-02T15:04:05Z", text)
}

func writeList(s *term.Screen, page *durable.ExecutionPage, paged bool, now time.Time) error {
	if len(page.Executions) == 0 {
		_, err := fmt.Fprintln(s, "No runs.")
		return err
	}
	has := func(f func(*durable.Execution) bool) bool { return slices.ContainsFunc(page.Executions, f) }
	keys := has(func(x *durable.Execution) bool { return x.Key != "" })
	errors := has(func(x *durable.Execution) bool { return x.Error != nil })
	t := &term.Table{Columns: []term.Column{{Head: "ID"}, {Head: "WORKFLOW", Min: 10}, {Head: "STATUS"}, {Head: "AGE", Right: true}}}
	if keys {
		t.Columns = append(t.Columns, term.Column{Head: "KEY", Min: 8})
	}
	if errors {
		t.Columns = append(t.Columns, term.Column{Head: "ERROR", Min: 10})
	}
	for _, x := range page.Executions {
		row := []term.Cell{{Text: x.ID.String()}, {Text: x.Workflow}, {Text: string(x.Status), Style: style(x.Status)}, {Text: age(now.Sub(x.Created))}}
		if keys {
			row = append(row, term.Cell{Text: x.Key})
		}
		if x.Error != nil {
			row = append(row, term.Cell{Text: cmp.Or(x.Error.Error(), x.Error.Code), Style: term.Red})
		}
		t.AddCells(row...)
	}
	if err := t.Write(s); err != nil {
		return err
	}
	if page.Cursor == "" && !paged {
		return nil
	}
	_, err := fmt.Fprintf(s, "%d of %d\n", len(page.Executions), page.Count)
	if err == nil && page.Cursor != "" {
		_, err = fmt.Fprintf(s, "More: --cursor %s\n", term.Line(page.Cursor))
	}
	return err
}

// age is a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func style(s durable.Status) term.Style {
	switch s {
	case durable.Completed:
		return term.Green
	case durable.Failed, durable.CompensationFailed, durable.Blocked:
		return term.Red
	case durable.Waiting, durable.Compensating, durable.Compensated, durable.Cancelled:
		return term.Yellow
	case durable.Running:
		return term.Cyan
	}
	return term.Plain
}
