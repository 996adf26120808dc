// Command research reads many documents side by side, and lets an agent write a report. The run has a budget: when it is
// used up a person is asked to raise it, and what is read stays read. What one model does not take another one does.
// Kill it at any point and start it again: it goes on where it was, and pays for no document twice.
//
// Rules stand in for the language models, so it needs no key and no network. AI_MODEL_QUICK and AI_MODEL_CAREFUL choose
// real ones:
//
//	go run ./examples/research
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/internal/hold"
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "research.db", "database file, made if there is none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db); err != nil {
		log.Fatal(err)
	}
}

// models knows two models, and what a run may cost.
func models(r *readers) ai.Config {
	return ai.Config{
		Aliases:   map[string]string{"quick": "rules:quick", "careful": "rules:careful"},
		Providers: map[string]ai.Provider{"rules": r},
		Budgets:   map[string]ai.Budget{"research": {Calls: 12, Tokens: 200_000}},
	}
}

const question = "From which temperature on do bees fly?"

func run(ctx context.Context, out io.Writer, db string) error {
	client, err := ai.New(models(new(readers)))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ai.WithClient(ctx, client))
	defer stop(nil)
	names, library := shelf(15)
	studies := study(library)
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{studies}, Logger: slog.New(slog.DiscardHandler),
		Queues: map[string]durable.Queue{"ai": {Concurrency: 4}},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := hold.Release(ctx, engine); err != nil {
		return err
	}
	go engine.Run(ctx)
	go treasurer(ctx, engine, stop)
	go hold.Tell(ctx, engine, "research")

	started, err := studies.Start(ctx, engine, Study{Question: question, Papers: names}, durable.Key("bees"))
	if err != nil {
		return err
	}
	s, err := started.Wait(ctx)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err) // the cause says why it was stopped
	}
	fmt.Fprintf(out, "%s\n%s\n", s.Question, s.Report.Answer)
	fmt.Fprintf(out, "from %s; not read: %s\n", strings.Join(s.Report.Sources, ", "), strings.Join(s.Unread, ", "))
	calls, err := ai.Calls(ctx, engine, started.ID)
	if err != nil {
		return err
	}
	var sum ai.Sum
	for i := range calls {
		sum.Add(&calls[i])
	}
	fmt.Fprintf(out, "%d answers, %d tokens, %s\n", sum.Answers, sum.Usage.Total(), sum.Cost)
	return nil
}

// treasurer stands in for the person who is asked when the budget is used up, and raises it. It cannot help a model that refuses its
// key: then it stops the program, with what the model's provider said.
func treasurer(ctx context.Context, engine *durable.Engine, stop context.CancelCauseFunc) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		page, err := engine.PendingInputs(ctx, durable.InputFilter{Workflow: "research"})
		if err != nil {
			continue // looked for again
		}
		for _, q := range page.Inputs {
			if held := hold.Of(q); held != nil && !held.Budget {
				stop(held)
				return
			}
			_ = engine.ProvideInput(ctx, q.Execution, q.ID, map[string]any{"do": "raise", "calls": 40}, durable.By("treasurer"))
		}
	}
}
