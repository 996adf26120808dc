//go:build fail

package crash

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/tree"
)

// fan is what lanes and items come to.
type fan struct {
	N     int   `json:"n"` // items
	Round int   `json:"round"`
	Sum   int   `json:"sum"`
	Got   []int `json:"got"`
	Naps  int   `json:"naps"`
	Ended int   `json:"ended"`
}

// square is one item.
type square struct {
	N   int  `json:"n"`
	Odd bool `json:"odd,omitempty"`
}

// fanWidth is how many bodies of the workflow one death can end.
const fanWidth = 5

// fans runs items, a wait for an event and a sleep side by side, then goes back and
// does it all once more.
func fans(l *ledger) workload {
	w := durable.Define("fan",
		durable.Step("plan", watched(l, func(_ context.Context, f *fan) error { f.Got = []int{}; return nil })),
		durable.Parallel("side",
			durable.Sequence("items", durable.Each("squares", func(f *fan) []square {
				list := make([]square, f.N)
				for i := range list {
					list[i] = square{N: i + 1, Odd: i%2 == 0}
				}
				return list
			},
				durable.Step("square", watched(l, func(ctx context.Context, s *square) error {
					s.N *= s.N
					return pause(ctx, time.Millisecond)
				})),
				durable.Branch("by_odd", func(s *square) bool { return s.Odd }).
					Case(true, durable.Step("nap", watched(l, func(ctx context.Context, _ *square) error { return durable.Sleep(ctx, 5*time.Millisecond) })))).
				Concurrency(3).
				Into(func(f *fan, list []square) {
					for _, s := range list {
						f.Sum += s.N
					}
				})),
			durable.Step("ask", watched(l, func(ctx context.Context, f *fan) error {
				n, err := durable.WaitForEvent[int](ctx, "go")
				f.Got = append(f.Got, n)
				return err
			})),
			durable.Sequence("naps",
				durable.Step("nap", watched(l, func(ctx context.Context, _ *fan) error { return durable.Sleep(ctx, 15*time.Millisecond) })),
				durable.Step("count", watched(l, func(_ context.Context, f *fan) error { f.Naps++; return nil })))),
		durable.Decision("again", func(ctx context.Context, f *fan) (durable.Choice, error) {
			err := watched(l, func(_ context.Context, f *fan) error { f.Round++; return nil })(ctx, f)
			if f.Round < 2 {
				return durable.Goto("side"), err
			}
			return durable.Next, err
		}),
		durable.Step("end", watched(l, func(_ context.Context, f *fan) error { f.Ended++; return nil })))
	return load(w, step("plan"),
		&tree.Node{Kind: tree.Parallel, Name: "side", Cases: []tree.Case{
			{Key: "items", Body: []*tree.Node{{Kind: tree.Each, Name: "squares", Concurrency: 3, Joins: true, Body: []*tree.Node{
				step("square"),
				{Kind: tree.Branch, Name: "by_odd", Cases: []tree.Case{{Key: "true", Body: []*tree.Node{step("nap")}}}},
			}}}},
			{Key: "ask", Body: []*tree.Node{step("ask")}},
			{Key: "naps", Body: []*tree.Node{step("nap"), step("count")}},
		}},
		&tree.Node{Kind: tree.Decision, Name: "again"}, step("end"))
}

func (w *world) addFan(items int) {
	n := 100 * (len(w.tasks) + 1)
	sum := 0
	for i := range items {
		sum += (i + 1) * (i + 1)
	}
	w.add(&task{workflow: "fan", input: fan{N: items}, sends: []int{n, n + 1}, want: into(func(f fan) string {
		if f.N != items || f.Round != 2 || f.Sum != 2*sum || f.Naps != 2 || f.Ended != 1 || !slices.Equal(f.Got, []int{n, n + 1}) {
			return fmt.Sprintf("two rounds must give %d, two naps, and events %d and %d", 2*sum, n, n+1)
		}
		return ""
	})})
}
