package examples_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

type Booking struct {
	City string `json:"city"`
	Room string `json:"room,omitempty"`
}

// desk is a hotel's.
type desk struct{ said []string }

func (d *desk) book(key, city string) (string, error) {
	d.said = append(d.said, "booked in "+city)
	return "room 7", nil
}

func (d *desk) cancel(key string) error {
	d.said = append(d.said, "cancelled")
	return nil
}

var errDeclined = errors.New("the card is declined")

func Example_saga() {
	var hotel desk
	// [compensate]
	book := durable.Step("hotel", func(ctx context.Context, b *Booking) (err error) {
		info, _ := durable.Info(ctx)
		b.Room, err = hotel.book(info.IdempotencyKey, b.City)
		return err
	}).Compensate(func(ctx context.Context, b *Booking) error {
		info, _ := durable.Info(ctx)
		return hotel.cancel(info.IdempotencyKey) // the key of the booking
	})
	pay := durable.Step("pay", func(ctx context.Context, b *Booking) error {
		return durable.Permanent(errDeclined)
	})
	w := durable.Define("trip", book, pay)
	// [/compensate]
	_, err := execute(w, Booking{City: "Lisbon"})
	// [wait]
	var end *durable.RunError
	if errors.As(err, &end) {
		fmt.Println(end.Status, "because of", end.Cause.Path+":", end.Cause.Message)
	}
	// [/wait]
	fmt.Println(hotel.said)
	// Output:
	// compensated because of pay: the card is declined
	// [booked in Lisbon cancelled]
}

func Example_sagaPolicy() {
	refund := func(ctx context.Context, b *Booking) error {
		// [calls]
		receipt, err := durable.Do(ctx, "refund", func(ctx context.Context) (string, error) {
			return "r-1", nil // asks the bank, once
		})
		if err != nil {
			return err
		}
		_, err = durable.WaitForEvent[string](ctx, "refunded "+receipt,
			durable.Timeout(72*time.Hour), durable.OnTimeout("late"))
		// [/calls]
		return err
	}
	charge := func(ctx context.Context, b *Booking) error { return nil }
	// [policy]
	pay := durable.Step("pay", charge).Compensate(refund,
		durable.Retry{MaxAttempts: 20, Base: time.Minute, Max: time.Hour})
	// [/policy]
	w := durable.Define("trip", pay, durable.Step("tickets", func(ctx context.Context, b *Booking) error { return errDeclined }))
	ctx := context.Background()
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Booking{})
	_ = engine.SendEvent(ctx, run.ID, "refunded r-1", "yes")
	_, err := run.Wait(ctx)
	fmt.Println(err != nil)
	// [records]
	x, err := engine.Execution(ctx, run.ID, durable.WithSteps)
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range x.Steps {
		if s.Kind == "compensate" {
			fmt.Println(s.Undoes, s.Attempt, s.Status, s.InDoubt)
		}
	}
	// [/records]
	// Output:
	// true
	// pay 1 done false
}

func Example_sagaCancel() {
	var hotel desk
	hold := durable.Step("hold", func(ctx context.Context, b *Booking) error {
		_, err := durable.WaitForApproval(ctx, "travel")
		return err
	})
	w := durable.Define("trip", durable.Step("hotel", func(ctx context.Context, b *Booking) (err error) {
		b.Room, err = hotel.book("", b.City)
		return err
	}).Compensate(func(ctx context.Context, b *Booking) error { return hotel.cancel("") }), hold)
	ctx := context.Background()
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Booking{City: "Oslo"})
	id := run.ID
	awaitQuestion(engine, id)
	// [cancel]
	err := engine.Cancel(ctx, id, "the customer is ill", durable.AndCompensate())
	// [/cancel]
	if err != nil {
		fmt.Println(err)
	}
	_, err = run.Wait(ctx)
	var end *durable.RunError
	fmt.Println(errors.As(err, &end) && end.Status == durable.Compensated, hotel.said)
	// [retry]
	err = engine.Retry(ctx, id) // only if it is compensation_failed
	// [/retry]
	fmt.Println(errors.Is(err, durable.ErrNotRetryable))
	// Output:
	// true [booked in Oslo cancelled]
	// true
}
