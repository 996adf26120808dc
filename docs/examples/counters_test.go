package examples_test

import (
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

type Postcard struct {
	Texts []string `json:"texts"`
	Cents int64    `json:"cents"`
}

// translator stands in for something that costs money and answers only so often.
var translator = func(text string) (string, int64) { return "le " + text, 3 }

// [take]
func translate(ctx context.Context, card *Postcard) error {
	info, _ := durable.Info(ctx)
	for n, text := range card.Texts {
		// Up to 5 cents, not more than 60 calls in any minute over all workers, and 20 cents for this run.
		cents := durable.Draw{Counter: "budget", Run: info.Execution, Amount: 5, Limit: 20}
		calls := durable.Draw{Counter: "translator:minute", Amount: 1, Limit: 60, For: time.Minute}
		var taken durable.Taken
		for !taken.OK {
			var err error
			taken, err = durable.Take(ctx, fmt.Sprint("text ", n), cents, calls)
			switch {
			case err != nil:
				return err
			case !taken.OK && taken.RetryIn == 0: // time does not help
				return durable.Permanent(fmt.Errorf("no room in %s", taken.Counter))
			case !taken.OK:
				if err := durable.Sleep(ctx, taken.RetryIn, durable.Named("room")); err != nil {
					return err
				}
			}
		}
		type paid struct {
			Text  string
			Cents int64
		}
		p, err := durable.Do(ctx, "translate", func(context.Context) (paid, error) {
			text, spent := translator(text)
			return paid{text, spent}, nil
		})
		if err != nil {
			return err // what was taken goes on counting: it may have been spent
		}
		cents.Amount = p.Cents
		if err := durable.Settle(ctx, taken.ID, cents); err != nil {
			return err
		}
		card.Texts[n], card.Cents = p.Text, card.Cents+p.Cents
	}
	return nil
}

// [/take]

func Example_counters() {
	ctx := context.Background()
	w := durable.Define("translate", durable.Step("translate", translate))
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Postcard{Texts: []string{"chat", "chien"}})
	card, err := run.Wait(ctx)
	fmt.Println(card.Texts, card.Cents, err)

	// [count]
	spent, err := engine.Counter(ctx, run.ID, "budget")
	// [/count]
	fmt.Println(spent.All, spent.Open, err)
	run, _ = w.Start(ctx, engine, Postcard{Texts: make([]string, 9)})
	_, err = run.Wait(ctx)
	fmt.Println(err != nil)
	// Output:
	// [le chat le chien] 6 <nil>
	// 6 0 <nil>
	// true
}
