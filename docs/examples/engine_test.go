// Package examples_test is what the guides show: pieces of it, between marks
// such as "// [retry]" and "// [/retry]", are copied into them.
package examples_test

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/memory"
)

// open opens an engine on a store in memory, with a worker. What it logs is
// dropped.
func open(workflows ...durable.Definition) *durable.Engine {
	engine, err := durable.Open(context.Background(), memory.New(), durable.Config{
		Workflows: workflows,
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	go engine.Run(context.Background())
	return engine
}

// execute runs a workflow to its end.
func execute[S any](w *durable.Workflow[S], input S) (S, error) {
	engine := open(w)
	defer engine.Close()
	run, err := w.Start(context.Background(), engine, input)
	if err != nil {
		return input, err
	}
	return run.Wait(context.Background())
}

// awaitQuestion waits until a run asks people something.
func awaitQuestion(engine *durable.Engine, id durable.ID) durable.PendingInput {
	for {
		page, err := engine.PendingInputs(context.Background(), durable.InputFilter{Execution: id})
		if err != nil {
			panic(err)
		}
		if len(page.Inputs) > 0 {
			return page.Inputs[0]
		}
		<-time.After(time.Millisecond)
	}
}
