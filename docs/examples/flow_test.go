package examples_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/durable-go/durable"
)

type Ticket struct {
	Kind  string   `json:"kind,omitempty"`
	Open  int      `json:"open,omitempty"`
	Trace []string `json:"trace,omitempty"`
}

// did gives a step that leaves its name in the trace.
func did(what string) func(context.Context, *Ticket) error {
	return func(_ context.Context, t *Ticket) error {
		t.Trace = append(t.Trace, what)
		return nil
	}
}

var read, refund, replace, escalate, think, call, greet, bye = did("read"), did("refund"), did("replace"), did("escalate"), did("think"), did("call"), did("greet"), did("bye")

func Example_branch() {
	w := durable.Define("ticket",
		durable.Step("read", read),
		// [branch]
		durable.Branch("by_kind", func(t *Ticket) string { return t.Kind }).
			Case("refund", durable.Step("refund", refund)).
			Case("broken",
				durable.Step("replace", replace),
				durable.Step("refund", refund)).
			Default(durable.Step("escalate", escalate)),
		// [/branch]
	)
	t, err := execute(w, Ticket{Kind: "broken"})
	fmt.Println(t.Trace, err)
	// Output: [read replace refund] <nil>
}

func Example_branchOnBool() {
	w := durable.Define("ticket",
		// [if]
		durable.Branch("is_open", func(t *Ticket) bool { return t.Open > 0 }).
			Case(true, durable.Step("escalate", escalate)),
		// [/if]
		durable.Step("bye", bye),
	)
	t, err := execute(w, Ticket{})
	fmt.Println(t.Trace, err)
	// Output: [bye] <nil>
}

func Example_loop() {
	w := durable.Define("ticket",
		// [loop]
		durable.Loop("agent", func(t *Ticket) bool { return t.Open > 0 },
			durable.Step("think", think),
			durable.Step("call_tool", func(ctx context.Context, t *Ticket) error {
				t.Open--
				return call(ctx, t)
			}),
		).Max(20),
		// [/loop]
	)
	ctx := context.Background()
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Ticket{Open: 2})
	_, err := run.Wait(ctx)
	fmt.Println(err)
	x, _ := engine.Execution(ctx, run.ID, durable.WithSteps)
	for _, s := range x.Steps {
		if s.Kind == "step" {
			fmt.Println(s.Path)
		}
	}
	// Output:
	// <nil>
	// agent[0]/think
	// agent[0]/call_tool
	// agent[1]/think
	// agent[1]/call_tool
}

func Example_sequence() {
	w := durable.Define("ticket",
		// [sequence]
		durable.Sequence("intake",
			durable.Step("greet", greet),
			durable.Step("read", read)),
		durable.Sequence("outtake",
			durable.Step("greet", greet), // names are unique among siblings only
			durable.Step("bye", bye)),
		// [/sequence]
	)
	t, err := execute(w, Ticket{})
	fmt.Println(t.Trace, err)
	// Output: [greet read greet bye] <nil>
}

// Offer is what a customer is offered.
type Offer struct {
	Customer string   `json:"customer"`
	Credit   int      `json:"credit,omitempty"`
	Stock    string   `json:"stock,omitempty"`
	Price    int      `json:"price,omitempty"`
	Parts    []string `json:"parts,omitempty"`
	Weights  []int    `json:"weights,omitempty"`
	Missing  []string `json:"missing,omitempty"`
	Asked    int      `json:"asked,omitempty"`
	Signed   string   `json:"signed,omitempty"`
}

func askBank(_ context.Context, o *Offer) error {
	o.Credit = 5000
	return nil
}

func askStock(_ context.Context, o *Offer) error {
	o.Stock = "plenty"
	return nil
}

func bid(price int) func(context.Context, *Offer) error {
	return func(_ context.Context, o *Offer) error {
		if price == 0 {
			return errors.New("no answer")
		}
		o.Price = price
		return nil
	}
}

func Example_parallel() {
	w := durable.Define("offer",
		// [parallel]
		durable.Parallel("check",
			durable.Step("credit", askBank), // changes Credit
			durable.Sequence("stock", // changes Stock
				durable.Step("ask", askStock),
				durable.Step("reserve", reserve)),
		),
		// [/parallel]
	)
	o, err := execute(w, Offer{Customer: "Ada"})
	fmt.Println(o.Credit, o.Stock, err)
	// Output: 5000 plenty <nil>
}

func reserve(context.Context, *Offer) error { return nil }

func Example_merge() {
	w := durable.Define("offer",
		// [merge]
		durable.Parallel("bids",
			durable.Step("north", bid(120)),
			durable.Step("south", bid(90)),
			durable.Step("west", bid(0)), // fails
		).Settle().Merge(func(o *Offer, lanes map[string]durable.Outcome[Offer]) error {
			for name, lane := range lanes {
				switch {
				case lane.Err != nil:
					o.Missing = append(o.Missing, name)
				case o.Price == 0 || lane.Value.Price < o.Price:
					o.Price = lane.Value.Price
				}
			}
			if o.Price == 0 {
				return errors.New("nobody has made a bid") // fails the run
			}
			return nil
		}),
		// [/merge]
	)
	o, err := execute(w, Offer{})
	fmt.Println(o.Price, o.Missing, err)
	// Output: 90 [west] <nil>
}

// Part is an item.
type Part struct {
	Name   string `json:"name"`
	Weight int    `json:"weight,omitempty"`
}

