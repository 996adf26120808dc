package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

type form struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Note  string `json:"note,omitempty"`
}

func TestIN1_QuestionsAreListed(t *testing.T) {
	ask := func(name string, d time.Duration) *durable.Workflow[note] {
		return durable.Define(name, body("ask", func(ctx context.Context, n *note) error {
			opts := []durable.WaitOption{durable.Prompt("How many?"), durable.Details(map[string]int{"n": n.N})}
			if d > 0 {
				opts = append(opts, durable.Timeout(d))
			}
			_, err := durable.WaitForInput[form](ctx, "form", opts...)
			return err
		}))
	}
	never, late, soon := ask("never", 0), ask("late", 48*time.Hour), ask("soon", time.Hour)
	onStores(t, serve(never, late, soon), func(t *testing.T, e env) {
		ctx := context.Background()
		durabletest.Start(e.Engine, never, note{N: 1}).Settle()
		e.Sleep(time.Second)
		durabletest.Start(e.Engine, never, note{N: 2}).Settle()
		durabletest.Start(e.Engine, late, note{}).Settle()
		run := durabletest.Start(e.Engine, soon, note{N: 3})
		run.Settle()
		p, err := e.PendingInputs(ctx, durable.InputFilter{})
		if err != nil || len(p.Inputs) != 4 {
			t.Fatalf("%+v, %v", p, err)
		}
		var order []string
		for _, in := range p.Inputs {
			order = append(order, in.Workflow+string(in.Details))
		}
		if got, want := strings.Join(order, " "), `soon{"n":3} late{"n":0} never{"n":1} never{"n":2}`; got != want {
			t.Errorf("order %s, want %s", got, want)
		}
		in := p.Inputs[0]
		if in.Execution != run.ID || in.Path != "ask" || in.Name != "form" || in.Kind != "input" || in.Prompt != "How many?" || !json.Valid(in.Schema) ||
			in.Deadline.Sub(in.Opened).Round(time.Second) != time.Hour {
			t.Errorf("input %+v", in)
		}
		for f, want := range map[durable.InputFilter]int{
			{Workflow: "never"}: 2, {Execution: run.ID}: 1, {Name: "form"}: 4, {Name: "x"}: 0, {Kind: "approval"}: 0, {ID: in.ID}: 1, {Limit: 3}: 3,
		} {
			if p, err := e.PendingInputs(ctx, f); err != nil || len(p.Inputs) != want || (p.Cursor != "") != (f.Limit > 0) {
				t.Errorf("%+v: %d, %v", f, len(p.Inputs), err)
			}
		}
	})
}

func TestIN2_AnAnswerEndsTheWait(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		f, err := durable.WaitForInput[form](ctx, "form")
		if err != nil {
			return err
		}
		a, err := durable.WaitForApproval(ctx, "ok")
		if err != nil {
			return err
		}
		seen.add(fmt.Sprintf("%+v %t %q %s %t", f, a.Approved, a.Comment, a.By, a.At.IsZero()))
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		s, err := durable.WaitForInput[string](ctx, "text")
		n.Kind = s
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		seen.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		run.Answer("form", form{Name: "x", Count: 3}, durable.By("ada"))
		p, err := e.PendingInputs(context.Background(), durable.InputFilter{Name: "form"})
		if err != nil || len(p.Inputs) != 0 {
			t.Errorf("still listed: %+v, %v", p.Inputs, err)
		}
		run.Settle()
		e.Restart()
		run.Answer("ok", map[string]any{"approved": true, "comment": "fine"}, durable.By("bob"))
		run.Settle()
		run.Answer("text", "the end")
		if got := run.Done(); got.Kind != "the end" {
			t.Errorf("state %+v", got)
		}
		for _, s := range seen.all() {
			if s != `{Name:x Count:3 Note:} true "fine" bob false` {
				t.Errorf("the body saw %s", s)
			}
		}
		if len(seen.all()) != 3 {
			t.Errorf("seen %d times", len(seen.all()))
		}
	})
}

