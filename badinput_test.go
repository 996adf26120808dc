package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// Each bad input gets an error that names the place and what to do; nothing is
// stored and nothing is lost. Definitions first.
func TestBadInput_Definitions(t *testing.T) {
	for name, c := range map[string]struct {
		w    durable.Definition
		says []string
	}{
		"two nodes with one name": {durable.Define("w", mark("a"), mark("a")), []string{"workflow w: a", "rename"}},
		"an empty workflow":       {durable.Define[note]("w"), []string{"workflow w", "at least one"}},
		"a nil function":          {durable.Define("w", body("a", nil)), []string{"workflow w: a", "nil"}},
		"a case key twice": {
			durable.Define("w", durable.Branch("b", func(n *note) string { return n.Kind }).Case("x", mark("a")).Case("x", mark("b"))),
			[]string{"workflow w: b", `"x"`},
		},
		"an unknown queue": {durable.Define("w", mark("a").Queue("ai")), []string{"workflow w: a", `"ai"`, "Config.Queues"}},
		"a channel": {
			durable.Define("w", durable.Step("a", func(context.Context, *struct{ C chan int }) error { return nil })),
			[]string{"workflow w", "C", "json"},
		},
		"a goto to nowhere":          {durable.Define("w", mark("a"), goes("d", "a").To("b"), mark("c")), []string{"workflow w: d", `"b"`, "not beside it", "a, c"}},
		"a goto into another scope":  {durable.Define("w", goes("d", "s").To("s/b", "b"), durable.Sequence("s", mark("b"))), []string{`"s/b"`, `"b"`, "not beside it", "there are: s"}},
		"a goto to itself":           {durable.Define("w", mark("a"), goes("d", "d").To("d")), []string{"workflow w: d", "itself", "retry"}},
		"a lane name twice":          {durable.Define("w", durable.Parallel("p", mark("a"), mark("a"))), []string{"workflow w: p", `"a"`, "rename"}},
		"no lanes":                   {durable.Define("w", durable.Parallel[note]("p")), []string{"workflow w: p", "no lanes"}},
		"Settle and nobody to look":  {durable.Define("w", durable.Parallel("p", mark("a")).Settle()), []string{"workflow w: p", "Merge"}},
		"an item that is a channel":  {durable.Define("w", durable.Each("e", func(*note) []pipe { return nil }, durable.Step("x", func(context.Context, *pipe) error { return nil }))), []string{"workflow w: e", "item type", "pipe.C", "json"}},
		"no nodes, and two Intos":    {durable.Define("w", durable.Each[note, note]("e", func(*note) []note { return nil }).Concurrency(0).Into(func(*note, []note) {}).IntoOutcomes(nil)), []string{"workflow w: e", "no nodes", "Concurrency is 0", "two of Into", "IntoOutcomes: the function is nil"}},
		"a form of a map":            {durable.Define("w", durable.Input("i", func(*note) durable.Ask { return durable.Ask{} }, func(*note, noForm) {}).Form()), []string{"workflow w: i", "noForm cannot be a form", "noForm.M", "noForm.F"}},
		"a child that nobody serves": {durable.Define("w", durable.Sequence("s", durable.Child("c", other("child"), func(*note) note { return note{} }, func(*note, note) {}))), []string{"workflow w: s/c", `"child"`, "Config.Workflows"}},
		"a timeout of nothing":       {durable.Define("w", mark("a")).Timeout(0), []string{"workflow w", "Timeout", "positive"}},
		"a default that never comes": {durable.Define("w", durable.Event("e", func(*note, int) {}).OnTimeout(1)), []string{"workflow w: e", "OnTimeout without Timeout"}},
		"a nil node":                 {durable.Define("w", mark("a"), nil), []string{"workflow w", "node 2"}},
		"a nil compensation":         {durable.Define("w", mark("a").Compensate(nil)), []string{"workflow w: a", "Compensate", "nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			bad := refusal(t, serve(c.w))
			for _, text := range c.says {
				if !strings.Contains(bad.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, bad)
				}
			}
		})
	}
}

// pipe is no item, noForm no form.
type (
	pipe   struct{ C chan int }
	noForm struct {
		M map[string]int
		F func()
	}
)

// goes is a decision that goes to a target.
func goes(name, target string) *durable.DecisionNode[note] {
	return durable.Decision(name, func(context.Context, *note) (durable.Choice, error) { return durable.Goto(target), nil })
}

func other(name string) *durable.Workflow[note] { return durable.Define(name, mark("x")) }

// changes is a lane that changes a field.
func changes(name, kind string) *durable.StepNode[note] {
	return body(name, func(_ context.Context, n *note) error {
		n.Kind = kind
		return nil
	})
}

