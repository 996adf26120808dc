// Command payment ships four orders when the bank says that they are paid: one in two
// payments, one that is paid before its order is there, one of which the bank tells twice, and one
// that nobody pays. A day lasts 200 ms. The shop and the bank are pretended, in memory.
//
//	go run ./examples/payment
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
	db := flag.String("db", "payment.db", "database file, made if there is none")
	day := flag.Duration("day", 200*time.Millisecond, "how long a day lasts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *day); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, db string, day time.Duration) error {
	sell := orders(day, func(string) {})
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{sell}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	// The bank is fast: this payment is there before its order.
	if err := tell(ctx, out, engine, Payment{"p-1", "early", 500}); err != nil {
		return err
	}
	inputs := []Order{{ID: "parts", Total: 900}, {ID: "early", Total: 500}, {ID: "twice", Total: 800}, {ID: "never", Total: 100}}
	runs, err := sell.StartMany(ctx, engine, inputs, func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Key(inputs[i].ID)}
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(day / 2): // the others take their time
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range []Payment{
		{"p-2", "parts", 400}, {"p-3", "parts", 500}, // two payments of one order
		{"p-4", "twice", 400}, {"p-4", "twice", 400}, {"p-5", "twice", 400}, // the bank repeats itself
	} {
		if err := tell(ctx, out, engine, p); err != nil {
			return err
		}
	}
	for _, r := range runs {
		o, err := r.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s; %d of %d paid with %v\n", o.ID, o.Status, o.Paid, o.Total, o.Payments)
	}
	return nil
}

func tell(ctx context.Context, out io.Writer, engine *durable.Engine, p Payment) error {
	became, err := hook(ctx, engine, p)
	if err != nil {
		return err
	}
	text := "an order that waits has got it"
	switch {
	case became.Duplicate:
		text = "it was told before; nothing happens"
	case became.Kept:
		text = "nobody waits for it yet; it is kept"
	}
	fmt.Fprintf(out, "the bank tells of %s for %s: %s\n", p.ID, p.Order, text)
	return nil
}
