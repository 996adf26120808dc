package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// A failed run is forked with another state, a worker runs the fork, and the command says how they differ.
func TestForkAndDiff(t *testing.T) {
	f := newFixture(t)
	var made struct {
		Execution durable.ID
		Origin    durable.Origin
	}
	r := command(t, `{"customer":"Bob","way":"ship"}`, "fork", f.id("burn"), "handle", "--file", "-", "--tag", "again", "--json", "--db", f.db)
	if err := json.Unmarshal([]byte(r.out), &made); r.code != exitDone || err != nil || made.Origin.Path != "handle" || made.Origin.Run != f.runs["burn"] {
		t.Fatalf("%+v, %v", r, err)
	}
	w := durable.Define("orders", durable.Step("handle", handle))
	e, err := durable.Open(t.Context(), sqlite.Open(f.db), durable.Config{Workflows: []durable.Definition{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(t.Context()) }()
	if end, err := w.Attach(e, made.Execution).Wait(t.Context()); err != nil || !end.Shipped {
		t.Errorf("%+v, %v", end, err)
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Fatal(err)
	}
	r = command(t, "", "show", made.Execution.String(), "--db", f.db)
	if want := "from " + f.id("burn") + " at handle"; r.code != exitDone || !strings.Contains(r.out, want) {
		t.Errorf("%+v; want %q", r, want)
	}
	r = command(t, "", "diff", made.Execution.String(), "--db", f.db)
	for _, want := range []string{"- " + f.id("burn"), "failed", "+ " + made.Execution.String(), "completed", "goes on from handle of the first", "handle\n  - failed: no way burn", `+ done [["set","/shipped",true]]`, `+   "customer": "Bob"`, `-   "way": "burn"`} {
		if r.code != exitDone || !strings.Contains(r.out, want) || strings.ContainsAny(r.out, "\x1b\u009b\u202e\x7f") {
			t.Errorf("%+v; want %q", r, want)
		}
	}
	var c compared
	r = command(t, "", "diff", made.Execution.String(), "--json", "--db", f.db)
	if err := json.Unmarshal([]byte(r.out), &c); r.code != exitDone || err != nil || len(c.Steps) != 1 || c.Steps[0].Path != "handle" || len(c.Input) > 0 {
		t.Errorf("%+v, %+v, %v", r, c, err)
	}
}
