package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// Order is the state of the examples.
type Order struct {
	ID      string   `json:"id"`
	Amount  int      `json:"amount,omitempty"`
	Country string   `json:"country,omitempty"`
	Paid    bool     `json:"paid,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

func charge(_ context.Context, o *Order) error {
	o.Paid = true
	return nil
}

func ship(_ context.Context, o *Order) error {
	o.Notes = append(o.Notes, "shipped")
	return nil
}

// exampleEngine opens an engine on a store in memory, with a worker. What it
// logs is dropped.
func exampleEngine(workflows ...durable.Definition) *durable.Engine {
	engine, err := durable.Open(context.Background(), memory.New(), durable.Config{
		Workflows: workflows,
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	go engine.Run(context.Background())
	return engine
}

// exampleRun runs a workflow to its end.
func exampleRun(w *durable.Workflow[Order], o Order) (Order, error) {
	ctx := context.Background()
	engine := exampleEngine(w)
	defer engine.Close()
	run, err := w.Start(ctx, engine, o)
	if err != nil {
		return Order{}, err
	}
	return run.Wait(ctx)
}

// exampleQuestion waits until a run asks people something.
func exampleQuestion(engine *durable.Engine, id durable.ID) durable.PendingInput {
	for {
		page, err := engine.PendingInputs(context.Background(), durable.InputFilter{Execution: id})
		if err != nil {
			panic(err)
		}
		if len(page.Inputs) > 0 {
			return page.Inputs[0]
		}
		<-time.After(time.Millisecond)
	}
}

// A whole program: define, open, run a worker, start, wait. With the name of a
// file instead of a store in memory, runs survive the end of the process:
// sqlite.Open("durable.db").
func Example() {
	handle := durable.Define("handle_order",
		durable.Step("charge", charge).Retry(durable.Retry{MaxAttempts: 3}),
		durable.Step("ship", ship),
	)

	ctx := context.Background()
	engine, err := durable.Open(ctx, memory.New(), durable.Config{
		Workflows: []durable.Definition{handle},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	go engine.Run(ctx)

	run, err := handle.Start(ctx, engine, Order{ID: "a-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := run.Wait(ctx)
	fmt.Println(order.Paid, order.Notes, err)
	// Output: true [shipped] <nil>
}

func ExampleDefine() {
	handle := durable.Define("handle_order",
		durable.Step("charge", charge),
		durable.Step("ship", ship),
	).Version("2").Queue("orders")

	_, err := durable.Open(context.Background(), memory.New(), durable.Config{
		Workflows: []durable.Definition{handle},
	})
	fmt.Println(err)
	// Output:
	// a mistake in the definition
	//   workflow handle_order: queue "orders" is not configured; add it to Config.Queues, or name it durable.Elsewhere if other workers serve it
}

// Mistakes come all at once, each with its place.
func ExampleDefinitionError() {
	wrong := durable.Define("wrong",
		durable.Step("charge", charge),
		durable.Step("charge", ship),
		durable.Step[Order]("forgotten", nil),
	)
	_, err := durable.Open(context.Background(), memory.New(), durable.Config{
		Workflows: []durable.Definition{wrong},
	})
	var mistakes *durable.DefinitionError
	if errors.As(err, &mistakes) {
		for _, m := range mistakes.Mistakes {
			fmt.Println(m.Where)
		}
	}
	// Output:
	// workflow wrong: charge
	// workflow wrong: forgotten
}

func ExampleOpen() {
	handle := durable.Define("handle_order", durable.Step("charge", charge))

	_, err := durable.Open(context.Background(), sqlite.Open("/no/such/folder/durable.db"), durable.Config{
		Workflows: []durable.Definition{handle},
	})
	fmt.Println(err)
	// Output: sqlite: open "/no/such/folder/durable.db": the folder /no/such/folder does not exist; create it first
}

func ExampleStepNode_Retry() {
	busy := func(ctx context.Context, o *Order) error {
		info, _ := durable.Info(ctx)
		o.Notes = append(o.Notes, "this attempt leaves no trace if it fails")
		if info.Attempt < 3 {
			return errors.New("the bank is busy")
		}
		o.Notes = []string{fmt.Sprint("charged at attempt ", info.Attempt)}
		return nil
	}
	handle := durable.Define("handle_order",
		durable.Step("charge", busy).Retry(durable.Retry{
			MaxAttempts: 5,
			Backoff:     durable.Exponential,
			Base:        time.Millisecond, // 1 s unless said otherwise
		}))

	order, err := exampleRun(handle, Order{ID: "a-1"})
	fmt.Println(order.Notes, err)
	// Output: [charged at attempt 3] <nil>
}

// The body begins once. If it is cut off, nobody knows whether the money has
// moved: Reconcile asks the bank.
func ExampleStepNode_AtMostOnce() {
	ask := func(ctx context.Context, o *Order) error {
		paid := true // what the bank says about this order
		if paid {
			o.Paid = true
			return durable.Happened
		}
		return durable.DidNotHappen
	}
	handle := durable.Define("handle_order",
		durable.Step("charge", charge).AtMostOnce().Reconcile(ask))

	order, err := exampleRun(handle, Order{ID: "a-1"})
	fmt.Println(order.Paid, err)
	// Output: true <nil>
}

func ExampleBranch() {
	note := func(text string) func(context.Context, *Order) error {
		return func(_ context.Context, o *Order) error {
			o.Notes = append(o.Notes, text)
			return nil
		}
	}
	handle := durable.Define("handle_order",
		durable.Branch("by_country", func(o *Order) string { return o.Country }).
			Case("CH", durable.Step("declare", note("declared to customs"))).
			Case("DE", durable.Step("tax", note("taxed"))).
			Default(durable.Step("ask", note("somebody should look"))),
		durable.Step("ship", ship),
	)

	for _, country := range []string{"CH", "DE", "FR"} {
		order, err := exampleRun(handle, Order{Country: country})
		fmt.Println(country, order.Notes, err)
	}
	// Output:
	// CH [declared to customs shipped] <nil>
	// DE [taxed shipped] <nil>
	// FR [somebody should look shipped] <nil>
}

func ExampleLoop() {
	handle := durable.Define("pay_in_parts",
		durable.Loop("parts", func(o *Order) bool { return o.Amount > 0 },
			durable.Step("charge", func(_ context.Context, o *Order) error {
				part := min(o.Amount, 40)
				o.Amount -= part
				o.Notes = append(o.Notes, fmt.Sprint("charged ", part))
				return nil
			})).Max(10))

	order, err := exampleRun(handle, Order{Amount: 100})
	fmt.Println(order.Notes, err)
	// Output: [charged 40 charged 40 charged 20] <nil>
}

func ExampleSequence() {
	handle := durable.Define("handle_order",
		durable.Sequence("payment", durable.Step("charge", charge)),
		durable.Sequence("delivery", durable.Step("ship", ship)),
	)

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{})
	_, _ = run.Wait(ctx)
	x, _ := engine.Execution(ctx, run.ID, durable.WithSteps)
	for _, s := range x.Steps {
		fmt.Println(s.Path, s.Status)
	}
	// Output:
	// payment/charge done
	// delivery/ship done
}

// What Do did is not done again when the body runs again, here after a failed
// attempt.
func ExampleDo() {
	asked := 0
	handle := durable.Define("handle_order",
		durable.Step("price", func(ctx context.Context, o *Order) error {
			price, err := durable.Do(ctx, "ask_price", func(context.Context) (int, error) {
				asked++ // costs money
				return 42, nil
			})
			if err != nil {
				return err
			}
			if info, _ := durable.Info(ctx); info.Attempt == 1 {
				return errors.New("something else went wrong")
			}
			o.Amount = price
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}))

	order, err := exampleRun(handle, Order{})
	fmt.Println("amount", order.Amount, "asked", asked, err)
	// Output: amount 42 asked 1 <nil>
}

// A sleep holds no slot and no goroutine; it may last for months.
func ExampleSleep() {
	handle := durable.Define("remind",
		durable.Step("wait", func(ctx context.Context, o *Order) error {
			if err := durable.Sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
			o.Notes = append(o.Notes, "reminded")
			return nil
		}))

	order, err := exampleRun(handle, Order{})
	fmt.Println(order.Notes, err)
	// Output: [reminded] <nil>
}

func ExampleWaitForEvent() {
	type Payment struct {
		Amount int `json:"amount"`
	}
	handle := durable.Define("handle_order",
		durable.Step("await_payment", func(ctx context.Context, o *Order) error {
			p, err := durable.WaitForEvent[Payment](ctx, "paid", durable.Timeout(72*time.Hour))
			if errors.Is(err, durable.ErrTimeout) {
				return durable.CancelRun("nobody paid")
			}
			if err != nil {
				return err
			}
			o.Paid, o.Amount = true, p.Amount
			return nil
		}))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{ID: "a-1"})
	// It is kept if it comes before the wait. The id makes it safe to repeat.
	err := engine.SendEvent(ctx, run.ID, "paid", Payment{Amount: 42}, durable.EventID("payment-7"))
	fmt.Println(err)
	order, err := run.Wait(ctx)
	fmt.Println(order.Paid, order.Amount, err)
	// Output:
	// <nil>
	// true 42 <nil>
}

func ExampleWaitForInput() {
	type Correction struct {
		Amount int    `json:"amount"`
		Note   string `json:"note,omitempty"`
	}
	handle := durable.Define("handle_order",
		durable.Step("check", func(ctx context.Context, o *Order) error {
			c, err := durable.WaitForInput[Correction](ctx, "correct_amount",
				durable.Prompt("The amount is odd. What should it be?"),
				durable.Details(o))
			if err != nil {
				return err
			}
			o.Amount = c.Amount
			return nil
		}))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{ID: "a-1", Amount: -3})
	question := exampleQuestion(engine, run.ID)
	fmt.Println(question.Prompt)

	// An answer that does not fit changes nothing.
	err := engine.ProvideInput(ctx, run.ID, "correct_amount", map[string]any{"amount": "three"})
	fmt.Println(errors.Is(err, durable.ErrInvalid))

	err = engine.ProvideInput(ctx, run.ID, "correct_amount", Correction{Amount: 3}, durable.By("ada"))
	fmt.Println(err)
	order, err := run.Wait(ctx)
	fmt.Println(order.Amount, err)
	// Output:
	// The amount is odd. What should it be?
	// true
	// <nil>
	// 3 <nil>
}

func ExampleWaitForApproval() {
	handle := durable.Define("handle_order",
		durable.Step("approve", func(ctx context.Context, o *Order) error {
			a, err := durable.WaitForApproval(ctx, "large_order",
				durable.Prompt("Ship an order of this size?"),
				durable.Timeout(24*time.Hour),
				durable.OnTimeout(durable.Approval{Comment: "nobody answered"}))
			if err != nil {
				return err
			}
			if !a.Approved {
				return durable.Permanent(fmt.Errorf("not approved: %s", a.Comment))
			}
			o.Notes = append(o.Notes, "approved by "+a.By)
			return nil
		}))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{ID: "a-1"})
	exampleQuestion(engine, run.ID)
	_ = engine.ProvideInput(ctx, run.ID, "large_order", true, durable.By("ada"))
	order, err := run.Wait(ctx)
	fmt.Println(order.Notes, err)
	// Output: [approved by ada] <nil>
}

// A wait without an answer in time gives the value of OnTimeout, or ErrTimeout.
func ExampleTimeout() {
	handle := durable.Define("handle_order",
		durable.Step("await_payment", func(ctx context.Context, o *Order) error {
			paid, err := durable.WaitForEvent[bool](ctx, "paid",
				durable.Timeout(5*time.Millisecond), durable.OnTimeout(false))
			o.Paid = paid
			return err
		}))

	order, err := exampleRun(handle, Order{})
	fmt.Println(order.Paid, err)
	// Output: false <nil>
}

// A second start with the same key and input gives the same run.
func ExampleKey() {
	handle := durable.Define("handle_order", durable.Step("ship", ship))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	first, _ := handle.Start(ctx, engine, Order{ID: "a-1"}, durable.Key("order-a-1"))
	again, _ := handle.Start(ctx, engine, Order{ID: "a-1"}, durable.Key("order-a-1"))
	fmt.Println(first.ID == again.ID, again.Existing)

	_, err := handle.Start(ctx, engine, Order{ID: "a-2"}, durable.Key("order-a-1"))
	fmt.Println(errors.Is(err, durable.ErrKeyConflict))
	_, _ = first.Wait(ctx)
	// Output:
	// true true
	// true
}

// StartMany shares commits.
func ExampleWorkflow_StartMany() {
	handle := durable.Define("handle_order", durable.Step("ship", ship))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	orders := []Order{{ID: "a-1"}, {ID: "a-2"}, {ID: "a-3"}}
	runs, err := handle.StartMany(ctx, engine, orders, func(i int) []durable.StartOption {
		return []durable.StartOption{durable.Key(orders[i].ID)}
	})
	for _, run := range runs {
		_, err = run.Wait(ctx)
	}
	fmt.Println(len(runs), err)
	// Output: 3 <nil>
}

func ExampleFilter() {
	handle := durable.Define("handle_order", durable.Step("ship", ship))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	for _, country := range []string{"CH", "DE", "CH"} {
		run, _ := handle.Start(ctx, engine, Order{Country: country}, durable.Tags("country:"+country))
		_, _ = run.Wait(ctx)
	}
	page, err := engine.Executions(ctx, durable.Filter{
		Workflow: "handle_order",
		Statuses: []durable.Status{durable.Completed},
		Tags:     []string{"country:CH"},
		Limit:    1,
		Count:    true,
	})
	fmt.Println(len(page.Executions), "of", page.Count, page.Cursor != "", err)
	// Output: 1 of 2 true <nil>
}

func ExampleEngine_Execution() {
	attempts := 0
	handle := durable.Define("handle_order",
		durable.Step("charge", func(context.Context, *Order) error {
			if attempts++; attempts == 1 {
				return errors.New("the bank is busy")
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}),
		durable.Branch("by_country", func(o *Order) string { return o.Country }).
			Case("CH", durable.Step("declare", ship)))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{Country: "CH"})
	_, _ = run.Wait(ctx)
	x, _ := engine.Execution(ctx, run.ID, durable.WithSteps)
	fmt.Println(x.Status)
	for _, s := range x.Steps {
		fmt.Println(s.Path, s.Attempt, strings.TrimSpace(s.Status+" "+s.Answer))
	}
	// Output:
	// completed
	// charge 1 retrying
	// charge 2 done
	// by_country 0 done CH
	// by_country[CH]/declare 1 done
}

func ExampleEngine_Cancel() {
	handle := durable.Define("handle_order",
		durable.Step("await_payment", func(ctx context.Context, o *Order) error {
			_, err := durable.WaitForEvent[bool](ctx, "paid")
			return err
		}))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{})
	_ = engine.Cancel(ctx, run.ID, "the customer changed her mind", durable.By("ada"))
	_, err := run.Wait(ctx)
	var end *durable.RunError
	fmt.Println(errors.As(err, &end), end.Status, end.Cause.Message)
	// Output: true cancelled the customer changed her mind
}

func ExamplePermanent() {
	handle := durable.Define("handle_order",
		durable.Step("charge", func(context.Context, *Order) error {
			return durable.Permanent(errors.New("the card is stolen"))
		}).Retry(durable.Retry{MaxAttempts: 10}))

	_, err := exampleRun(handle, Order{})
	var failed *durable.Failure
	fmt.Println(errors.As(err, &failed), failed.Code, failed.Attempt, failed.Message)
	// Output: true permanent 1 the card is stolen
}

// Snooze comes back later without using an attempt.
func ExampleSnooze() {
	looks := 0
	handle := durable.Define("handle_order",
		durable.Step("await_stock", func(ctx context.Context, o *Order) error {
			if looks++; looks < 3 {
				return durable.Snooze(time.Millisecond)
			}
			info, _ := durable.Info(ctx)
			o.Notes = append(o.Notes, fmt.Sprint("attempt ", info.Attempt))
			return nil
		}))

	order, err := exampleRun(handle, Order{})
	fmt.Println(order.Notes, "looks", looks, err)
	// Output: [attempt 1] looks 3 <nil>
}

// The idempotency key is the same for every attempt of a step, also after a
// crash. Pass it to what the step calls.
func ExampleInfo() {
	var keys []string
	handle := durable.Define("handle_order",
		durable.Step("charge", func(ctx context.Context, o *Order) error {
			info, _ := durable.Info(ctx)
			keys = append(keys, info.IdempotencyKey)
			if info.Attempt == 1 {
				return errors.New("no reply from the bank: perhaps it has charged")
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}))

	_, err := exampleRun(handle, Order{})
	fmt.Println(len(keys), keys[0] == keys[1], err)
	// Output: 2 true <nil>
}

func ExampleEngine_Logs() {
	handle := durable.Define("handle_order",
		durable.Step("charge", func(ctx context.Context, o *Order) error {
			durable.Logger(ctx).Info("charging", "amount", o.Amount)
			return nil
		}))

	ctx := context.Background()
	engine := exampleEngine(handle)
	defer engine.Close()
	run, _ := handle.Start(ctx, engine, Order{Amount: 42})
	_, _ = run.Wait(ctx)
	logs, err := engine.Logs(ctx, run.ID, time.Time{})
	for _, l := range logs {
		fmt.Println(l.Path, l.Level, l.Text, string(l.Attrs))
	}
	fmt.Println(err)
	// Output:
	// charge INFO charging {"amount":42}
	// <nil>
}
