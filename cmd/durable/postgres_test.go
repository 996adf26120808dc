package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// The verbs work on a PostgreSQL database as on a file. They make nothing in one
// that has no tables, and never print a password.
func TestPostgres(t *testing.T) {
	address := os.Getenv("DURABLE_TEST_POSTGRES_URL")
	if address == "" {
		t.Skip("SKIPPED: DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts a server")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); !has { // a server that asks for none takes any
		u.User = url.UserPassword(u.User.Username(), "geheim")
		address = u.String()
	}
	secret, _ := u.User.Password()
	schema := fmt.Sprintf("command_%016x", rand.Uint64())
	t.Cleanup(func() { execute(t, address, "drop schema if exists "+schema+" cascade") })
	on := func(args ...string) result {
		t.Helper()
		r := command(t, "", append(args, "--db", address, "--schema", schema)...)
		if strings.Contains(r.out+r.err, secret) {
			t.Errorf("%q prints the password:\n%s%s", args, r.out, r.err)
		}
		return r
	}
	if r := on("list"); r.code != exitRefused || !strings.Contains(r.err, "has no tables of ours in the schema") {
		t.Errorf("without tables: %+v", r)
	}
	flow := durable.Define("talk", durable.Step("talk", func(ctx context.Context, o *order) error {
		durable.Logger(ctx).Info("talking")
		a, err := durable.WaitForInput[orderForm](ctx, "form", durable.Prompt("where to?"))
		if err != nil {
			return err
		}
		o.Way, err = durable.WaitForEvent[string](ctx, "go")
		o.Customer = a.Address
		return err
	}))
	e, err := durable.Open(t.Context(), postgres.Open(address, postgres.Schema(schema)), durable.Config{
		Workflows: []durable.Definition{flow}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	var runs []*durable.Run[order]
	for range 2 {
		run, err := flow.Start(t.Context(), e, order{})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	wait := ""
	for wait == "" {
		page, err := e.PendingInputs(t.Context(), durable.InputFilter{Execution: runs[0].ID})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Inputs) > 0 {
			wait = page.Inputs[0].ID
		}
	}
	var list durable.ExecutionPage
	if r := on("list", "--json"); r.code != 0 || json.Unmarshal([]byte(r.out), &list) != nil || len(list.Executions) != 2 {
		t.Errorf("list: %+v", r)
	}
	if r := on("inbox", "show", wait); r.code != 0 || !strings.Contains(r.out, "where to?") || !strings.Contains(r.out, "--schema "+schema) {
		t.Errorf("inbox show: %+v", r)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"inbox", "answer", wait, `{"address":"here","parcels":2}`}, ""},
		{[]string{"event", runs[0].ID.String(), "go", `"ship"`}, ""},
		{[]string{"cancel", runs[1].ID.String()}, ""},
		{[]string{"logs", runs[0].ID.String()}, "talking"},
	} {
		if r := on(c.args...); r.code != 0 || !strings.Contains(r.out, c.says) {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	if o, err := runs[0].Wait(t.Context()); err != nil || o.Customer != "here" || o.Way != "ship" {
		t.Errorf("the first run: %+v, %v", o, err)
	}
	if r := on("show", runs[1].ID.String()); r.code != 0 || !strings.Contains(r.out, "cancelled") {
		t.Errorf("show: %+v", r)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r := command(t, "", "list", "--db", "postgres://app:geheim%zz@127.0.0.1/x"); r.code != exitFailed || strings.Contains(r.err, "geheim") {
		t.Errorf("a URL that cannot be read: %+v", r)
	}
	if r := command(t, "", "list", "--schema", "x"); r.code != exitUsage {
		t.Errorf("a schema of a file: %+v", r)
	}
}

func execute(t *testing.T, address, statement string) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), address)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(context.Background(), statement); err != nil {
		t.Error(err)
	}
}