// What can only be seen while it runs fails the run, with the place and what to do.
func TestBadInput_Runs(t *testing.T) {
	type price struct{ P float64 }
	use := durable.Step("use", func(context.Context, *price) error { return nil })
	var endless *durable.Workflow[note]
	endless = durable.Define("endless", body("call", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, endless, note{})
		return err
	}))
	for name, c := range map[string]struct {
		w          *durable.Workflow[note]
		code, path string
		says       []string
	}{
		"a goto to nowhere":           {durable.Define("w", mark("a"), goes("d", "b"), mark("c")), "decision", "d", []string{`"d"`, `"b"`, "not beside it", "a, c"}},
		"a goto into another scope":   {durable.Define("w", mark("a"), durable.Sequence("s", goes("d", "a"), mark("b"))), "decision", "s/d", []string{`"a"`, "not beside it", "there are: b"}},
		"a goto to itself":            {durable.Define("w", mark("a"), goes("d", "d")), "decision", "d", []string{"itself", "retry"}},
		"a goto that is not declared": {durable.Define("w", goes("d", "b").To("c"), mark("b"), mark("c")), "decision", "d", []string{`"b"`, "To", "it has: c"}},
		"a goto in circles":           {durable.Define("w", mark("a"), goes("d", "a")), "loop_limit", "d", []string{"1000 times", "Loop"}},
		"two lanes, one field":        {durable.Define("w", durable.Parallel("p", changes("a", "x"), changes("b", "y"))), "merge_conflict", "p", []string{`"kind"`, `"a"`, `"b"`, "Merge"}},
		"two lanes, one list":         {durable.Define("w", durable.Parallel("p", mark("a"), mark("b"))), "merge_conflict", "p", []string{`"trace"`, `"a"`, `"b"`, "Merge"}},
		"an item that is no number":   {durable.Define("w", durable.Each("e", func(*note) []price { return []price{{1}, {math.NaN()}} }, use)), "items", "e", []string{"item 1", "NaN"}},
		"1,001 items":                 {durable.Define("w", durable.Each("e", func(*note) []price { return make([]price, 1001) }, use)), "items", "e", []string{"1001 items", "1000"}},
		"a merge that gives up":       {durable.Define("w", durable.Parallel("p", mark("a")).Merge(func(*note, map[string]durable.Outcome[note]) error { return errors.New("no") })), "merge", "p", []string{"failed: p: no"}},
		"a child that nobody serves": {durable.Define("w", body("a", func(ctx context.Context, _ *note) error {
			_, err := durable.Call(ctx, other("child"), note{})
			return err
		})), "permanent", "a", []string{`"child"`, "Config.Workflows"}},
		"children without an end": {durable.Define("w", body("a", func(ctx context.Context, _ *note) error {
			_, err := durable.Call(ctx, endless, note{})
			return err
		})), "child", "a", []string{"endless is failed", "deeper than 32", "Loop"}},
		"a form of a map": {durable.Define("w", body("a", func(ctx context.Context, _ *note) error {
			_, err := durable.WaitForForm[noForm](ctx, "f")
			return err
		}).Retry(durable.Retry{MaxAttempts: 3})), "permanent", "a", []string{`form "f"`, "noForm cannot be a form", "noForm.M", "noForm.F"}},
		"a durable call in All": {durable.Define("w", body("a", func(ctx context.Context, _ *note) error {
			_, err := durable.All(ctx, "x", []int{1}, func(ctx context.Context, _ int) (int, error) { return 0, durable.Sleep(ctx, 1) })
			return err
		})), "error", "a", []string{"sleep"}},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, serve(c.w, endless), func(t *testing.T, e env) {
				end := durabletest.Start(e.Engine, c.w, note{}).Fails()
				if end.Cause.Code != c.code || end.Cause.Path != c.path {
					t.Errorf("code %q at %q, want %q at %q", end.Cause.Code, end.Cause.Path, c.code, c.path)
				}
				wantError(t, end, nil, c.says...)
			})
		})
	}
}

// A compensation of another state type does not compile.
func TestBadInput_Compensation(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./testdata/wrongstate").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "refund") || !strings.Contains(string(out), "cannot use") {
		t.Errorf("%v: %s", err, out)
	}
}

// All that is wrong with an answer comes back at once.
func TestBadInput_Answers(t *testing.T) {
	type expense struct {
		Amount  int    `json:"amount" durable:"required;min=1;max=5000"`
		Purpose string `json:"purpose" durable:"required"`
		Account string `json:"account" durable:"enum=travel|office"`
	}
	w := durable.Define("w", durable.Input("expense", func(*note) durable.Ask { return durable.Ask{} }, func(n *note, e expense) { n.N = e.Amount }).Form())
	onStores(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		r.Settle()
		err := e.ProvideInput(context.Background(), r.ID, "expense", map[string]any{"amount": 0, "purpose": "", "account": "gifts"})
		wantError(t, err, durable.ErrInvalid, "/amount", "/purpose", "/account", "travel")
		var refused *durable.AnswerError
		if !errors.As(err, &refused) || len(refused.Fields) != 3 {
			t.Errorf("%+v", refused)
		}
		r.Answer("expense", expense{Amount: 7, Purpose: "tea", Account: "office"})
		if n := r.Done(); n.N != 7 {
			t.Errorf("%+v", n)
		}
	})
}

