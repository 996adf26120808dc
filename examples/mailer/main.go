// Command mailer writes to 1,000 people, of whom some have moved away. Interrupt it and
// start it again: it goes on with those who are left. The post office is pretended, in memory.
//
//	go run ./examples/mailer
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
	db := flag.String("db", "mailer.db", "database file, made if there is none")
	subject := flag.String("subject", "We have moved", "of the letter; each subject goes out once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *subject, people(1000), new(office)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, db, subject string, people []string, o *office) error {
	send := campaigns(o)
	engine, err := durable.Open(ctx, sqlite.Open(db), durable.Config{
		Workflows: []durable.Definition{send}, Logger: slog.New(slog.DiscardHandler),
		Queues: map[string]durable.Queue{"mail": {Concurrency: 50}},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	go engine.Run(ctx)

	r, err := send.Start(ctx, engine, Campaign{Subject: subject, People: people}, durable.Key(subject))
	if err != nil {
		return err
	}
	if r.Existing {
		fmt.Fprintf(out, "%q was begun before; what is left of it goes on\n", subject)
	}
	c, err := r.Wait(ctx)
	if ctx.Err() != nil {
		fmt.Fprintf(out, "interrupted: this process has sent %d letters; start it again for the rest\n", o.letters())
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d of %d letters are sent, %d of them by this process\n", c.Sent, len(c.People), o.letters())
	for i, b := range c.Failed {
		if i == 3 {
			fmt.Fprintf(out, "  … and %d more that could not be sent\n", len(c.Failed)-i)
			break
		}
		fmt.Fprintf(out, "  %s: %s\n", b.To, b.Why)
	}
	return nil
}

// people are made up. Every hundredth has moved away.
func people(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("reader-%04d@post.example", i)
		if i%100 == 99 {
			list[i] = fmt.Sprintf("reader-%04d@nowhere.example", i)
		}
	}
	return list
}