// IN-3 but for choices and bounds.
func TestInputs_AnswersAreChecked(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		f, err := durable.WaitForInput[form](ctx, "form")
		if err != nil {
			return err
		}
		if _, err := durable.WaitForApproval(ctx, "ok"); err != nil {
			return err
		}
		n.N = f.Count
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		for text, fields := range map[string][]string{
			`{"name":1,"count":"x"}`:          {"/name", "/count"},
			`{"name":"a"}`:                    {"count"},
			`{"name":"a","count":1,"typo":2}`: {"typo"},
			`{"name":"a","count":1.5}`:        {"/count"},
			`"text"`:                          nil,
			`{"name":"a","count":`:            nil,
			`null`:                            nil,
		} {
			err := e.ProvideInput(ctx, run.ID, "form", json.RawMessage(text))
			if err == nil {
				t.Fatalf("%s is accepted", text)
			}
			wantError(t, err, durable.ErrInvalid, append(fields, `"form"`)...)
		}
		if x := run.Look(); x.Status != durable.Waiting || len(run.Waits()) != 1 {
			t.Fatalf("it is %s", x.Status)
		}
		run.Answer("form", json.RawMessage(`{"name":"a","count":9007199254740993}`))
		run.Settle()
		for _, text := range []string{`"yes"`, `1`, `{}`, `{"approved":"yes"}`, `null`} {
			wantError(t, e.ProvideInput(ctx, run.ID, "ok", json.RawMessage(text)), durable.ErrInvalid)
		}
		run.Answer("ok", false)
		if got := run.Done(); got.N != 9007199254740993 {
			t.Errorf("state %+v", got)
		}
	})
}

// IN-4 but for early answers.
func TestInputs_OnlyOpenWaitsAndOnlyOnce(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for range 2 {
			v, err := durable.WaitForInput[int](ctx, "n", durable.Timeout(time.Hour))
			if err != nil && !errors.Is(err, durable.ErrTimeout) {
				return err
			}
			n.N += v
		}
		return durable.Sleep(ctx, time.Hour)
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Minute)))
		wantError(t, e.ProvideInput(ctx, run.ID, "n", 1), durable.ErrNoSuchWait, `"n"`)
		run.Settle()
		p, err := e.PendingInputs(ctx, durable.InputFilter{Execution: run.ID})
		if err != nil {
			t.Fatal(err)
		}
		first := p.Inputs[0].ID
		var (
			won atomic.Int32
			wg  sync.WaitGroup
		)
		for range 20 { // a double click, by its id
			wg.Go(func() {
				switch err := e.ProvideInput(ctx, run.ID, first, 1); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, durable.ErrNoSuchWait):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		run.Settle()
		wantError(t, e.ProvideInput(ctx, run.ID, first, 1), durable.ErrNoSuchWait)
		e.Sleep(61 * time.Minute) // the second one times out
		wantError(t, e.ProvideInput(ctx, run.ID, "n", 1), durable.ErrNoSuchWait)
		if got := run.Done(); got.N != 1 || won.Load() != 1 {
			t.Errorf("state %+v after %d answers were taken", got, won.Load())
		}
		wantError(t, e.ProvideInput(ctx, run.ID, "n", 1), durable.ErrRunDone, "completed")
		wantError(t, e.ProvideInput(ctx, durable.ID{1}, "n", 1), durable.ErrNotFound)
	})
}

// An open wait keeps the form it was opened with, whatever is deployed.
func TestInputs_TheFormStays(t *testing.T) {
	old := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		v, err := durable.WaitForInput[form](ctx, "form")
		n.Kind = v.Name
		return err
	}))
	type newForm struct {
		Name  string `json:"name"`
		Count int    `json:"count,omitempty"`
		Must  string `json:"must"`
	}
	changed := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		v, err := durable.WaitForInput[newForm](ctx, "form")
		n.Kind = v.Name
		return err
	}))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, note{})
		run.Settle()
		e.Deploy(serve(changed))
		synctest.Wait()
		err := e.ProvideInput(context.Background(), run.ID, "form", json.RawMessage(`{"name":"x","must":"y"}`))
		wantError(t, err, durable.ErrInvalid, "count")
		p, err := e.PendingInputs(context.Background(), durable.InputFilter{})
		if err != nil || len(p.Inputs) != 1 {
			t.Fatal(p, err)
		}
		run.Answer(p.Inputs[0].ID, form{Name: "x", Count: 1})
		if got := run.Done(); got.Kind != "x" {
			t.Errorf("state %+v", got)
		}
	})
}
