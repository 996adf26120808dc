package ai

import (
	"context"
	"slices"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// A fork has the answers of the run that it goes on from, and pays for its own only; with another model it asks that one.
func TestForkOfCalls(t *testing.T) {
	p := &counted{answer: func(_ int, name string, r *model.Request) (*Response, error) {
		resp, err := echoes(0, name, r)
		resp.Usage = Usage{Input: 10, Output: 5}
		return resp, err
	}}
	ask := func(name string) durable.Node[doc] {
		return durable.Step(name, func(ctx context.Context, d *doc) error {
			text, err := GenerateText(ctx, "smart", name+", of "+string(rune('a'+d.N)))
			d.Texts = append(d.Texts, text)
			return err
		})
	}
	w := durable.Define("w", ask("one"), ask("two"))
	cfg := Config{Budgets: map[string]Budget{"w": {Calls: 2}}} // a fork has a budget of its own
	onStores(t, WithClient(t.Context(), newClient(t, cfg, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, w, doc{})
		run.Done()
		before := p.count()
		id, err := e.Fork(t.Context(), run.ID, "two", durable.Edit(func(d *doc) error { d.N = 1; return nil }))
		if err != nil {
			t.Fatal(err)
		}
		if got := durabletest.Attach(e, w, id).Done(); !slices.Equal(got.Texts, []string{"one says one, of a", "one says two, of b"}) || p.count() != before+1 {
			t.Errorf("%q after %d requests", got.Texts, p.count()-before)
		}
		calls, err := Calls(t.Context(), e.Engine, id)
		if err != nil || len(calls) != 2 || !calls[0].Inherited || calls[1].Inherited {
			t.Fatalf("%+v, %v", calls, err)
		}
		all := SumBy(calls, func(*CallInfo) string { return "" })[""]
		if all.Requests != 1 || all.Answers != 1 || all.Usage.Total() != 15 {
			t.Errorf("the fork has paid %+v", all)
		}
		list, err := Exchanges(t.Context(), e.Engine, id)
		if err != nil || len(list) != 2 || list[0].Response.Message.Text != "one says one, of a" || list[1].Request.Messages[0].Text != "two, of b" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
