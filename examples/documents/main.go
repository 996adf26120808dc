// Command documents reads a few documents with the durable pipeline and prints what it
// found. Kill it at any point and start it again: it goes on where it was, and pays for no call twice.
//
//	go run ./examples/documents            # all samples
//	go run ./examples/documents empty note-phone
//
// It asks the model that it finds: AI_MODEL_SMART, a key in the environment, Ollama, or the offline model, which is
// rules and naive Bayes and no LLM.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "documents.db", "database file, made if there is none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	model, why := ai.Auto()
	fmt.Printf("Asking %s: %s.\n", model, why)
	if err := run(ctx, os.Stdout, model, *db, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, model, db string, ids []string) (err error) {
	if len(ids) == 0 {
		for _, s := range samples.All() {
			ids = append(ids, s.Name)
		}
	}
	client, err := ai.New(ai.Config{
		Aliases: map[string]string{pipeline.Smart: model},
		Budgets: map[string]ai.Budget{pipeline.Name: {Money: ai.USD / 2, Tokens: 200_000}}, // for each document
	})
	if err != nil {
		return err
	}
	ctx = ai.WithClient(ctx, client)
	office := pipeline.Pipeline{Source: pipeline.Samples{}, Archive: new(pipeline.Memory)}
	process := office.Workflow()

	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{process},
		Queues:    map[string]durable.Queue{"ai": {Concurrency: 5}},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	// The key makes a second start of this program find the run of the first.
	inputs := make([]pipeline.Document, len(ids))
	for i, id := range ids {
		inputs[i].ID = id
	}
	runs, err := process.StartMany(ctx, engine, inputs, func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Key(ids[i])}
	})
	if err != nil {
		return err
	}

	go answer(ctx, engine)
	for i, r := range runs {
		doc, err := r.Wait(ctx)
		if err != nil {
			fmt.Fprintf(out, "%-32s %v\n", ids[i], err)
			continue
		}
		fmt.Fprintf(out, "%-32s %-8s %5s  %s\n", ids[i], doc.Type, doc.Surety(), doc.Summary())
	}
	return nil
}

// answer stands in for the people who look at the doubtful ones.
func answer(ctx context.Context, engine *durable.Engine) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := pipeline.AnswerByRule(ctx, engine); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}
