// Command expense gives four people their money back, or not: a small amount needs no approval,
// one is approved by the lead, one by finance when the lead has been silent, and one by nobody. A
// day lasts 300 ms. People are pretended; with -ask you are all of them.
//
//	go run ./examples/expense
//	go run ./examples/expense -ask -day 1m -db mine.db
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
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "expense.db", "database file, made if there is none")
	day := flag.Duration("day", 300*time.Millisecond, "how long a day lasts")
	ask := flag.Bool("ask", false, "ask on the terminal")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var in io.Reader
	if *ask {
		in = os.Stdin
	}
	if err := run(ctx, in, os.Stdout, *db, *day); err != nil {
		log.Fatal(err)
	}
}

// run asks in, or a rule if there is none.
func run(ctx context.Context, in io.Reader, out io.Writer, db string, day time.Duration) error {
	claim := claims(day)
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{claim}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	people := desk{engine: engine}
	people.answer = people.byRule
	if in != nil {
		people.answer = people.byTerminal(in, out)
	}
	var runs []*durable.Run[Claim]
	for _, who := range []string{"Ada", "Bob", "Cleo", "Dan"} {
		r, err := claim.Start(ctx, engine, Claim{Who: who}, durable.Key(who))
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	open, done := context.WithCancel(ctx)
	go func() {
		defer done()
		for _, r := range runs {
			_, _ = r.Wait(ctx) // told below
		}
	}()
	people.serve(open)
	for _, r := range runs {
		c, err := r.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s, %d EUR for %s: %s\n", c.Who, c.Expense.Amount, c.Expense.Purpose, c.Status)
		x, err := engine.Execution(ctx, r.ID, durable.WithSteps)
		if err != nil {
			return err
		}
		for _, s := range x.Steps {
			for _, w := range s.Waits {
				tell(out, w)
			}
		}
	}
	return nil
}

// tell says what happened to a question while it was open.
func tell(out io.Writer, w durable.WaitRecord) {
	for _, n := range w.Notes {
		switch n.Kind {
		case "reminded":
			fmt.Fprintf(out, "  %s: a reminder\n", w.Name)
		case "escalated":
			fmt.Fprintf(out, "  %s: passed on to %s\n", w.Name, n.To)
		}
	}
	if w.By == "timeout" {
		fmt.Fprintf(out, "  %s: out of time\n", w.Name)
		return
	}
	fmt.Fprintf(out, "  %s: answered\n", w.Name)
}
