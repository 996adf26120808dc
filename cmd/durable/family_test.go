package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// A run with lanes, items and wait nodes that has begun a child, which waits.
func TestShow_FlowAndFamily(t *testing.T) {
	db := filepath.Join(t.TempDir(), "orders.db")
	done := func(context.Context, *order) error { return nil }
	child := durable.Define("shipping", durable.Event("picked_up", func(*order, string) {}))
	w := durable.Define("orders",
		durable.Parallel("both", durable.Step("left", done), durable.Step("right", done)),
		durable.Each("parts", func(*order) []order { return make([]order, 3) }, durable.Step("pack", done)),
		durable.Event("hint", func(*order, string) {}).Timeout(0).OnTimeout(""),
		durable.Pause("rest", func(*order) time.Duration { return 0 }).When(func(*order) bool { return false }),
		durable.Child("ship", child, func(o *order) order { return *o }, func(*order, order) {}),
	)
	e, err := durable.Open(t.Context(), sqlite.Open(db), durable.Config{Workflows: []durable.Definition{w, child}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = e.Run(t.Context()) }()
	r, err := w.Start(t.Context(), e, order{})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var ship durable.ID
	for range tick.C {
		page, err := e.Executions(t.Context(), durable.Filter{Parent: r.ID, Statuses: []durable.Status{durable.Waiting}})
		if err != nil {
			t.Fatal(err)
		}
		if x, err := e.Execution(t.Context(), r.ID); err == nil && x.Status == durable.Waiting && len(page.Executions) == 1 {
			ship = page.Executions[0].ID
			break
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	show := command(t, "", "show", r.ID.String(), "--db", db)
	for _, text := range []string{"→ 2 lanes", "→ 3 items", "→ timeout", "→ skip", "Waits for call shipping at ship", "durable list --parent " + r.ID.String()} {
		if !strings.Contains(show.out, text) {
			t.Errorf("show does not say %q:\n%s", text, show.out)
		}
	}
	if strings.Contains(show.out, "answer it with") {
		t.Errorf("nobody can answer a call:\n%s", show.out)
	}
	if got := command(t, "", "show", ship.String(), "--db", db); !strings.Contains(got.out, "Parent    "+r.ID.String()) {
		t.Errorf("the child does not name its parent:\n%s", got.out)
	}
	for flag, want := range map[string]durable.ID{"--top": r.ID, "--parent=" + r.ID.String(): ship} {
		got := command(t, "", "list", flag, "--db", db)
		if n := strings.Count(got.out, "\n"); n != 2 || !strings.Contains(got.out, want.String()) {
			t.Errorf("list %s:\n%s%s", flag, got.out, got.err)
		}
	}
	if got := command(t, "", "list", "--parent=xyz", "--db", db); got.code == 0 || !strings.Contains(got.err, `"xyz"`) {
		t.Errorf("%+v", got)
	}
}
