// Command agent lets an agent answer customers: in a loop it thinks, uses a tool, and looks
// at what came of it. Tools are workflows of their own, and one of them needs a person's yes for
// large amounts. Rules stand in for the model, and the shop is pretended, so it needs no key and no network.
//
//	go run ./examples/agent
package main

import (
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
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "agent.db", "database file, made if there is none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db); err != nil {
		log.Fatal(err)
	}
}

// serves are the workflows that an engine needs: the agent and its tools.
func serves(agent *durable.Workflow[Task], tools map[string]*durable.Workflow[Use]) []durable.Definition {
	list := []durable.Definition{agent}
	for _, tool := range tools {
		list = append(list, tool)
	}
	return list
}

func run(ctx context.Context, out io.Writer, db string) error {
	kit := tools(new(shop))
	agent := agents(think, kit)
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: serves(agent, kit), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)
	go support(ctx, engine)

	asks := []string{"Where is my order 17?", "Where is my order 18?", "Where is my order 19?", "Where is my order 20?"}
	runs, err := agent.StartMany(ctx, engine, tasks(asks), func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Key(asks[i])}
	})
	if err != nil {
		return err
	}
	for _, r := range runs {
		t, err := r.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", t.Ask)
		for _, turn := range t.Turns {
			fmt.Fprintf(out, "  %s: %s\n", turn.Use.Tool, turn.Said)
		}
		fmt.Fprintf(out, "  -> %s\n", t.Answer)
	}
	return nil
}

func tasks(asks []string) []Task {
	list := make([]Task, len(asks))
	for i, ask := range asks {
		list[i].Ask = ask
	}
	return list
}

// support stands in for the people who say yes to 400 EUR and no to 900.
func support(ctx context.Context, engine *durable.Engine) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		page, err := engine.PendingInputs(ctx, durable.InputFilter{Assignee: "support"})
		if err != nil {
			continue // looked for again
		}
		for _, q := range page.Inputs {
			yes := strings.Contains(q.Prompt, " 400 EUR")
			_ = engine.ProvideInput(ctx, q.Execution, q.ID, durable.Approval{Approved: yes, Comment: "ask Eve first"}, durable.By("support"))
		}
	}
}
