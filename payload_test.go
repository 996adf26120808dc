package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

type odd struct {
	Nil     []int           `json:"nil"`
	Empty   []int           `json:"empty"`
	Big     int64           `json:"big"`
	Any     any             `json:"any"`
	Raw     json.RawMessage `json:"raw"`
	Hidden  string          `json:"-"`
	private string
	Seen    string         `json:"seen,omitempty"`
	Map     map[string]any `json:"map"`
	Bytes   []byte         `json:"bytes,omitempty"`
	Text    string         `json:"text,omitempty"`
	Patch   map[string]int `json:"$set,omitempty"`
}

func TestPL1_TheStateIsWhatItsJSONSays(t *testing.T) {
	look := func(name string) durable.Node[odd] {
		return durable.Step(name, func(_ context.Context, o *odd) error {
			if o.Hidden != "" || o.private != "" {
				return errors.New("unexported fields survive")
			}
			if o.Nil != nil || o.Empty == nil || o.Map == nil {
				return fmt.Errorf("nil and empty: %#v", o)
			}
			if o.Big != 9007199254740993 || fmt.Sprint(o.Any) != "9007199254740993" || string(o.Raw) != "12345678901234567890.10" {
				return fmt.Errorf("digits: %d %v %s", o.Big, o.Any, o.Raw)
			}
			o.Hidden, o.private = "x", "y"
			o.Seen += name
			return nil
		})
	}
	w := durable.Define("w", look("a"),
		durable.Branch("b", func(o *odd) bool { return o.Hidden == "" && o.private == "" }).Case(true, look("c")),
		durable.Step("sleep", func(ctx context.Context, _ *odd) error { return durable.Sleep(ctx, time.Hour) }),
		look("d"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		in := odd{Empty: []int{}, Big: 9007199254740993, Any: json.Number("9007199254740993"), Raw: json.RawMessage("12345678901234567890.10"), Map: map[string]any{}}
		run := durabletest.Start(e.Engine, w, in)
		synctest.Wait()
		e.Restart()
		run.Done()
		want := `{"nil":null,"empty":[],"big":9007199254740993,"any":9007199254740993,"raw":12345678901234567890.10,"map":{},"seen":"acd"}`
		if got := string(run.Look().State); got != want {
			t.Errorf("state %s\nwant  %s", got, want)
		}
	})
}

// What the fold of the journal gives is what the last body left.
func TestPL2_TheFoldIsTheState(t *testing.T) {
	type state struct {
		M    map[string]*int `json:"m"`
		L    []int           `json:"l,omitempty"`
		P    *int            `json:"p,omitempty"`
		Q    *int            `json:"q"`
		Set  string          `json:"set,omitempty"`
		Unst string          `json:"unset,omitempty"`
		D    map[string]any  `json:"$set,omitempty"`
	}
	one := 1
	states := []state{
		{M: map[string]*int{"a": &one, "b": nil}, L: []int{1, 2, 3}, P: &one, Q: &one, Set: "x", D: map[string]any{"set": "y"}},
		{M: map[string]*int{"a": nil}, L: []int{1, 2, 3, 4}, Unst: "set"},
		{M: map[string]*int{}, L: []int{4}, D: map[string]any{}, Q: &one},
		{},
		{L: []int{0}, D: map[string]any{"$set": map[string]any{"$unset": nil}}},
	}
	var nodes []durable.Node[state]
	for i, s := range states {
		nodes = append(nodes, durable.Step(fmt.Sprintf("s%d", i), func(_ context.Context, v *state) error {
			*v = s
			return nil
		}), durable.Step(fmt.Sprintf("look%d", i), func(_ context.Context, v *state) error {
			want, err := json.Marshal(s)
			if err != nil {
				return err
			}
			if got, err := json.Marshal(v); err != nil || string(got) != string(want) {
				return fmt.Errorf("after step %d: %s, want %s", i, got, want)
			}
			return nil
		}))
	}
	w := durable.Define("w", nodes...)
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, state{})
		got := run.Done()
		if !reflect.DeepEqual(got.L, []int{0}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestPL3_StepsStoreChanges(t *testing.T) {
	type large struct {
		Text string `json:"text"`
		N    int    `json:"n"`
	}
	w := durable.Define("w", durable.Loop("l", func(l *large) bool { return l.N < 100 }, durable.Step("s", func(_ context.Context, l *large) error {
		l.N++
		return nil
	})))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, large{Text: strings.Repeat("x", 100_000)})
		run.Done()
		size := 0
		for _, row := range e.record(t, run.ID).Rows {
			size += len(row.Body)
		}
		if size > 130_000 {
			t.Errorf("100 steps on a state of 100 KB wrote %d bytes", size)
		}
		if got := string(run.Look().State); got != `{"text":"`+strings.Repeat("x", 100_000)+`","n":100}` {
			t.Errorf("state of %d bytes", len(got))
		}
	})
}

