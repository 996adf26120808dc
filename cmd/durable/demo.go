package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/cmd/durable/internal/chaos"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
)

// chaosFlags are the flags that --chaos alone understands.
func chaosFlags() []string { return []string{"workers", "every", "cycles"} }

func (a *app) demoCommand() *cobra.Command {
	var (
		o     demo.Options
		c     chaos.Options
		named string
		kill  bool
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Read documents with a durable pipeline: no key, no network, no server",
		Long: "The demo reads sample documents with the pipeline of examples/documents: it asks a model what each one\n" +
			"is and what it says, checks the amounts, and asks you where it is unsure. Stop it at any point and\n" +
			"start it again with --db: it goes on, and pays for no answer twice.\n\n" +
			"The model is the one that AI_MODEL_SMART names; else one of Anthropic, OpenAI or Gemini if its key is\n" +
			"set; else Ollama's if it answers; else the offline model: " + offline.Badge + ".\n" +
			"That one is asked over HTTP, by a server in this process which fails at times. A model that costs\n" +
			"something gets $0.50 and 200,000 tokens in all.\n\n" +
			"With --chaos, worker processes do the same while one of them is killed with SIGKILL every few\n" +
			"seconds; then every result is compared and every body that ran twice is explained.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Latency < 0 {
				return usage("--latency is %s; give zero or more", o.Latency)
			}
			if kill {
				if named != "" && !demo.IsOffline(named) {
					return usage("--chaos asks the offline model only: what it kills would have to be paid for")
				}
				return a.chaos(cmd, o, c)
			}
			for _, name := range chaosFlags() {
				if cmd.Flags().Changed(name) {
					return usage("--%s goes with --chaos", name)
				}
			}
			if o.Model = demo.Choose(named); !o.Model.Offline {
				for _, name := range []string{"latency", "faults", "seed"} {
					if cmd.Flags().Changed(name) {
						return usage("--%s goes with the offline model; this is %s: %s", name, o.Model.Name, o.Model.Reason)
					}
				}
			}
			if cmd.Flags().Changed("seed") && !o.Faults {
				return usage("--seed decides which requests fail, and --faults=false lets none fail")
			}
			o.In, o.Out, o.Self, o.Now, o.JSON = a.in, a.screen(), self(), a.now, a.json
			return demo.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DB, "db", "", "keep the database in `FILE`, and go on with what is in it")
	f.StringVar(&o.Documents, "documents", "", "read the .txt and .md files of `DIR` instead of the samples")
	f.BoolVar(&o.Yes, "yes", false, "ask nobody: a rule answers the questions")
	f.StringVar(&named, "model", "", "ask this `MODEL`, such as "+demo.OfflineModel+" or anthropic:NAME")
	f.DurationVar(&o.Latency, "latency", 800*time.Millisecond, "longest time that the offline model takes")
	f.BoolVar(&o.Faults, "faults", true, "let requests to the offline model fail at times")
	f.Uint64Var(&o.Seed, "seed", 1, "decides which requests fail; with --chaos, also when which worker is killed")
	f.BoolVar(&kill, "chaos", false, "kill worker processes on the way, and see that nothing is lost")
	f.IntVar(&c.Workers, "workers", 3, "chaos: worker processes at a time")
	f.DurationVar(&c.Every, "every", 2*time.Second, "chaos: time between two kills, about")
	f.IntVar(&c.Cycles, "cycles", 5, "chaos: kills at least; the documents are read again as often as it takes")
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
	c.DB, c.Documents, c.Seed, c.Faults, c.Command = o.DB, o.Documents, o.Seed, o.Faults, []string{exe, "demo", "worker"}
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
	f.StringVar(&w.Model, "model", "", "`URL` of the server of the offline model")
	f.DurationVar(&w.Lease, "lease", 2*time.Second, "lease")
	return cmd
}
