package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// What the command says about rollbacks, and does to them. Nobody works on them any
// more, so what is asked for stays to be done.
func TestCN6_CO6_Command(t *testing.T) {
	db := filepath.Join(t.TempDir(), "trips.db")
	ctx := t.Context()
	book := durable.Step("reserve", func(context.Context, *order) error { return nil }).
		Compensate(func(_ context.Context, o *order) error {
			if o.Way == "stuck" {
				return durable.Permanent(errors.New("the desk is closed"))
			}
			return nil
		})
	w := durable.Define("trips", book, durable.Step("pay", func(ctx context.Context, o *order) error {
		if o.Way == "wait" {
			_, err := durable.WaitForEvent[string](ctx, "paid")
			return err
		}
		return durable.Permanent(errors.New("no money"))
	}))
	e, err := durable.Open(ctx, sqlite.Open(db), durable.Config{Workflows: []durable.Definition{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	ids := map[string]string{}
	for _, way := range []string{"undone", "stuck", "wait"} {
		r, err := w.Start(ctx, e, order{Way: way})
		if err != nil {
			t.Fatal(err)
		}
		if ids[strings.ToUpper(way)] = r.ID.String(); way != "wait" {
			if _, err := r.Wait(ctx); err == nil {
				t.Fatal("it completed")
			}
		}
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"show UNDONE", 0, "undo reserve"},
		{"show STUCK", 0, "the desk is closed"},
		{"list --status compensated", 0, "compensated"},
		{"list --status compensation_failed --json", 0, `"no money"`},
		{"cancel UNDONE", 4, "it is compensated"},
		{"retry UNDONE", 4, "it is compensated"},
		{"retry " + durable.ID{1}.String(), 3, "not found"},
		{"retry STUCK", 0, "is compensating"},
		{"retry STUCK", 4, "it is compensating"},
		{"cancel STUCK", 4, "being rolled back"},
		{"cancel STUCK --force", 0, "is compensating"},
		{"cancel WAIT --compensate --reason enough --json", 0, `"status":"compensating"`},
		{"cancel WAIT --compensate", 4, "being rolled back"},
		{"show WAIT", 0, "compensating"},
	} {
		args := strings.Fields(c.args)
		for i, a := range args {
			if id, ok := ids[a]; ok {
				args[i] = id
			}
		}
		r := command(t, "", append(args, "--db", db)...)
		said := r.out
		if c.code != 0 {
			said = r.err
		}
		if r.code != c.code || !strings.Contains(strings.ReplaceAll(said, `": "`, `":"`), c.says) {
			t.Errorf("durable %s: exit code %d, want %d with %q\nstdout: %s\nstderr: %s", c.args, r.code, c.code, c.says, r.out, r.err)
		}
	}
}
