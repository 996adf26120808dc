package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
)

func TestRun(t *testing.T) {
	t.Setenv("AI_MODEL_SMART", "") // it would come first
	const smart = "offline:documents-1"
	db := filepath.Join(t.TempDir(), "documents.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), &first, smart, db, nil); err != nil {
		t.Fatal(err)
	}
	all := samples.All()
	lines := strings.Split(strings.TrimSpace(first.String()), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d lines for %d documents:\n%s", len(lines), len(all), &first)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, all[i].Name) {
			t.Errorf("line %d is %q, want the one of %s", i, line, all[i].Name)
		}
	}
	if err := run(t.Context(), &second, smart, db, nil); err != nil { // finds what is done
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}

// A key that is refused ends the program with what the provider says; the next start, with a good one, goes on at once.
func TestAI18_KeyRefused(t *testing.T) {
	srv := aitest.NewServer(t, offline.New(), aitest.Options{Key: "good"})
	t.Setenv("AI_MODEL_SMART", "openai:gpt-6-sol")
	t.Setenv("OPENAI_BASE_URL", srv.URL+"/v1")
	db := filepath.Join(t.TempDir(), "documents.db")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := func(key string) (string, error) {
		t.Setenv("OPENAI_API_KEY", key)
		var out bytes.Buffer
		err := run(ctx, &out, "openai:gpt-6-sol", db, []string{"invoice-piano", "letter-complaint"})
		return out.String(), err
	}
	for range 2 {
		if out, err := start("wrong"); err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "OPENAI_API_KEY") {
			t.Fatalf("with a wrong key: %q, %v", out, err)
		}
	}
	if out, err := start("good"); err != nil || !strings.Contains(out, "Leopold Quist") {
		t.Errorf("with a good key: %q, %v", out, err)
	}
}

// One budget bounds what all documents cost together: what does not fit says so, and the rest is read.
func TestAI29_OneBudget(t *testing.T) {
	const calls = 3
	b := budget()
	if b.Money != ai.USD/2 || b.Tokens != 200_000 {
		t.Errorf("the budget is %+v", b)
	}
	b.Calls = calls
	cfg := ai.Config{
		Aliases:   map[string]string{pipeline.Smart: "rules:" + offline.Documents},
		Providers: map[string]ai.Provider{"rules": ai.Offline{}},
		Budgets:   map[string]ai.Budget{pileName: b},
		Getenv:    func(string) string { return "" },
	}
	client, err := ai.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	office := pipeline.Pipeline{Source: pipeline.Samples{}, Archive: new(pipeline.Memory)}
	process := office.Workflow()
	piles := readPile(process)
	config := durable.Config{Workflows: []durable.Definition{process, piles}, Queues: map[string]durable.Queue{"ai": {Concurrency: 5}}}
	durabletest.Run(t, config, func(t *testing.T, e *durabletest.Engine) {
		pile := Pile{IDs: []string{"letter-complaint", "letter-application", "newsletter-recipes", "minutes-allotment", "order-confirmation-books"}}
		got := durabletest.Start(e, piles, pile).Done()
		read := 0
		for _, r := range got.Results {
			if r.Error == "" {
				read++
			} else if !strings.Contains(r.Error, "budget") {
				t.Error(r.Error)
			}
		}
		if read != calls || len(got.Results) != len(pile.IDs) {
			t.Errorf("%d of %d documents were read with %d calls", read, len(got.Results), calls)
		}
		var out bytes.Buffer
		if err := show(&out, got); err == nil || strings.Count(out.String(), "\n") != len(pile.IDs) {
			t.Errorf("%v:\n%s", err, &out)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}
