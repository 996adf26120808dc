package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// published is what publish prints as JSON.
type published struct {
	Event string `json:"event"`
	Key   string `json:"key"`
	ID    string `json:"id,omitempty"`
	durable.Published
}

func (a *app) publishCommand() *cobra.Command {
	var file, dedupe string
	var keep time.Duration
	cmd := &cobra.Command{
		Use:   "publish NAME KEY [VALUE]",
		Short: "Publish an event for a key",
		Long: "Publish an event to every run that waits for this name and key now.\n" +
			"If none does, it is kept, and the first that asks gets it.\n" +
			"VALUE is JSON or text; without one the payload is null.",
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) == 3 {
				text = args[2]
			}
			payload, err := a.value(text, len(args) == 3, file)
			if err != nil {
				return err
			}
			var opts []durable.ActOption
			if cmd.Flags().Changed("keep") {
				opts = append(opts, durable.Keep(keep))
			}
			if dedupe != "" {
				opts = append(opts, durable.EventID(dedupe))
			}
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				p, err := e.Publish(ctx, args[0], args[1], payload, opts...)
				if err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, published{args[0], args[1], dedupe, p})
				}
				_, err = fmt.Fprintf(a.out, "%s for %s %s.\n", term.Line(args[0]), term.Line(args[1]), became(p))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "take the value from `FILE`; - is standard input")
	cmd.Flags().StringVar(&dedupe, "id", "", "an event with an `ID` that is known for this name and key is not published again")
	cmd.Flags().DurationVar(&keep, "keep", 24*time.Hour, "how long it waits for a run that asks, and its id is known: 1m to 8784h")
	return a.dbFlag(cmd)
}

// became says what became of what was published.
func became(p durable.Published) string {
	text := ""
	if p.Duplicate {
		text = "was published before; "
	}
	switch {
	case p.Kept:
		return text + "is kept for the first run that asks"
	case p.Got == 1:
		return text + "went to 1 run"
	}
	return text + fmt.Sprintf("went to %d runs", p.Got)
}
