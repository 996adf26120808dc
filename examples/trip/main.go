// Command trip books two trips: one that the card pays for, and one that it does not.
// Everything that was booked for the second one is given back, though the hotel's
// line is busy at first. The airline, the hotel and the bank are pretended, in memory.
//
//	go run ./examples/trip
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

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "trip.db", "database file, made if there is none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, db string) error {
	desk := &agency{lineUp: 2}
	book := trips(desk)
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{book}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	for _, t := range []Trip{{To: "Lisbon", Nights: 3, Budget: 1000}, {To: "Tokyo", Nights: 10, Budget: 1000}} {
		r, err := book.Start(ctx, engine, t, durable.Key(t.To))
		if err != nil {
			return err
		}
		if !r.Existing {
			if err := engine.SendEvent(ctx, r.ID, "tickets printed", "at home"); err != nil {
				return err
			}
		}
		_, end := r.Wait(ctx)
		x, err := engine.Execution(ctx, r.ID, durable.WithSteps)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", t.To, x.Status)
		if end != nil && x.Error != nil {
			fmt.Fprintf(out, "  because of %s\n", x.Error.Error())
		}
		for _, s := range x.Steps {
			switch s.Kind {
			case "step":
				fmt.Fprintf(out, "  %-18s try %d: %s\n", s.Path, s.Attempt, s.Status)
			case "compensate":
				fmt.Fprintf(out, "  undo %-18s try %d: %s\n", s.Undoes, s.Attempt, s.Status)
			}
		}
	}
	return nil
}
