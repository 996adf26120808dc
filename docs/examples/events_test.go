package examples_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durable-go/durable"
)

type Order struct {
	ID     string `json:"id"`
	Status string `json:"status,omitempty"`
}

// [any]
func awaitDecision(ctx context.Context, o *Order) error {
	a, err := durable.WaitForAny(ctx, []string{"approved", "rejected"}, durable.Timeout(48*time.Hour))
	if err != nil {
		return err
	}
	if a.Name == "rejected" {
		why, err := durable.Payload[string](a)
		if err != nil {
			return err
		}
		return durable.CancelRun(why)
	}
	o.Status = "approved"
	return nil
}

// [/any]

// [all]
func awaitParts(ctx context.Context, o *Order) error {
	all, err := durable.WaitForAll(ctx, []string{"packed", "labelled"}, durable.Timeout(8*time.Hour))
	switch {
	case errors.Is(err, durable.ErrTimeout):
		return fmt.Errorf("still missing: %s: %w", strings.Join(all.Missing, ", "), err)
	case err != nil:
		return err
	}
	by, err := durable.Payload[string](all.Of("packed"))
	o.Status = "packed by " + by
	return err
}

// [/all]

// [correlate]
type Paid struct {
	Cents int `json:"cents"`
}

func awaitPayment(ctx context.Context, o *Order) error {
	p, err := durable.WaitForEvent[Paid](ctx, "payment.confirmed", durable.Correlate(o.ID))
	o.Status += fmt.Sprintf(", paid %d", p.Cents)
	return err
}

// [/correlate]

// [mixed]
func awaitPaymentOrCancel(ctx context.Context, o *Order) error {
	a, err := durable.WaitForAny(ctx, []string{"payment.confirmed", "cancelled"},
		durable.Correlate(o.ID, "payment.confirmed")) // "cancelled" is sent to the run
	if err != nil {
		return err
	}
	o.Status += ", " + a.Name
	return nil
}

// [/mixed]

func Example_events() {
	ctx := context.Background()
	w := durable.Define("order",
		durable.Step("decide", awaitDecision),
		durable.Step("parts", awaitParts),
		durable.Step("pay", awaitPayment),
		durable.Step("pay_again", awaitPaymentOrCancel),
		// [node]
		durable.Event("closed", func(o *Order, by string) { o.Status += ", closed by " + by }).
			Named("order.closed").
			Correlate(func(o *Order) string { return o.ID }),
		// [/node]
	)
	engine := open(w)
	defer engine.Close()
	run, err := w.Start(ctx, engine, Order{ID: "o-17"})
	if err != nil {
		fmt.Println(err)
	}
	for _, name := range []string{"approved", "labelled", "packed"} {
		if err := engine.SendEvent(ctx, run.ID, name, "Ada"); err != nil {
			fmt.Println(err)
		}
	}
	// [publish]
	p, err := engine.Publish(ctx, "payment.confirmed", "o-17", Paid{Cents: 990},
		durable.EventID("stripe-evt-1"), // the same webhook again has no effect
		durable.Keep(72*time.Hour))      // if nobody waits yet; 24 hours by default
	// [/publish]
	if err != nil || p.Got+len(fmt.Sprint(p.Kept)) == 0 {
		fmt.Println(p, err)
	}
	for name, payload := range map[string]any{"payment.confirmed": Paid{Cents: 10}, "order.closed": "Bob"} {
		if _, err := engine.Publish(ctx, name, "o-17", payload); err != nil {
			fmt.Println(err)
		}
	}
	o, err := run.Wait(ctx)
	fmt.Println(o.Status, err)
	// Output: packed by Ada, paid 990, payment.confirmed, closed by Bob <nil>
}
