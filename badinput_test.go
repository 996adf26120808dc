package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
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