func TestBadInput_Calls(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		v, err := durable.WaitForInput[form](ctx, "form")
		n.N = v.Count
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		before := len(e.facts(t, run.ID))
		unknown := durable.ID{7}
		for name, c := range map[string]struct {
			err      error
			sentinel error
			says     []string
		}{
			"an answer that does not fit": {e.ProvideInput(ctx, run.ID, "form", map[string]int{"name": 1}), durable.ErrInvalid, []string{"/name", "count", run.ID.String()}},
			"an answer to nobody":         {e.ProvideInput(ctx, unknown, "form", form{}), durable.ErrNotFound, []string{unknown.String()}},
			"an answer to no question":    {e.ProvideInput(ctx, run.ID, "other", form{}), durable.ErrNoSuchWait, []string{`"other"`}},
			"an event to nobody":          {e.SendEvent(ctx, unknown, "e", 1), durable.ErrNotFound, []string{unknown.String()}},
			"an event that is a channel":  {e.SendEvent(ctx, run.ID, "e", make(chan int)), nil, []string{`"e"`, "JSON"}},
			"an event over the limit":     {e.SendEvent(ctx, run.ID, "e", strings.Repeat("x", 1<<20)), durable.ErrTooLarge, []string{`"e"`, "MaxPayload"}},
			"an event that is no JSON":    {e.SendEvent(ctx, run.ID, "e", json.RawMessage("{")), durable.ErrInvalid, []string{`"e"`, "JSON"}},
			"a cancel of nobody":          {e.Cancel(ctx, unknown, "x"), durable.ErrNotFound, []string{unknown.String()}},
		} {
			t.Log(name)
			wantError(t, c.err, c.sentinel, c.says...)
		}
		if _, err := e.Execution(ctx, unknown); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("an unknown id: %v", err)
		}
		if _, err := durable.ParseID("not-an-id"); err == nil || !strings.Contains(err.Error(), `"not-an-id"`) {
			t.Errorf("no id: %v", err)
		}
		if x := run.Look(); len(e.facts(t, run.ID)) != before || len(x.Inbox) != 0 || x.Status != durable.Waiting || e.count(t) != 1 {
			t.Errorf("something was stored: %s, %d messages", x.Status, len(x.Inbox))
		}
		run.Answer("form", form{Name: "x", Count: 1})
		run.Done()
		wantError(t, e.ProvideInput(ctx, run.ID, "form", form{}), durable.ErrRunDone, "completed")
	})
}

func TestBadInput_Files(t *testing.T) {
	w := durable.Define("w", mark("a"))
	open := func(path string) error {
		e, err := durable.Open(context.Background(), sqlite.Open(path), serve(w))
		if err == nil {
			_ = e.Close()
		}
		return err
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, open(text), store.ErrNotDatabase, "text.db")
	if b, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(b), "no database no") {
		t.Error("the file was changed")
	}
	wantError(t, open(dir), nil, dir)
	wantError(t, open(filepath.Join(dir, "missing", "x.db")), nil, "missing")
	if os.Geteuid() != 0 { // root may write anything
		locked := filepath.Join(dir, "locked.db")
		if err := open(locked); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(locked, 0o400); err != nil {
			t.Fatal(err)
		}
		wantError(t, open(locked), store.ErrReadOnly, "locked.db")
	}
}

// full is a store whose disk is full.
type full struct {
	outage
}

func (f *full) OpenStore(context.Context) (store.Store, error) { return f, nil }

func (f *full) Commit(ctx context.Context, w []store.Write) (store.Result, error) {
	if away, _ := f.gone(); away {
		return store.Result{}, store.ErrFull
	}
	return f.Store.Commit(ctx, w)
}

func TestBadInput_FullDiskPausesRuns(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		bodies.add("a")
		return rest(ctx, time.Second)
	}), mark("b"))
	inner, err := memory.New().OpenStore(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	db := &full{outage{Store: inner}}
	durabletest.Run(t, serve(w), func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, w, note{})
		synctest.Wait()
		db.set(true, false)
		e.Sleep(time.Minute)
		short, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := w.Start(short, e.Engine, note{}); err == nil {
			t.Error("a start is acknowledged on a full disk")
		}
		e.Sleep(time.Minute)
		db.set(false, false)
		wantTrace(t, run.Done(), "b")
		if n := len(bodies.all()); n > 2 { // the second start may have been made
			t.Errorf("%d bodies", n)
		}
	}, durabletest.Store(db))
}