// Limit bytes pass, limit + 1 are refused: PL-4 but for children.
func TestPayload_LimitAtEachDoor(t *testing.T) {
	const limit = 2000
	text := func(n int) string { return strings.Repeat("é", n/2) + strings.Repeat("x", n%2) }
	type state struct {
		Do   int    `json:"do,omitempty"`
		Grow int    `json:"grow,omitempty"`
		Text string `json:"t,omitempty"`
	}
	stateOf := func(n int) string { return text(n - len(`{"t":""}`)) } // a state of n bytes
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, s *state) error {
		switch {
		case s.Do > 0:
			_, err := durable.Do(ctx, "do", func(context.Context) (string, error) { return text(s.Do - 2), nil })
			*s = state{}
			return err
		case s.Grow > 0:
			*s = state{Text: stateOf(s.Grow)}
		case s.Text == "wait":
			if _, err := durable.WaitForEvent[string](ctx, "e"); err != nil {
				return err
			}
			_, err := durable.WaitForInput[string](ctx, "i")
			return err
		}
		return nil
	}))
	cfg := serve(w)
	cfg.MaxPayload = limit
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		durabletest.Start(e.Engine, w, state{Text: stateOf(limit)}).Done()
		_, err := w.Start(ctx, e.Engine.Engine, state{Text: stateOf(limit + 1)})
		wantError(t, err, durable.ErrTooLarge, "2001", "2000")
		durabletest.Start(e.Engine, w, state{Do: limit}).Done()
		_, err = durabletest.Start(e.Engine, w, state{Do: limit + 1}).End()
		wantFailure(t, err, durable.Failed, "too_large", "s")
		durabletest.Start(e.Engine, w, state{Grow: limit}).Done()
		_, err = durabletest.Start(e.Engine, w, state{Grow: limit + 1}).End()
		wantFailure(t, err, durable.Failed, "too_large", "s")
		run := durabletest.Start(e.Engine, w, state{Text: "wait"})
		wantError(t, e.SendEvent(ctx, run.ID, "e", text(limit-1)), durable.ErrTooLarge)
		run.Event("e", text(limit-2))
		run.Settle()
		wantError(t, e.ProvideInput(ctx, run.ID, "i", text(limit-1)), durable.ErrTooLarge)
		run.Answer("i", text(limit-2))
		run.Done()
	})
}

// PL-4 but for children.
func TestPayload_OddValuesRoundTrip(t *testing.T) {
	w := durable.Define("w", durable.Step("s", func(_ context.Context, o *odd) error {
		o.Seen = "x"
		return nil
	}))
	deepest := `1`
	for range 63 {
		deepest = "[" + deepest + "]"
	}
	onStores(t, serve(w), func(t *testing.T, e env) {
		in := odd{
			Text: "\u2028 </script> 世界 🎈 \x00 \\ \"", Bytes: []byte{0, 255, 1}, Map: map[string]any{"": map[string]any{}},
			Raw: json.RawMessage(deepest), Patch: map[string]int{"$set": 1},
		}
		if got := durabletest.Start(e.Engine, w, in).Done(); got.Text != in.Text || !reflect.DeepEqual(got.Bytes, in.Bytes) ||
			!reflect.DeepEqual(got.Map, in.Map) || string(got.Raw) != deepest || !reflect.DeepEqual(got.Patch, in.Patch) {
			t.Errorf("%#v\nwant %#v", got, in)
		}
		in = odd{Text: strings.Repeat("é", 50_000), Raw: json.RawMessage("0")}
		if got := durabletest.Start(e.Engine, w, in).Done(); got.Text != in.Text {
			t.Errorf("%d bytes", len(got.Text))
		}
	})
}
