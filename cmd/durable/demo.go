package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable/cmd/durable/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Read documents with a durable pipeline: no key, no network, no server",
		Long: "The demo reads sample documents with the pipeline of examples/documents: it says what each one is,\n" +
			"takes the invoice or contract out of it, checks the amounts, and asks you where it is unsure.\n" +
			"With --db it keeps its database; stop it there at any point and start it again: it goes on.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Latency < 0 {
				return usage("--latency is %s; give zero or more", o.Latency)
			}
			o.In, o.Out, o.Self, o.Now = a.in, a.screen(), self(), a.now
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DB, "db", "", "keep the database in `FILE`, and go on with what is in it")
	f.StringVar(&o.Documents, "documents", "", "read the .txt and .md files of `DIR` instead of the samples")
	f.BoolVar(&o.Yes, "yes", false, "ask nobody: a rule answers the questions")
	f.DurationVar(&o.Latency, "latency", 1600*time.Millisecond, "longest time that the stand-in for a model takes")
	return cmd
}
