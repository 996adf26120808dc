// Command hello is the program of docs/getting-started.md: three steps of a
// second each, on one file. Kill it at any point and start it again.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// [steps]

// Order is the state: what flows from step to step, and is stored after each.
type Order struct {
	ID      string `json:"id"`
	Receipt string `json:"receipt,omitempty"`
	Parcel  string `json:"parcel,omitempty"`
}

func charge(ctx context.Context, o *Order) error {
	info, _ := durable.Info(ctx)
	fmt.Println("charging", o.ID, "with idempotency key", info.IdempotencyKey)
	o.Receipt = "R-" + o.ID
	return work(ctx)
}

func pack(ctx context.Context, o *Order) error {
	fmt.Println("packing", o.ID)
	o.Parcel = "P-" + o.ID
	return work(ctx)
}

func ship(ctx context.Context, o *Order) error {
	fmt.Println("shipping", o.Parcel)
	return work(ctx)
}

// [/steps]

// [workflow]

// HandleOrder says how the steps follow each other.
// lint:var a definition, made once and never changed
var HandleOrder = durable.Define("handle_order",
	durable.Step("charge", charge).Retry(durable.Retry{MaxAttempts: 5}),
	durable.Step("pack", pack),
	durable.Step("ship", ship),
)

// [/workflow]

// work stands in for something that takes a second.
func work(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// [main]
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	engine, err := durable.Open(ctx, sqlite.Open("hello.db"), durable.Config{
		Workflows: []durable.Definition{HandleOrder},
		Lease:     2 * time.Second, // how long a killed worker is waited for; 10 s by default
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	go engine.Run(ctx) // a worker

	// With a key, the second start of this program finds the run of the first.
	run, err := HandleOrder.Start(ctx, engine, Order{ID: "a-1"}, durable.Key("order-a-1"))
	if err != nil {
		log.Print(err)
		return
	}
	order, err := run.Wait(ctx)
	fmt.Printf("%+v %v\n", order, err)
}

// [/main]
