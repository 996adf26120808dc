// Command trial accompanies three people through a trial of four weeks: one subscribes, one
// closes the account, one never says a word. Nothing runs while it waits, so a week may be a
// week; here it lasts 200 ms. Interrupt it and start it again: the clocks of the trials have not stopped.
//
//	go run ./examples/trial
//	go run ./examples/trial -week 168h -db real.db
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
	db := flag.String("db", "trial.db", "database file, made if there is none")
	week := flag.Duration("week", 200*time.Millisecond, "how long a week lasts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *week); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, db string, week time.Duration) error {
	var engine *durable.Engine
	// The post, and what people do when they read it. An event waits for its run, so nobody
	// asks whether that is ready; its id makes it harmless to send it again.
	post := func(ctx context.Context, who, text string) error {
		info, _ := durable.Info(ctx)
		switch who + ": " + text {
		case "Ada: " + welcome:
			return engine.SendEvent(ctx, info.Execution, subscribed, nil, durable.EventID("Ada's order"))
		case "Bob: " + halfTime:
			return engine.SendEvent(ctx, info.Execution, closed, nil, durable.EventID("Bob's letter"))
		}
		return nil
	}
	try := trials(week, post)
	var err error
	engine, err = durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{try}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	var runs []*durable.Run[Trial]
	for _, who := range []string{"Ada", "Bob", "Eve"} {
		r, err := try.Start(ctx, engine, Trial{Who: who}, durable.Key(who))
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	for _, r := range runs {
		t, err := r.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s (%s)\n", t.Who, or(t.End, "no word"))
		for _, text := range t.Mails {
			fmt.Fprintf(out, "  %s\n", text)
		}
	}
	return nil
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
