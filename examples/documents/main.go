// Command documents reads a few documents with the durable pipeline and prints what it
// found. Kill it at any point and start it again: it goes on where it was, and pays for no call twice.
//
//	go run ./examples/documents            # all samples
//	go run ./examples/documents empty note-phone
//
// It asks the model that it finds: AI_MODEL_SMART, a key in the environment, Ollama, or the offline model, which is
// rules and naive Bayes and no LLM. All documents together may cost $0.50 and 200,000 tokens. A key that is refused ends it; so does a
// quota that is used up.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
	"github.com/durable-go/durable/examples/internal/hold"
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

func run(ctx context.Context, out io.Writer, model, db string, ids []string) error {
	if len(ids) == 0 {
		for _, s := range samples.All() {
			ids = append(ids, s.Name)
		}
	}
	cfg := ai.Config{Aliases: map[string]string{pipeline.Smart: model}}
	if !strings.HasPrefix(model, "offline:") {
		cfg.Budgets = map[string]ai.Budget{pileName: budget()}
	}
	client, err := ai.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ai.WithClient(ctx, client))
	defer stop(nil)
	office := pipeline.Pipeline{Source: pipeline.Samples{}, Archive: new(pipeline.Memory)}
	process := office.Workflow()
	piles := readPile(process)

	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{process, piles},
		Queues:    map[string]durable.Queue{"ai": {Concurrency: 5}},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	defer stop(nil) // first: nobody is to ask an engine that is closed
	if err := hold.Release(ctx, engine); err != nil {
		return err
	}
	go engine.Run(ctx)

	pile := Pile{IDs: ids}
	r, err := piles.Start(ctx, engine, pile, durable.Key(pile.key()))
	if err != nil {
		return err
	}
	go answer(ctx, engine, stop)
	go hold.Tell(ctx, engine, pipeline.Name)
	if pile, err = r.Wait(ctx); err != nil {
		return cmp.Or(context.Cause(ctx), err) // the cause says why it was stopped
	}
	return show(out, pile)
}

// show prints what came of the documents; that some could not be read is an error.
func show(out io.Writer, pile Pile) error {
	failed := 0
	for i, r := range pile.Results {
		if r.Error != "" {
			failed++
			fmt.Fprintf(out, "%-32s %s\n", pile.IDs[i], r.Error)
			continue
		}
		doc := r.Document
		fmt.Fprintf(out, "%-32s %-8s %5s  %s\n", pile.IDs[i], doc.Type, doc.Surety(), doc.Summary())
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d documents could not be read", failed, len(pile.Results))
	}
	return nil
}

// answer stands in for the people who look at the doubtful ones. It cannot help a model that refuses its key: then it stops
// the program, with what the model's provider said.
func answer(ctx context.Context, engine *durable.Engine, stop context.CancelCauseFunc) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := pipeline.AnswerByRule(ctx, engine)
		var held *hold.Error
		switch {
		case errors.As(err, &held):
			stop(held)
		case err != nil && ctx.Err() == nil:
			log.Print(err)
		}
	}
}
