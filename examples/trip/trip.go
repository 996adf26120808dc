package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
)

// Trip is what somebody wants to book, and what is booked of it.
type Trip struct {
	To     string `json:"to"`
	Nights int    `json:"nights"`
	Budget int    `json:"budget"`

	Flight string `json:"flight,omitempty"`
	Hotel  string `json:"hotel,omitempty"`
	Car    string `json:"car,omitempty"`
	Paid   bool   `json:"paid,omitempty"`
}

func (t *Trip) cost() int { return 300 + 120*t.Nights }

// trips is the workflow: the flight first, hotel and car side by side, then the money.
// Whatever fails, all that was booked before is given back, the last first.
func trips(a *agency) *durable.Workflow[Trip] {
	busy := durable.Retry{MaxAttempts: 10, Base: 200 * time.Millisecond, Max: time.Minute}
	return durable.Define("trip",
		durable.Step("flight", func(ctx context.Context, t *Trip) error {
			t.Flight = "flight to " + t.To
			return a.order(key(ctx), t.Flight)
		}).Compensate(func(ctx context.Context, t *Trip) error {
			return a.cancel(key(ctx), t.Flight)
		}),
		durable.Parallel("there",
			durable.Step("hotel", func(ctx context.Context, t *Trip) error {
				t.Hotel = "hotel in " + t.To
				return a.order(key(ctx), t.Hotel)
			}).Compensate(func(ctx context.Context, t *Trip) error {
				return a.cancel(key(ctx), t.Hotel)
			}, busy),
			durable.Step("car", func(ctx context.Context, t *Trip) error {
				t.Car = "car in " + t.To
				return a.order(key(ctx), t.Car)
			}).Compensate(func(ctx context.Context, t *Trip) error {
				return a.cancel(key(ctx), t.Car)
			}),
		),
		durable.Step("pay", func(ctx context.Context, t *Trip) error {
			if err := a.charge(key(ctx), t.Budget, t.cost()); err != nil {
				return durable.Permanent(err)
			}
			t.Paid = true
			return nil
		}).Compensate(func(ctx context.Context, t *Trip) error {
			return a.cancel(key(ctx), "payment")
		}),
		durable.Step("tickets", func(ctx context.Context, t *Trip) error {
			_, err := durable.WaitForEvent[string](ctx, "tickets printed", durable.Timeout(24*time.Hour))
			return err
		}),
	)
}

// key is the same in a step and in its compensation: the order that is cancelled is
// the order that was made.
func key(ctx context.Context) string {
	info, _ := durable.Info(ctx)
	return info.IdempotencyKey
}
