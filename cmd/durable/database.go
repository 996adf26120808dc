package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
	"github.com/durable-go/durable/store/sqlite"
)

// dbFlag gives a verb the flags --db and --schema.
func (a *app) dbFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.db, "db", "durable.db", "`DATABASE`: a file, or a URL postgres://USER@HOST/NAME (the password may be in PGPASSWORD)")
	cmd.Flags().StringVar(&a.schema, "schema", "durable", "`SCHEMA` of a PostgreSQL database")
	return cmd
}

// remote says that the database is a server's.
func (a *app) remote() bool {
	return strings.HasPrefix(a.db, "postgres://") || strings.HasPrefix(a.db, "postgresql://")
}

// shown is the database as it may be printed: without a password.
func (a *app) shown() string {
	if !a.remote() {
		return a.db
	}
	u, err := url.Parse(a.db)
	if err != nil {
		return "postgres://…"
	}
	q := u.Query()
	if q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	text := u.Redacted()
	if a.schema != "durable" {
		text += " --schema " + a.schema
	}
	return text
}

// maxPayload is the most that an engine can be told to take; what the runs' own engine
// takes is for it to say.
const maxPayload = 16 << 20

// opener names the database of a verb. What is not there is not made.
func (a *app) opener(cmd *cobra.Command) (store.Opener, error) {
	if a.remote() {
		return postgres.Open(a.db, postgres.Schema(a.schema), postgres.Existing()), nil
	}
	if cmd.Flags().Changed("schema") {
		return nil, usage("--schema is for PostgreSQL; %s is a file", a.db)
	}
	if _, err := os.Stat(a.db); errors.Is(err, fs.ErrNotExist) {
		hint := "name it with --db"
		if cmd.Flags().Changed("db") {
			hint = "is the path right? Nothing was made"
		}
		return nil, fmt.Errorf("there is no database %s; %s: %w", a.db, hint, fs.ErrNotExist)
	}
	return sqlite.Open(a.db, sqlite.WatchEvery(-1)), nil
}

// with opens the database for a verb. The engine has no workflows and runs nothing.
func (a *app) with(cmd *cobra.Command, do func(ctx context.Context, e *durable.Engine) error) (err error) {
	opener, err := a.opener(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	e, err := durable.Open(ctx, opener, durable.Config{
		MaxPayload: maxPayload, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return do(ctx, e)
}

// find finds the run that an id, or the unique beginning of one, means.
func find(ctx context.Context, e *durable.Engine, text string) (durable.ID, error) {
	const shown = 10
	if len(text) == 36 {
		return parseID(text)
	}
	if !regexp.MustCompile(`^[0-9a-fA-F-]{1,36}$`).MatchString(text) {
		return durable.ID{}, usage("%q is not the id of a run, nor the beginning of one", text)
	}
	page, err := e.Executions(ctx, durable.Filter{IDPrefix: strings.ToLower(text), Limit: shown, Count: true})
	switch {
	case err != nil:
		return durable.ID{}, err
	case len(page.Executions) == 1:
		return page.Executions[0].ID, nil
	case len(page.Executions) == 0:
		return durable.ID{}, fmt.Errorf("no run has an id that begins with %s: %w", text, durable.ErrNotFound)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs have an id that begins with %s; give more of it:", page.Count, text)
	for _, x := range page.Executions {
		fmt.Fprintf(&b, "\n  %s  %s  %s", x.ID, x.Workflow, x.Status)
	}
	if page.Count > shown {
		fmt.Fprintf(&b, "\n  and %d more", page.Count-shown)
	}
	return durable.ID{}, refusedError{errors.New(b.String())}
}

func parseID(text string) (durable.ID, error) {
	id, err := durable.ParseID(text)
	if err != nil {
		return id, usageError{err}
	}
	return id, nil
}
