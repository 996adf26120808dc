package examples_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// [state]
type Document struct {
	ID       string   `json:"id"`
	Text     string   `json:"text,omitempty"`
	Type     string   `json:"type,omitempty"`
	Total    string   `json:"total,omitempty"`
	Parties  []string `json:"parties,omitempty"`
	Approved bool     `json:"approved,omitempty"`
}

// [/state]

var (
	// [workflow]
	aiRetry = durable.Retry{MaxAttempts: 3, Backoff: durable.Exponential}

	ProcessDocument = durable.Define("process_document",
		durable.Step("fetch", fetch),
		durable.Step("classify", classify).Retry(aiRetry).Queue("ai"),
		durable.Branch("by_type", func(d *Document) string { return d.Type }).
			Case("invoice",
				durable.Step("extract_invoice", extractInvoice).Retry(aiRetry).Queue("ai"),
				durable.Step("approve", approve)).
			Case("contract",
				durable.Step("extract_contract", extractContract).Retry(aiRetry).Queue("ai")),
		durable.Step("store", store),
	)
	// [/workflow]
)

// [steps]
func classify(ctx context.Context, d *Document) error {
	kind, err := model(ctx, "What is this document? "+d.Text)
	if err != nil {
		return err // tried again, with the state as it was before
	}
	d.Type = kind
	return nil
}

func approve(ctx context.Context, d *Document) error {
	a, err := durable.WaitForApproval(ctx, "pay", // for hours or weeks; it holds no slot
		durable.Prompt("Pay "+d.Total+"?"), durable.Timeout(30*24*time.Hour))
	if err != nil {
		return err
	}
	d.Approved = a.Approved
	return nil
}

// [/steps]

func fetch(_ context.Context, d *Document) error {
	d.Text = "Invoice 7. Total: 42 EUR"
	return nil
}

func extractInvoice(_ context.Context, d *Document) error {
	d.Total = d.Text[strings.LastIndex(d.Text, ": ")+2:]
	return nil
}

func extractContract(context.Context, *Document) error { return errors.New("not in this example") }

func store(context.Context, *Document) error { return nil }

func model(context.Context, string) (string, error) { return "invoice", nil }

func TestReadme(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "documents.db")
	err := func() error {
		// [run]
		engine, err := durable.Open(ctx, sqlite.Open(path), durable.Config{
			Workflows: []durable.Definition{ProcessDocument},
			Queues:    map[string]durable.Queue{"ai": {Concurrency: 5}},
		})
		if err != nil {
			return err
		}
		defer engine.Close()
		go engine.Run(ctx) // a worker, until ctx ends

		run, err := ProcessDocument.Start(ctx, engine, Document{ID: "doc_123"}, durable.Key("doc_123"))
		if err != nil {
			return err
		}
		// [/run]
		awaitQuestion(engine, run.ID)
		// [answer]
		err = engine.ProvideInput(ctx, run.ID, "pay", true, durable.By("ada"))
		if err != nil {
			return err
		}
		doc, err := run.Wait(ctx)                                // the last state, typed
		x, _ := engine.Execution(ctx, run.ID, durable.WithSteps) // status and every attempt of every step
		// [/answer]
		if !doc.Approved || doc.Total != "42 EUR" || len(x.Steps) != 6 {
			return fmt.Errorf("%+v, %d steps", doc, len(x.Steps))
		}
		return err
	}()
	if err != nil {
		t.Fatal(err)
	}
}
