// Command dashboard builds the dashboard of a shop from four slow sources, side by side.
// One of them fails at first and is asked again; one is down, and its place says so. The
// sources are pretended, in memory.
//
//	go run ./examples/dashboard
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
	"sync/atomic"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

func main() {
	db := flag.String("db", "dashboard.db", "database file, made if there is none")
	day := flag.String("day", "Monday", "whose dashboard; there is one of each day")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *day); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, db, day string) error {
	build := dashboards(sources{slow: 200 * time.Millisecond, failed: new(atomic.Int32)})
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{build}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	r, err := build.Start(ctx, engine, Dashboard{Day: day}, durable.Key(day))
	if err != nil {
		return err
	}
	d, err := r.Wait(ctx)
	if err != nil {
		return err
	}
	x, err := engine.Execution(ctx, r.ID, durable.WithSteps)
	if err != nil {
		return err
	}
	for _, s := range x.Steps {
		if s.Kind == "step" {
			fmt.Fprintf(out, "  %-16s try %d: %s\n", s.Path, s.Attempt, s.Status)
		}
	}
	fmt.Fprintf(out, "%s: %s\n", d.Day, d.Text)
	for _, name := range d.Missing {
		fmt.Fprintf(out, "  %s did not answer\n", name)
	}
	return nil
}
