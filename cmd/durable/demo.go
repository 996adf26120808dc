package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable/cmd/durable/internal/chaos"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
)

// chaosFlags are the flags that --chaos alone understands.
func chaosFlags() []string { return []string{"workers", "every", "cycles", "seed"} }

func (a *app) demoCommand() *cobra.Command {
	var (
		o    demo.Options
		c    chaos.Options
		kill bool
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Read documents with a durable pipeline: no key, no network, no server",
		Long: "The demo reads sample documents with the pipeline of examples/documents: it says what each one is,\n" +
			"takes the invoice or contract out of it, checks the amounts, and asks you where it is unsure.\n" +
			"Stop it at any point and start it again with --db: it goes on.\n\n" +
			"With --chaos, worker processes do the same while one of them is killed with SIGKILL every few\n" +
			"seconds; then every result is compared and every body that ran twice is explained.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Latency < 0 {
				return usage("--latency is %s; give zero or more", o.Latency)
			}
			if kill {
				return a.chaos(cmd, o, c)
			}
			for _, name := range chaosFlags() {
				if cmd.Flags().Changed(name) {
					return usage("--%s goes with --chaos", name)
				}
			}
			o.In, o.Out, o.Self, o.Now, o.JSON = a.in, a.screen(), self(), a.now, a.json
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DB, "db", "", "keep the database in `FILE`, and go on with what is in it")
	f.StringVar(&o.Documents, "documents", "", "read the .txt and .md files of `DIR` instead of the samples")
	f.BoolVar(&o.Yes, "yes", false, "ask nobody: a rule answers the questions")
	f.DurationVar(&o.Latency, "latency", 1600*time.Millisecond, "longest time that the stand-in for a model takes")
	f.BoolVar(&kill, "chaos", false, "kill worker processes on the way, and see that nothing is lost")
	f.IntVar(&c.Workers, "workers", 3, "chaos: worker processes at a time")
	f.DurationVar(&c.Every, "every", 2*time.Second, "chaos: time between two kills, about")
	f.IntVar(&c.Cycles, "cycles", 5, "chaos: kills at least; the documents are read again as often as it takes")
	f.Uint64Var(&c.Seed, "seed", 1, "chaos: decides when which worker is killed")
	cmd.AddCommand(a.workerCommand())
	return cmd
}

func (a *app) chaos(cmd *cobra.Command, o demo.Options, c chaos.Options) error {
	switch {
	case c.Workers < 1 || c.Workers > 20:
		return usage("--workers is %d; give 1 to 20", c.Workers)
	case c.Every < 200*time.Millisecond || c.Every > time.Minute:
		return usage("--every is %s; give 200ms to 1m", c.Every)
	case c.Cycles < 0:
		return usage("--cycles is %d; give zero or more", c.Cycles)
	case cmd.Flags().Changed("latency"):
		return usage("--latency does not go with --chaos, where it follows from --every")
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	c.DB, c.Documents, c.Command = o.DB, o.Documents, []string{exe, "demo", "worker"}
	c.Out, c.Err, c.JSON, c.Self = a.screen(), a.err, a.json, self()
	return chaos.Run(cmd.Context(), c)
}

// workerCommand is what --chaos starts.
func (a *app) workerCommand() *cobra.Command {
	var w chaos.Worker
	cmd := &cobra.Command{
		Use:    "worker",
		Short:  "A worker process of --chaos",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chaos.Work(cmd.Context(), w, a.in, a.out)
		},
	}
	f := cmd.Flags()
	f.IntVar(&w.Number, "worker", 0, "its number")
	f.StringVar(&w.DB, "db", "", "database `FILE`")
	f.StringVar(&w.Ledger, "ledger", "", "`FILE` to which bodies append when they begin and end")
	f.StringVar(&w.Results, "results", "", "`DIR` for results")
	f.DurationVar(&w.Latency, "latency", 0, "longest time that the stand-in for a model takes")
	f.DurationVar(&w.Lease, "lease", 2*time.Second, "lease")
	return cmd
}
