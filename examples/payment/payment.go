package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
)

// Order is what a customer wants, and what is paid of it, in cents.
type Order struct {
	ID    string `json:"id"`
	Total int    `json:"total"`

	Payments []string `json:"payments,omitempty"` // ids, as they came
	Paid     int      `json:"paid,omitempty"`
	Late     bool     `json:"late,omitempty"`
	Status   string   `json:"status,omitempty"`
}

// Payment is what the bank tells of. It knows the order, and no run.
type Payment struct {
	ID    string `json:"id"`
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

const confirmed = "payment.confirmed"

// orders is the workflow: money is collected until the order is paid, in as many payments
// as it takes. If none comes for three days the goods and the money go back.
func orders(day time.Duration, do func(what string)) *durable.Workflow[Order] {
	return durable.Define("order",
		durable.Step("reserve", func(_ context.Context, o *Order) error {
			do("the goods of " + o.ID + " are put aside")
			return nil
		}),
		durable.Loop("collect", func(o *Order) bool { return o.Paid < o.Total && !o.Late },
			durable.Event("payment", (*Order).pay).
				Named(confirmed).
				Correlate(func(o *Order) string { return o.ID }).
				Timeout(3*day).
				OnTimeout(Payment{}),
		),
		durable.Branch("is_paid", func(o *Order) bool { return !o.Late }).
			Case(true, durable.Step("ship", func(_ context.Context, o *Order) error {
				o.Status = "shipped"
				do("the goods of " + o.ID + " are shipped")
				return nil
			})).
			Case(false, durable.Step("release", func(_ context.Context, o *Order) error {
				o.Status = "not paid in time"
				do("the goods of " + o.ID + " go back to the shelf, the money to who has paid")
				return nil
			})),
	)
}

// pay takes a payment into the order. None has an empty id: nobody paid in time.
func (o *Order) pay(p Payment) {
	if p.ID == "" {
		o.Late = true
		return
	}
	o.Payments = append(o.Payments, p.ID)
	o.Paid += p.Cents
}

// hook is what the bank calls for each payment, at least once. It needs no run's id, and
// may be called before there is one: the first that asks for the order gets it. The id of the payment
// removes duplicates.
func hook(ctx context.Context, engine *durable.Engine, p Payment) (durable.Published, error) {
	return engine.Publish(ctx, confirmed, p.Order, p, durable.EventID(p.ID), durable.Keep(30*24*time.Hour))
}
