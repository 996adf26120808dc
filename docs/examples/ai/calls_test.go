package ai_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/durabletest"
)

// Document is the state of the runs of this guide.
type Document struct {
	Content string   `json:"content"`
	Summary string   `json:"summary,omitempty"`
	Type    DocType  `json:"type,omitempty"`
	Invoice *Invoice `json:"invoice,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// [call]
func summarise(ctx context.Context, d *Document) (err error) {
	d.Summary, err = ai.GenerateText(ctx, "smart", "Summarise in one sentence.\n\n"+d.Content)
	return err
}

// [/call]

// [classify]
type DocType string

func (DocType) Values() []string { return []string{"invoice", "contract", "other"} }

func classify(ctx context.Context, d *Document) (err error) {
	var r ai.Response
	d.Type, err = ai.Classify[DocType](ctx, "smart", d.Content, ai.Result(&r))
	if err == nil && r.Confidence != nil && *r.Confidence < 0.7 {
		d.Type, err = durable.WaitForInput[DocType](ctx, "human_review", durable.Timeout(24*time.Hour))
	}
	return err
}

// [/classify]

// [object]
type Invoice struct {
	Number string  `json:"invoice_number" jsonschema:"as printed on the document"`
	Total  float64 `json:"total"`
	Lines  []Line  `json:"line_items"`
}

type Line struct {
	Text   string  `json:"text"`
	Amount float64 `json:"amount"`
}

// Validate is what the model gets to read if its answer is wrong.
func (i Invoice) Validate() error {
	sum := 0.0
	for _, l := range i.Lines {
		sum += l.Amount
	}
	if diff := sum - i.Total; diff > 0.005 || diff < -0.005 {
		return fmt.Errorf("the line items add up to %.2f, and total is %.2f", sum, i.Total)
	}
	return nil
}

func extractInvoice(ctx context.Context, d *Document) error {
	inv, err := ai.GenerateObject[Invoice](ctx, "smart", "Extract the invoice fields.\n\n"+d.Content)
	d.Invoice = &inv
	if ai.IsKind(err, ai.BadAnswer) { // still wrong after the repair turn: a person decides, the run does not fail
		d.Note, err = err.Error(), nil
	}
	return err
}

// [/object]

var process = durable.Define("process_document",
	durable.Step("summarise", summarise),
	durable.Branch("by_type", func(d *Document) string { return "invoice" }).
		Case("invoice", durable.Step("extract_invoice", extractInvoice)),
)

// [client]
func newClient(getenv func(string) string) (*ai.Client, error) {
	return ai.New(ai.Config{
		Aliases: map[string]string{
			"smart": "anthropic:claude-sonnet-5",
			"cheap": "openai:gpt-6-luna",
			"local": "openai-chat@http://127.0.0.1:8000/v1:qwen3", // vLLM, LM Studio, a gateway
		},
		Limits:  map[string]ai.Limit{"anthropic:*": {Requests: 50, Input: 40_000, Output: 8_000, Concurrent: 4}},
		Budgets: map[string]ai.Budget{"process_document": {Money: ai.USD / 2, Calls: 40}},
		Getenv:  getenv,
	})
}

func work(ctx context.Context, engine *durable.Engine) error {
	client, err := newClient(nil)
	if err != nil {
		return err
	}
	ctx = ai.WithClient(ctx, client)
	if err := ai.Check(ctx, "smart", "cheap"); err != nil { // keys are there, aliases lead somewhere
		return err
	}
	return engine.Run(ctx)
}

// [/client]

// [options]
func answer(ctx context.Context, d *Document) error {
	var r ai.Response
	text, err := ai.GenerateText(ctx, "smart", d.Content,
		ai.System("You answer in German."),
		ai.MaxTokens(500),
		ai.Fallback("cheap"),        // when smart is overloaded, refuses, or finds it too long
		ai.Patience(10*time.Minute), // how long an overload is waited out before the attempt fails
		ai.Keep(),                   // good for later attempts of this step, too
		ai.Result(&r))
	if err != nil {
		return err
	}
	d.Note = fmt.Sprintf("%s answered, %s", r.Served, r.Cost)
	d.Summary = text
	return nil
}

// [/options]

// [stream]
func draft(ctx context.Context, d *Document) (err error) {
	d.Summary, err = ai.GenerateText(ctx, "smart", d.Content, ai.StreamTo("draft"))
	return err
}

func show(ctx context.Context, engine *durable.Engine, id durable.ID) (text string, err error) {
	for x, err := range engine.Stream(ctx, id, "draft", 0) { // in any process
		switch {
		case err != nil:
			return text, err
		case x.Kind == durable.StreamText:
			text += x.Text
		case x.Status != "": // the run has ended, and not the text: what is there is all there is
			return text, fmt.Errorf("the draft is not whole: the run is %s: %v", x.Status, x.Error)
		default:
			text = x.Text // a reset: nothing; the end: all of it
		}
	}
	return text, nil
}

// [/stream]

// [money]
func costs(ctx context.Context, engine *durable.Engine, id durable.ID) error {
	calls, err := ai.Calls(ctx, engine, id)
	if err != nil {
		return err
	}
	for step, sum := range ai.SumBy(calls, func(c *ai.CallInfo) string { return c.Path }) {
		fmt.Printf("%s: %d answers, %s, %d possibly paid without one\n", step, sum.Answers, sum.Cost, sum.PossiblyPaid)
	}
	return nil
}

// [/money]

// [prices]
const prices = `{
	"as_of": "2026-10-01",
	"models": {
		"corp:large": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6, "up_to": 200000},
		"corp:small": {"input": 0.25, "output": 1.25}
	}
}`

// [/prices]

// [fails]
func reply(ctx context.Context, d *Document) error {
	text, err := ai.GenerateText(ctx, "smart", d.Content)
	switch {
	case ai.IsKind(err, ai.Refused):
		d.Note = "the model will not answer; a person writes the reply"
		return nil
	case err != nil:
		return err
	case strings.Contains(text, "as an AI"):
		return errors.New("that is no reply") // the next attempt asks afresh
	}
	d.Summary = text
	return nil
}

// [/fails]

// [test]
func TestProcessDocument(t *testing.T) {
	model := aitest.Script(t,
		aitest.Text("An invoice."),
		aitest.RateLimited(2*time.Minute),
		aitest.Object(Invoice{Number: "7", Total: 5, Lines: []Line{{"tea", 3}}}), // wrong
		aitest.Object(Invoice{Number: "7", Total: 3, Lines: []Line{{"tea", 3}}}),
	)
	client, err := ai.New(ai.Config{
		Providers: map[string]ai.Provider{"script": model},
		Aliases:   map[string]string{"smart": "script:any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := durable.Config{Workflows: []durable.Definition{process}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		d := durabletest.Start(e, process, Document{Content: "Invoice no. 7 …"}).Done()
		if d.Invoice.Total != 3 || d.Note != "" {
			t.Errorf("the document is %+v", d)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}

// [/test]

func TestOtherSteps(t *testing.T) {
	sure := `{"value":"contract"}`
	model := aitest.Script(t, aitest.Text(sure), aitest.Text("Guten Tag"), aitest.Text("as an AI I"), aitest.Text("Hello"), aitest.Refuse("no"))
	client, err := ai.New(ai.Config{
		Providers: map[string]ai.Provider{"script": model},
		Aliases:   map[string]string{"smart": "script:any", "cheap": "script:any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := durable.Define("others",
		durable.Step("classify", classify), durable.Step("answer", answer),
		durable.Step("reply", reply).Retry(durable.Retry{MaxAttempts: 2}), durable.Step("again", reply))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, Document{Content: "An agreement"})
		d := r.Done()
		if d.Type != "contract" || d.Summary != "Hello" || !strings.HasPrefix(d.Note, "the model will not answer") {
			t.Errorf("the document is %+v", d)
		}
		if err := costs(t.Context(), e.Engine, r.ID); err != nil {
			t.Error(err)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}

func TestDraft(t *testing.T) {
	client, err := ai.New(ai.Config{
		Providers: map[string]ai.Provider{"script": aitest.Script(t, aitest.Text("It is about money."))},
		Aliases:   map[string]string{"smart": "script:any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := durable.Define("drafts", durable.Step("draft", draft))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, Document{Content: "An invoice"})
		text, err := show(t.Context(), e.Engine, r.ID)
		if d := r.Done(); err != nil || text != d.Summary || text == "" {
			t.Errorf("the stream says %q, %v; the record %q", text, err, d.Summary)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}

// halfway is a model that breaks for good in the middle of its answer.
type halfway struct{}

func (halfway) Open(string) (ai.Model, error) { return halfway{}, nil }

func (halfway) Generate(ctx context.Context, _ *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	on(ai.Delta{Text: "half of an answer"})
	select { // until the piece is on its way
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return nil, &ai.Error{Kind: ai.Invalid, Status: 200, Err: errors.New("it broke")}
}

// A reader of a run that fails keeps what there is, and learns that it is not whole and why.
func TestDraftOfRunThatFails(t *testing.T) {
	client, err := ai.New(ai.Config{
		Providers: map[string]ai.Provider{"halfway": halfway{}},
		Aliases:   map[string]string{"smart": "halfway:any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := durable.Define("drafts", durable.Step("draft", draft))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, Document{Content: "An invoice"})
		text, err := show(t.Context(), e.Engine, r.ID)
		if text != "half of an answer" || err == nil || !strings.Contains(err.Error(), "failed") || !strings.Contains(err.Error(), "it broke") {
			t.Errorf("the reader has %q, %v", text, err)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}

func TestClient(t *testing.T) {
	c, err := newClient(func(name string) string {
		return map[string]string{"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ai.Check(ai.WithClient(t.Context(), c), "smart", "cheap", "local"); err != nil {
		t.Error(err)
	}
	_ = work
}

// The prices of the guide are read; what they do not name has the built-in price.
func TestAI28_PricesOfTheGuide(t *testing.T) {
	c, err := ai.New(ai.Config{Prices: []byte(prices), Providers: map[string]ai.Provider{"corp": halfway{}}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Price("corp:small", ai.Usage{Input: 4, Output: 4}); got != (ai.Cost{Known: 6}) {
		t.Errorf("corp:small costs %s", got)
	}
	if got := c.Price("corp:large", ai.Usage{Input: 200_001}); got != (ai.Cost{Unpriced: 1}) {
		t.Errorf("above up_to it costs %s", got)
	}
	if got := c.Price("anthropic:claude-sonnet-4", ai.Usage{Input: 1}); got != (ai.Cost{Known: 3}) {
		t.Errorf("another model costs %s", got)
	}
}
