package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

const choices = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object", "required": ["calls"], "additionalProperties": false,
	"properties": {
		"calls": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/call"}},
		"note": {"type": ["string", "null"], "maxLength": 5}
	},
	"$defs": {"call": {"enum": ["approve", "reject"]}}
}`

// An answer is checked against the schema that the body gives, not one that follows from its type.
func TestIN3_SchemaOfTheCaller(t *testing.T) {
	w := durable.Define("w",
		body("s", func(ctx context.Context, n *note) error {
			raw, err := durable.WaitForInput[json.RawMessage](ctx, "which", durable.Schema(json.RawMessage(choices)))
			n.Trace = append(n.Trace, string(raw))
			return err
		}),
		durable.Input("node", func(*note) durable.Ask {
			return durable.Ask{Prompt: "How many?", Options: []durable.WaitOption{durable.Schema(json.RawMessage(`{"type": "integer", "minimum": 3}`))}}
		}, func(n *note, v int) { n.N = v }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		p, err := e.PendingInputs(context.Background(), durable.InputFilter{Execution: run.ID})
		if err != nil || len(p.Inputs) != 1 {
			t.Fatal(p, err)
		}
		var got, want any
		if json.Unmarshal(p.Inputs[0].Schema, &got) != nil || json.Unmarshal([]byte(choices), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the schema is listed as %s", p.Inputs[0].Schema)
		}
		give := func(name, answer string) *durable.AnswerError {
			var refused *durable.AnswerError
			err := e.ProvideInput(context.Background(), run.ID, name, json.RawMessage(answer))
			if err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return refused
		}
		refused := give("which", `{"calls": ["approve", "maybe"], "note": "too long", "more": 1}`)
		if refused == nil {
			t.Fatal("it was accepted")
		}
		var paths []string
		for _, f := range refused.Fields {
			paths = append(paths, f.Path)
		}
		if want := []string{"/calls/1", "/more", "/note"}; !slices.Equal(paths, want) {
			t.Errorf("mistakes at %q, want %q", paths, want)
		}
		if run.Look().Status != durable.Waiting {
			t.Error("a refused answer changed something")
		}
		if refused := give("which", `{"calls": ["approve"], "note": null}`); refused != nil {
			t.Fatal(refused)
		}
		e.Restart()
		run.Settle()
		if give("node", "2") == nil || give("node", "3") != nil {
			t.Error("the node's schema does not count")
		}
		if got := run.Done(); got.N != 3 || got.Trace[0] != `{"calls":["approve"],"note":null}` {
			t.Errorf("%+v", got)
		}
	})
}

// An answer that is there before its question is checked by it, too.
func TestIN4_EarlyAnswersAndSchemas(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) (err error) {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		n.N, err = durable.WaitForInput[int](ctx, "n", durable.Schema(json.RawMessage(`{"maximum": 3}`)), durable.Timeout(time.Hour), durable.OnTimeout(1))
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for answer, want := range map[int]int{4: 1, 3: 3} {
			run := durabletest.Start(e.Engine, w, note{})
			if err := e.ProvideInput(context.Background(), run.ID, "n", answer, durable.Early()); err != nil {
				t.Fatal(err)
			}
			if got := run.Done(); got.N != want {
				t.Errorf("after %d: %d", answer, got.N)
			}
		}
	})
}

func TestIN3_SchemasThatAreRefused(t *testing.T) {
	var step func(ctx context.Context) error
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error { return step(ctx) }))
	input := func(raw string, opts ...durable.WaitOption) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := durable.WaitForInput[json.RawMessage](ctx, "n", append(opts, durable.Schema(json.RawMessage(raw)))...)
			return err
		}
	}
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for name, x := range map[string]struct {
			try  func(ctx context.Context) error
			text string
		}{
			"not JSON":    {input(`{`), "Schema: "},
			"empty":       {input(``), "Schema: "},
			"no schema":   {input(`{"type": "text", "properties": []}`), "/properties"},
			"dangling":    {input(`{"$ref": "#/$defs/x"}`), "$defs/x"},
			"a file":      {input(`{"$ref": "file:///etc/hostname"}`), "cannot refer to another document"},
			"a server":    {input(`{"$ref": "https://127.0.0.1/x"}`), "cannot refer to another document"},
			"regex":       {input(`{"pattern": "(["}`), "/pattern"},
			"large":       {input(`{"title": "` + strings.Repeat("x", 1<<20) + `"}`), "limit"},
			"its default": {input(`{"type": "integer"}`, durable.Timeout(1), durable.OnTimeout("x")), "OnTimeout"},
			"of a text": {func(ctx context.Context) error {
				_, err := durable.WaitForText(ctx, "n", durable.Schema(json.RawMessage(`true`)))
				return err
			}, "Schema is for"},
			"of an event": {func(ctx context.Context) error {
				_, err := durable.WaitForEvent[int](ctx, "n", durable.Schema(json.RawMessage(`true`)))
				return err
			}, "Schema is for"},
			"of a sleep":  {func(ctx context.Context) error { return durable.Sleep(ctx, 1, durable.Schema(json.RawMessage(`true`))) }, "Schema is for WaitForInput"},
			"timed sleep": {func(ctx context.Context) error { return durable.Sleep(ctx, 1, durable.Timeout(1)) }, "not for Sleep: Timeout is for"},
			"no name":     {func(ctx context.Context) error { return durable.Sleep(ctx, 1, durable.Named("")) }, "Named"},
			"bad name":    {func(ctx context.Context) error { return durable.Sleep(ctx, 1, durable.Named("a\nb")) }, "Named"},
			"named event": {func(ctx context.Context) error {
				_, err := durable.WaitForEvent[int](ctx, "n", durable.Named("x"))
				return err
			}, "Named is for"},
			"named input": {func(ctx context.Context) error {
				_, err := durable.WaitForInput[int](ctx, "n", durable.Named("x"))
				return err
			}, "Named is for"},
			"named any": {func(ctx context.Context) error {
				_, err := durable.WaitForAny(ctx, []string{"n"}, durable.Named("x"))
				return err
			}, "Named is for"},
		} {
			step = x.try
			err := durabletest.Start(e.Engine, w, note{}).Fails()
			wantError(t, err, nil, x.text)
			if err == nil || err.Status != durable.Failed {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A named sleep is known by its name: others that come into the code before it do not take its record.
func TestDO10_NamedSleeps(t *testing.T) {
	until := time.Date(2000, 1, 20, 3, 0, 0, 0, time.UTC)
	old := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for range 2 {
			if err := durable.Sleep(ctx, time.Hour, durable.Named("turn")); err != nil {
				return err
			}
		}
		return durable.SleepUntil(ctx, until, durable.Named("day"))
	}))
	changed := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for _, name := range []string{"new", "turn", "turn", "day"} {
			err := durable.Sleep(ctx, 5*24*time.Hour, durable.Named(name))
			if errors.Is(err, durable.ErrWaitCancelled) {
				n.Trace = append(n.Trace, name)
			} else if err != nil {
				return err
			}
		}
		return durable.Sleep(ctx, time.Minute)
	}))
	onStores(t, serve(old), func(t *testing.T, e env) {
		began := time.Now()
		run := durabletest.Start(e.Engine, old, note{})
		e.Sleep(2*time.Hour + time.Minute)
		waits, err := e.OpenWaits(context.Background(), run.ID)
		if err != nil || len(waits) != 1 || waits[0].Kind != "sleep" || waits[0].Name != "day" || !waits[0].Deadline.Truncate(time.Millisecond).Equal(until) {
			t.Fatalf("%+v, %v", waits, err)
		}
		e.Deploy(serve(changed))
		if err := e.CancelWait(context.Background(), run.ID, "day", "enough"); err != nil {
			t.Fatal(err)
		}
		if got := run.Done(); !slices.Equal(got.Trace, []string{"day"}) {
			t.Errorf("%+v", got)
		}
		if d := time.Since(began); d < 5*24*time.Hour || d > 6*24*time.Hour {
			t.Errorf("it took %s: the sleeps named turn are not done again, the new one is", d)
		}
		var keys []string
		for _, f := range e.facts(t, run.ID) {
			if f.Wait != nil {
				keys = append(keys, f.Call)
			}
		}
		if want := []string{"sleep:turn#1", "sleep:turn#2", "sleep:day#1", "sleep:new#1", "sleep:#1"}; !slices.Equal(keys, want) {
			t.Errorf("%q, want %q", keys, want)
		}
	})
}
