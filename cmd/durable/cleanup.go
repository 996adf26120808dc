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

// cleaned is what cleanup prints as JSON.
type cleaned struct {
	Removed int  `json:"removed"` // with dry_run: that would be
	DryRun  bool `json:"dry_run"`
}

func (a *app) cleanupCommand() *cobra.Command {
	var (
		o        durable.PruneOptions
		age      string
		statuses []string
	)
	cmd := &cobra.Command{
		Use:   "cleanup --older-than AGE",
		Short: "Remove ended runs for good",
		Long: "Removes runs that ended at least AGE ago (30d, 12h, 90m), with their journals and logs, in small batches\n" +
			"beside the workers. Runs that have not ended are never touched. See first what it would do: --dry-run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.OlderThan, err = parseAge(age); err != nil {
				return err
			}
			for _, s := range statuses {
				if !durable.Status(s).Ended() {
					return usage("--status %q: only ended runs are removed; their statuses are %s", s, endedList())
				}
				o.Statuses = append(o.Statuses, durable.Status(s))
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				n, err := e.Prune(ctx, o)
				if err != nil {
					return fmt.Errorf("after %s: %w", count(n, "run"), err)
				}
				if a.json {
					return term.WriteJSON(a.out, cleaned{n, o.DryRun})
				}
				text := "Removed %s.\n"
				if o.DryRun {
					text = "Would remove %s.\n"
				}
				_, err = fmt.Fprintf(a.out, text, count(n, "run"))
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&age, "older-than", "", "how long ago a run ended at least: 30d, 12h or 90m (required)")
	flags.StringVar(&o.Workflow, "workflow", "", "only runs of this workflow")
	flags.StringSliceVar(&statuses, "status", nil, "only runs that ended with this status; repeat it for several")
	flags.BoolVar(&o.DryRun, "dry-run", false, "only count")
	_ = cmd.RegisterFlagCompletionFunc("status", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(endedList(), ", "), cobra.ShellCompDirectiveNoFileComp
	})
	return a.dbFlag(cmd)
}

// parseAge reads an age, which must be positive.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, usage("--older-than is missing: give an age such as 30d, 12h or 90m, counted from the end of a run")
	}
	if d, ok := duration(text); ok && d > 0 {
		return d, nil
	}
	return 0, usage("--older-than %q: give an age such as 30d, 12h or 90m", text)
}

// duration reads days, or what Go writes. It is not negative.
func duration(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days+"|", "%d|", &n); err == nil && n >= 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, true
		}
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

func endedList() string {
	var names []string
	for _, s := range strings.Split(statusList(), ", ") {
		if durable.Status(s).Ended() {
			names = append(names, s)
		}
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
