package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// sent is what event prints as JSON.
type sent struct {
	Execution durable.ID `json:"execution"`
	Event     string     `json:"event"`
	ID        string     `json:"id,omitempty"`
}

func (a *app) eventCommand() *cobra.Command {
	var file, dedupe string
	cmd := &cobra.Command{
		Use:   "event ID NAME [VALUE]",
		Short: "Send an event to a run",
		Long: "Send an event to a run. It is kept until a wait of that name takes it.\n" +
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
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				var opts []durable.ActOption
				if dedupe != "" {
					opts = append(opts, durable.EventID(dedupe))
				}
				if err := e.SendEvent(ctx, id, args[1], payload, opts...); err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, sent{id, args[1], dedupe})
				}
				_, err = fmt.Fprintf(a.out, "Sent %s to run %s.\n", term.Line(args[1]), id)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "take the value from `FILE`; - is standard input")
	cmd.Flags().StringVar(&dedupe, "id", "", "an event with an `ID` that this run has seen is not sent again")
	return a.dbFlag(cmd)
}
