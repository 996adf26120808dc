package examples_test

import (
	"context"
	"fmt"

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
