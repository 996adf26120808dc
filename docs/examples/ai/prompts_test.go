package ai_test

import (
	"context"
	"embed"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/durabletest"
)

// [prompts]

//go:embed prompts/*.md
var prompts embed.FS

func sortWith(prompt ai.Prompt) func(ctx context.Context, d *Document) error {
	return func(ctx context.Context, d *Document) (err error) {
		d.Note, err = ai.GenerateText(ctx, "", "", ai.Render(prompt, d)) // the file names the model
		return err
	}
}

func sorting() (*durable.Workflow[Document], error) {
	prompt, err := ai.LoadPrompt(prompts, "prompts/sort.md") // at the start: mistakes in it are found here
	if err != nil {
		return nil, err
	}
	return durable.Define("sorting", durable.Step("sort", sortWith(prompt))), nil
}

// [/prompts]

func TestPromptOfAFile(t *testing.T) {
	model := aitest.Script(t, aitest.Text("An unpaid invoice."))
	client, err := ai.New(ai.Config{
		Providers: map[string]ai.Provider{"script": model},
		Aliases:   map[string]string{"smart": "script:any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := sorting()
	if err != nil {
		t.Fatal(err)
	}
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, Document{Content: "Invoice no. 7 …"})
		if d := r.Done(); d.Note != "An unpaid invoice." {
			t.Errorf("%+v", d)
		}
		calls, err := ai.Calls(t.Context(), e.Engine, r.ID)
		if err != nil || len(calls) != 1 || calls[0].Asked != "smart" || !strings.HasPrefix(calls[0].Prompt, "sort@") {
			t.Errorf("%+v, %v", calls, err)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
	if r := model.Requests()[0]; r.MaxTokens != 50 || r.System != "You sort the post of an office." || !strings.HasPrefix(r.Messages[0].Text, "What is this?") {
		t.Errorf("%+v", r)
	}
}