func weigh(_ context.Context, p *Part) error {
	if p.Name == "anvil" {
		return errors.New("too heavy")
	}
	p.Weight = len(p.Name)
	return nil
}

func partsOf(o *Offer) []Part {
	list := make([]Part, len(o.Parts))
	for i, name := range o.Parts {
		list[i].Name = name
	}
	return list
}

func Example_each() {
	w := durable.Define("offer",
		// [each]
		durable.Each("parts", func(o *Offer) []Part { return partsOf(o) },
			durable.Step("weigh", weigh), // func(ctx context.Context, p *Part) error
		).Concurrency(10).Into(func(o *Offer, parts []Part) {
			for _, p := range parts { // in the order of the list
				o.Weights = append(o.Weights, p.Weight)
			}
		}),
		// [/each]
	)
	o, err := execute(w, Offer{Parts: []string{"nut", "bolt"}})
	fmt.Println(o.Weights, err)
	// Output: [3 4] <nil>
}

func Example_eachOutcomes() {
	w := durable.Define("offer",
		durable.Each("parts", partsOf, durable.Step("weigh", weigh)).
			// [outcomes]
			IntoOutcomes(func(o *Offer, parts []durable.Outcome[Part]) error {
				for i, p := range parts {
					if p.Err != nil {
						o.Missing = append(o.Missing, o.Parts[i])
					}
				}
				return nil
			}),
		// [/outcomes]
	)
	o, err := execute(w, Offer{Parts: []string{"nut", "anvil"}})
	fmt.Println(o.Missing, err)
	// Output: [anvil] <nil>
}

func Example_spread() {
	w := durable.Define("offer",
		// [spread]
		durable.Each("parts", partsOf,
			durable.Step("weigh", weigh),
		).Spread().Concurrency(500).IntoSeq(func(o *Offer, parts iter.Seq2[int, durable.Outcome[Part]]) error {
			for i, p := range parts { // read one after another, not all in memory at once
				if p.Err != nil {
					o.Missing = append(o.Missing, o.Parts[i])
				}
			}
			return nil
		}),
		// [/spread]
	)
	o, err := execute(w, Offer{Parts: []string{"nut", "anvil"}})
	fmt.Println(o.Missing, err)
	// Output: [anvil] <nil>
}

func Example_decision() {
	w := durable.Define("offer",
		// [decision]
		durable.Step("ask", func(_ context.Context, o *Offer) error {
			o.Asked++
			return nil
		}),
		durable.Decision("judge", func(ctx context.Context, o *Offer) (durable.Choice, error) {
			switch {
			case o.Credit > 1000:
				return durable.Goto("accept"), nil // passes over review
			case o.Asked < 3:
				return durable.Goto("ask"), nil // ask and judge run again
			}
			return durable.Next, nil
		}).To("accept", "ask"),
		durable.Step("review", lookAt),
		durable.Step("accept", reserve),
		// [/decision]
	)
	o, err := execute(w, Offer{})
	fmt.Println(o.Asked, o.Signed, err)
	// Output: 3 reviewed <nil>
}

func lookAt(_ context.Context, o *Offer) error {
	o.Signed = "reviewed"
	return nil
}

func Example_waitNodes() {
	w := durable.Define("offer",
		// [waits]
		durable.Pause("cool_down", func(o *Offer) time.Duration { return time.Millisecond }).
			When(func(o *Offer) bool { return o.Price > 100 }),
		durable.Input("may_sell", func(o *Offer) durable.Ask {
			return durable.Ask{
				Prompt:  fmt.Sprintf("Sell for %d?", o.Price),
				Options: []durable.WaitOption{durable.Assignee("ada"), durable.Timeout(48 * time.Hour)},
			}
		}, func(o *Offer, a durable.Approval) { o.Asked++ }),
		durable.Event("signed", func(o *Offer, by string) { o.Signed = by }).
			Timeout(14*24*time.Hour).
			OnTimeout("nobody"),
		// [/waits]
	)
	ctx := context.Background()
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Offer{Price: 200})
	_ = engine.SendEvent(ctx, run.ID, "signed", "Bob") // it is kept until the run is there
	q := awaitQuestion(engine, run.ID)
	_ = engine.ProvideInput(ctx, run.ID, q.ID, true)
	o, err := run.Wait(ctx)
	fmt.Println(q.Prompt, o.Signed, err)
	// Output: Sell for 200? Bob <nil>
}

func Example_nested() {
	w := durable.Define("offer",
		// [nested]
		durable.Each("parts", partsOf,
			durable.Loop("tries", func(p *Part) bool { return p.Weight == 0 },
				durable.Parallel("scales",
					durable.Step("old", weigh),
					durable.Step("new", weigh), // the same value: no conflict
				),
			).Max(3),
		),
		// [/nested]
	)
	ctx := context.Background()
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Offer{Parts: []string{"nut"}})
	_, err := run.Wait(ctx)
	x, _ := engine.Execution(ctx, run.ID, durable.WithSteps)
	var paths []string
	for _, s := range x.Steps {
		if s.Kind == "step" {
			paths = append(paths, s.Path)
		}
	}
	slices.Sort(paths)
	fmt.Println(paths, err)
	// Output: [parts[0]/tries[0]/scales[new]/new parts[0]/tries[0]/scales[old]/old] <nil>
}
