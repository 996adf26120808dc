package examples_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// [state]
type Payment struct {
	Order   string `json:"order"`
	Cents   int    `json:"cents"`
	Receipt string `json:"receipt,omitempty"`
}

func pay(ctx context.Context, p *Payment) error {
	receipt, err := bank.Charge(ctx, p.Cents)
	if err != nil {
		return err // a failed attempt: what it did to p is dropped
	}
	p.Receipt = receipt // stored when pay returns nil
	return nil
}

// [/state]

// bank stands in for something outside.
var bank theBank

type theBank struct {
	charges int
	keys    []string
}

var errBusy = errors.New("the bank is busy")

func (b *theBank) Charge(context.Context, int) (string, error) {
	if b.charges++; b.charges == 1 {
		return "", errBusy
	}
	return "R-1", nil
}

func (b *theBank) ChargeOnce(_ context.Context, key string, _ int) (string, error) {
	b.keys = append(b.keys, key)
	if len(b.keys) == 1 {
		return "", errBusy
	}
	return "R-1", nil
}

func (b *theBank) Find(context.Context, string) (string, bool, error) { return "R-1", true, nil }

func Example_retry() {
	bank = theBank{}
	w := durable.Define("pay",
		// [retry]
		durable.Step("pay", pay).Retry(durable.Retry{
			MaxAttempts: 5,                   // the first one included
			Backoff:     durable.Exponential, // 2, 4, 8, 16 … times Base
			Base:        time.Millisecond,    // 1 s by default
			Max:         time.Minute,         // 30 s by default
			If:          func(err error) bool { return errors.Is(err, errBusy) },
		}),
		// [/retry]
	)
	p, err := execute(w, Payment{Order: "a-1", Cents: 4200})
	fmt.Println(p.Receipt, err)
	// Output: R-1 <nil>
}

func Example_timeout() {
	w := durable.Define("pay",
		// [timeout]
		durable.Step("pay", func(ctx context.Context, p *Payment) error {
			select {
			case <-ctx.Done(): // pass ctx on to what the step calls
				return context.Cause(ctx)
			case <-time.After(time.Hour):
				return nil
			}
		}).Timeout(5*time.Millisecond),
		// [/timeout]
	)
	_, err := execute(w, Payment{})
	var failed *durable.Failure
	fmt.Println(errors.As(err, &failed), failed.Code)
	// Output: true step_timeout
}

func Example_runTimeout() {
	// [run-timeout]
	w := durable.Define("pay",
		durable.Step("pay", pay),
		durable.Event("delivered", func(p *Payment, at time.Time) {}),
	).Timeout(30 * 24 * time.Hour)
	// [/run-timeout]
	_, err := execute(w.Timeout(50*time.Millisecond), Payment{})
	var failed *durable.Failure
	fmt.Println(errors.As(err, &failed), failed.Code)
	// Output: true run_timeout
}

func Example_outcomes() {
	for _, state := range []string{"stolen", "limited", "pending", "withdrawn"} {
		slept := false
		w := durable.Define("pay", durable.Step("pay", func(ctx context.Context, p *Payment) error {
			// [outcomes]
			switch state {
			case "stolen": // trying again cannot help
				return durable.Permanent(errors.New("the card is stolen"))
			case "limited": // the next attempt comes exactly then
				return durable.RetryAfter(errors.New("too many requests"), 30*time.Second)
			case "pending": // not yet; this is no failure and uses no attempt
				if !slept {
					slept = true
					return durable.Snooze(time.Millisecond)
				}
				return nil
			case "withdrawn": // ends the whole run as cancelled
				return durable.CancelRun("the order was withdrawn")
			}
			// [/outcomes]
			return nil
		}))
		_, err := execute(w, Payment{})
		var end *durable.RunError
		if errors.As(err, &end) {
			fmt.Println(state, end.Status, end.Cause.Code)
		} else {
			fmt.Println(state, err)
		}
	}
	// Output:
	// stolen failed permanent
	// limited failed error
	// pending <nil>
	// withdrawn cancelled cancelled
}

func Example_atMostOnce() {
	w := durable.Define("pay",
		// [once]
		durable.Step("pay", pay).AtMostOnce().Reconcile(func(ctx context.Context, p *Payment) error {
			receipt, found, err := bank.Find(ctx, p.Order)
			switch {
			case err != nil:
				return err // asked again later; after five errors a person is asked
			case !found:
				return durable.DidNotHappen // the body runs once more
			}
			p.Receipt = receipt
			return durable.Happened
		}),
		// [/once]
	)
	bank = theBank{charges: 1}
	p, err := execute(w, Payment{Order: "a-1"})
	fmt.Println(p.Receipt, err)
	// Output: R-1 <nil>
}

func Example_idempotencyKey() {
	bank = theBank{}
	w := durable.Define("pay",
		durable.Step("pay",
			// [idempotency]
			func(ctx context.Context, p *Payment) error {
				info, _ := durable.Info(ctx)
				receipt, err := bank.ChargeOnce(ctx, info.IdempotencyKey, p.Cents)
				if err != nil {
					return err
				}
				p.Receipt = receipt
				return nil
			},
			// [/idempotency]
		).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}))
	_, err := execute(w, Payment{})
	fmt.Println(len(bank.keys), bank.keys[0] == bank.keys[1], err)
	// Output: 2 true <nil>
}

func Example_runError() {
	ctx := context.Background()
	w := durable.Define("pay", durable.Step("pay", func(context.Context, *Payment) error {
		return fmt.Errorf("charge the card: %w", errBusy)
	}))
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Payment{})
	// [end]
	p, err := run.Wait(ctx)
	var end *durable.RunError
	if errors.As(err, &end) {
		fmt.Println(end.Status, end.Cause.Path, end.Cause.Code, end.Cause.Message, end.Cause.Chain)
	}
	// [/end]
	_ = p
	fmt.Println(errors.Is(err, errBusy))
	// Output:
	// failed pay error charge the card: the bank is busy [the bank is busy]
	// false
}
