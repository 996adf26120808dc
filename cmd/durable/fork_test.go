package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
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

// What failed in a lane is run again with the lanes beside it; a condition that failed is not run again by chance.
func TestRerun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "lanes.db")
	broken := true
	step := func(name string) durable.Node[order] {
		return durable.Step(name, func(context.Context, *order) error {
			if broken && name == "bad" {
				return errors.New("it is broken")
			}
			return nil
		})
	}
	lanes := durable.Define("lanes", step("a"), durable.Parallel("both", step("good"), step("bad")), step("end"))
	loop := durable.Define("loop", durable.Loop("again", func(*order) bool { panic("no") }, step("x")))
	cfg := durable.Config{Workflows: []durable.Definition{lanes, loop}, Logger: slog.New(slog.DiscardHandler)}
	e, err := durable.Open(t.Context(), sqlite.Open(db), cfg)
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(t.Context()) }()
	var ids []string
	for _, w := range []*durable.Workflow[order]{lanes, loop} {
		r, err := w.Start(t.Context(), e, order{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context()); err == nil {
			t.Fatal("it has not failed")
		}
		ids = append(ids, r.ID.String())
	}
	broken = false
	r := command(t, "", "rerun", ids[0], "--db", db, "--json")
	var made forked
	if err := json.Unmarshal([]byte(r.out), &made); r.code != exitDone || err != nil || made.Origin.Path != "both" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := lanes.Attach(e, made.Execution).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	for want, args := range map[string][]string{
		"the loop again itself":        {ids[1]},
		"that of the whole run":        {ids[0], "--state", "{}"},
		"no step of it has failed":     {made.Execution.String()},
		"durable fork " + ids[1] + " ": {ids[1]},
	} {
		if r := command(t, "", append([]string{"rerun", "--db", db}, args...)...); r.code != exitRefused || !strings.Contains(r.err, want) {
			t.Errorf("%v: %+v; want %q", args, r, want)
		}
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Fatal(err)
	}
}
