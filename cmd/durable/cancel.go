package main

import (
	"context"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// cancelled is what cancel prints as JSON.
type cancelled struct {
	Execution durable.ID     `json:"execution"`
	Status    durable.Status `json:"status"`
}

func (a *app) cancelCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "End a run for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				if err := e.Cancel(ctx, id, reason, durable.By(who())); err != nil {
					return err
				}
				if a.json {
					return term.WriteJSON(a.out, cancelled{id, durable.Cancelled})
				}
				_, err = fmt.Fprintf(a.out, "Run %s is cancelled.\n", id)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return a.dbFlag(cmd)
}

// who is the user, for the record.
func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command line"
}
