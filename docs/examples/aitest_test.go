package examples_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/durabletest"
)

type Mail struct {
	Text string
	Kind DocType
	Bill Bill
}

var sorting = durable.Define("sorting",
	durable.Step("sort", func(ctx context.Context, m *Mail) (err error) {
		m.Kind, _, err = sort(ctx, m.Text)
		return err
	}),
	durable.Step("extract", func(ctx context.Context, m *Mail) (err error) {
		m.Bill, err = extract(ctx, m.Text)
		return err
	}),
)

// with is a context whose alias "smart" is answered by a provider.
func with(t *testing.T, p ai.Provider) context.Context {
	t.Helper()
	c, err := ai.New(ai.Config{
		Aliases: map[string]string{"smart": "test:m-1"}, Providers: map[string]ai.Provider{"test": p},
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return ai.WithClient(t.Context(), c)
}

// [script]
func TestSorting_BadDay(t *testing.T) {
	m := aitest.Script(t,
		aitest.RateLimited(2*time.Minute), // the run sleeps; no attempt is used
		aitest.Object(map[string]string{"value": "invoice"}),
		aitest.Cut(120), // the stream ends after 120 bytes: asked again
		aitest.BadJSON(),
		aitest.Object(Bill{Number: "A-17", Total: 5, Lines: []BillLine{{"oats", 5}}}), // put right
	)
	cfg := durable.Config{Workflows: []durable.Definition{sorting}}
	ctx := with(t, m)
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		mail := durabletest.Start(e, sorting, Mail{Text: "…"}).Done()
		if mail.Kind != "invoice" || mail.Bill.Number != "A-17" {
			t.Errorf("the mail is %+v", mail)
		}
	}, durabletest.Context(ctx))
	if n := m.Calls(); n != 5 {
		t.Errorf("%d requests", n)
	}
}

// [/script]

// [server]
func TestSorting_OverHTTP(t *testing.T) {
	m := aitest.Script(t, aitest.Overloaded(), aitest.Object(map[string]string{"value": "contract"}))
	srv := aitest.NewServer(t, m)
	c, err := ai.New(ai.Config{
		Aliases: map[string]string{"smart": "anthropic:claude-sonnet-4-20250514"},
		Getenv:  srv.Getenv, // its address for every provider, and no real key
	})
	if err != nil {
		t.Fatal(err)
	}
	kind, _, err := sort(ai.WithClient(t.Context(), c), "This agreement is made between …")
	if err != nil || kind != "contract" {
		t.Errorf("%s, %v", kind, err)
	}
	if l := srv.Ledger(); l.Requests != 2 || l.Paid != 1 || len(l.Twice) != 0 {
		t.Errorf("the ledger is %+v", l)
	}
}

// [/server]

// [cassette]
func TestSort_AsRecorded(t *testing.T) {
	ctx := aitest.Cassette(t.Context(), t, "testdata/sort.json", aitest.Recording{
		Config: ai.Config{Aliases: map[string]string{"smart": "offline:documents-1"}},
	})
	if kind, look, err := sort(ctx, oats); err != nil || kind != "invoice" || look {
		t.Errorf("the bill is %s, %v, %v", kind, look, err)
	}
}

// [/cassette]

// [export]
func keep(ctx context.Context, engine *durable.Engine, id durable.ID, file io.Writer) error {
	_, err := aitest.Export(ctx, engine, id, file, aitest.Recording{
		Hide: []string{`[\w.]+@[\w.]+`}, // becomes [hidden], also when it is played
	})
	return err
}

func TestSorting_Incident(t *testing.T) {
	ctx := aitest.Cassette(t.Context(), t, "testdata/incident.json", aitest.Recording{
		Config: ai.Config{Aliases: map[string]string{"smart": "offline:documents-1"}},
	})
	cfg := durable.Config{Workflows: []durable.Definition{sorting}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, sorting, Mail{Text: "From: ada@example.com\n\n" + letter})
		if failed := run.Fails(); !strings.Contains(failed.Error(), "/total: it is missing") {
			t.Errorf("the run failed otherwise: %v", failed)
		}
	}, durabletest.Context(ctx))
}

// [/export]

// letter is one of which the model can make nothing.
const letter = "INVOICE\n\nThe oats were good. We shall pay some day.\n"

// What the guide plays is what a run leaves. With UPDATE=1 in the environment it is written anew.
func TestSorting_IncidentIsKept(t *testing.T) {
	c, err := ai.New(ai.Config{Aliases: map[string]string{"smart": "offline:documents-1"}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	cfg := durable.Config{Workflows: []durable.Definition{sorting}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, sorting, Mail{Text: "From: ada@example.com\n\n" + letter})
		run.Fails()
		var file bytes.Buffer
		if err := keep(t.Context(), e.Engine, run.Look().ID, &file); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("UPDATE") != "" {
			_ = os.WriteFile("testdata/incident.json", file.Bytes(), 0o644)
		}
		if want, err := os.ReadFile("testdata/incident.json"); err != nil || file.String() != string(want) {
			t.Errorf("testdata/incident.json is not what the run leaves (%v): %s", err, file.String())
		}
	}, durabletest.Context(ai.WithClient(t.Context(), c)))
}
