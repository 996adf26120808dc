package main

import (
	"context"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// cancelled is what cancel and retry print as JSON.
type cancelled struct {
	Execution durable.ID     `json:"execution"`
	Status    durable.Status `json:"status"`
}

func (a *app) cancelCommand() *cobra.Command {
	var (
		reason            string
		compensate, force bool
	)
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
				opts := []durable.ActOption{durable.By(who())}
				if compensate {
					opts = append(opts, durable.AndCompensate())
				}
				if force {
					opts = append(opts, durable.Force())
				}
				if err := e.Cancel(ctx, id, reason, opts...); err != nil {
					return err
				}
				return a.acted(ctx, e, id)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.Flags().BoolVar(&compensate, "compensate", false, "undo what it has done; a worker does that")
	cmd.Flags().BoolVar(&force, "force", false, "end a rollback that is going on, after the undo that runs")
	return a.dbFlag(cmd)
}

func (a *app) retryCommand() *cobra.Command {
	return a.dbFlag(&cobra.Command{
		Use:   "retry ID",
		Short: "Undo again what could not be undone: of a run that is compensation_failed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, e *durable.Engine) error {
				id, err := find(ctx, e, args[0])
				if err != nil {
					return err
				}
				if err := e.Retry(ctx, id, durable.By(who())); err != nil {
					return err
				}
				return a.acted(ctx, e, id)
			})
		},
	})
}

// acted tells where a run stands after something was done to it.
func (a *app) acted(ctx context.Context, e *durable.Engine, id durable.ID) error {
	x, err := e.Execution(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return term.WriteJSON(a.out, cancelled{id, x.Status})
	}
	_, err = fmt.Fprintf(a.out, "Run %s is %s.\n", id, x.Status)
	return err
}

// who is the user, for the record.
func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command line"
}
