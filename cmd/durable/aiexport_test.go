package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/sqlite"
)

// incident asks a model about two letters: one is answered badly at first.
func incident() *durable.Workflow[order] {
	return durable.Define("incident", durable.Step("ask", func(ctx context.Context, o *order) error {
		if o.Customer == "" {
			return nil
		}
		text, err := ai.GenerateText(ctx, "smart", "What does "+o.Customer+" want?", ai.Files(ai.File{Name: "letter.pdf", MIME: "application/pdf", Data: []byte("%PDF\x00")}))
		if err != nil {
			return err
		}
		if text == "nothing" {
			return errors.New("that cannot be")
		}
		o.Way = text
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond}))
}

// incidents is a database with runs of incident, one for each customer.
func incidents(t *testing.T, customers ...string) (db string, ids []string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "incidents.db")
	w := incident()
	var steps []aitest.Step
	for _, c := range customers {
		if c != "" {
			steps = append(steps, aitest.Text("nothing"), aitest.Text("tea"+nasty))
		}
	}
	c, err := ai.New(ai.Config{Aliases: map[string]string{"smart": "script:m-1"}, Providers: map[string]ai.Provider{"script": aitest.Script(t, steps...)}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := durable.Open(t.Context(), sqlite.Open(db), durable.Config{Workflows: []durable.Definition{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ai.WithClient(t.Context(), c)) }()
	for _, c := range customers {
		r, err := w.Start(t.Context(), e, order{Customer: c})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID.String())
	}
	if err := errors.Join(e.Close(), <-running); err != nil {
		t.Fatal(err)
	}
	return db, ids
}

func TestAIExport(t *testing.T) {
	db, ids := incidents(t, "Ada"+nasty, "", "sk-"+strings.Repeat("abcd", 6))
	dir := t.TempDir()
	file := filepath.Join(dir, "incident.json")
	export := func(args ...string) result {
		return command(t, "", append([]string{"ai", "export", "--db", db}, args...)...)
	}

	r := export(ids[0], "--out", file, "--hide", "A[d]a")
	for _, want := range []string{"incident.json: 2 calls of 1 run,", "1 answer was superseded", "1 file is no text", "aitest.Cassette"} {
		if r.code != exitDone || !strings.Contains(r.out, want) {
			t.Errorf("%+v; want %q", r, want)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil || strings.ContainsAny(string(whole), "\x1b\u009b\u202e\x7f") || strings.Contains(string(whole), "Ada") {
		t.Errorf("%q, %v", whole, err)
	}
	if r := export(ids[0], "--hide", "A[d]a"); r.code != exitDone || r.out != string(whole) || !strings.Contains(r.err, "the cassette: 2 calls") {
		t.Errorf("printed: %+v", r)
	}
	for want, try := range map[string]struct {
		code int
		args []string
	}{
		"--force replaces it":          {exitRefused, []string{ids[0], "--out", file}},
		"no plain file":                {exitRefused, []string{ids[0], "--out", dir, "--force"}},
		"no such file":                 {exitNotFound, []string{ids[0], "--out", filepath.Join(dir, "none", "x.json")}},
		"--force goes with --out":      {exitUsage, []string{ids[0], "--force"}},
		"no answer of a model":         {exitRefused, []string{ids[1]}},
		"is no regular expression":     {exitUsage, []string{ids[0], "--hide", "("}},
		"not found":                    {exitNotFound, []string{durable.ID{1}.String()}},
		"hide it with a pattern":       {exitRefused, []string{ids[2], "--out", filepath.Join(dir, "key.json")}},
		"accepts 1 arg(s), received 0": {exitUsage, nil},
	} {
		if r := export(try.args...); r.code != try.code || !strings.Contains(r.err, want) || r.out != "" || strings.Contains(r.err, "sk-") {
			t.Errorf("%v: %+v; want %d, %q", try.args, r, try.code, want)
		}
	}
	var done struct{ Bytes, Calls, Superseded int }
	r = export(ids[0], "--out", file, "--force", "--json", "--hide", "A[d]a")
	if err := json.Unmarshal([]byte(r.out), &done); r.code != exitDone || err != nil || done.Bytes != len(whole) || done.Calls != 2 || done.Superseded != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the folder holds %v, %v", list, err)
	}

	// The cassette plays: what happened is a test.
	ctx := aitest.Cassette(t.Context(), t, file, aitest.Recording{Config: ai.Config{
		Aliases: map[string]string{"smart": "script:m-1"}, Providers: map[string]ai.Provider{"script": aitest.Script(t)},
	}})
	w := incident()
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		if end := durabletest.Start(e, w, order{Customer: "Ada" + nasty}).Done(); end.Way != "tea"+nasty {
			t.Errorf("played %+v", end)
		}
	}, durabletest.Context(ctx))
}
